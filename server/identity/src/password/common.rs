//! The passwords that are tried first: of lists of leaked ones, those that are long enough to be
//! chosen, and words that become so with a number behind. A longer list belongs into a file of the
//! operator's, not into the program.
//!
//! Invariant: all are in lower case.

/// Whether `password`, in lower case, is one of them.
pub(super) fn contains(password: &str) -> bool {
    COMMON.split_whitespace().any(|common| common == password)
}

const COMMON: &str = "
    0123456789 10203040 11223344 1122334455 121212121 123123123 123123123a 123321123 12341234
    12344321 12345678 123456789 1234567890 12345678910 123456789a 1234567a 1234qwer 123qweasd
    147258369 159357456 1q2w3e4r 1q2w3e4r5t 1qaz2wsx 1qazxsw2 789456123 87654321 987654321
    9876543210 a12345678 a1b2c3d4 aa123456 abc12345 abcd1234 abcdefgh abcdefghi abcdefghij admin
    admin123 admin1234 adminadmin administrator agentbase alexander asdf1234 asdfasdf asdfghjkl
    ashley12 autumn123 azertyuiop baseball baseball1 basketball batman123 benjamin blink182
    butterfly changeit changeme changeme1 charlie1 charlie123 chatgpt123 chelsea1 chocolate
    christian computer computer1 contraseña corvette daniel12 december default1 dragon dragon123
    elephant elizabeth facebook february ferrari1 football football1 freedom1 friday13 fuckyou1
    google123 guest123 hello123 helloworld iloveme1 iloveyou iloveyou1 internet internet1
    january1 jennifer jessica1 jordan23 killer123 letmein letmein1 letmein123 linkedin liverpool
    lovelove manchester master master12 master123 mercedes metallica michael1 michelle monday123
    monkey monkey123 motdepasse mustang1 mypassword newpassword nicholas nirvana1 nopassword
    november openai123 p@ssw0rd p@ssword pa55word pass1234 pass12345 passw0rd password password1
    password12 password123 passwordpassword passwort pokemon123 princess princess1 q1w2e3r4
    q1w2e3r4t5 qazwsxedc qwe123qwe qweasdzxc qwerty qwerty1 qwerty12 qwerty123 qwerty1234
    qwertyui qwertyuiop qwertz123 qwertzuiop robert12 root1234 rootroot samsung1 secret12
    secret123 september shadow shadow123 slipknot spring123 starwars stephanie summer123
    sunshine sunshine1 superman superman1 temp1234 temppass test1234 test12345 testing123
    testtest thomas12 toor1234 topsecret trustno1 user1234 username victoria welcome welcome1
    welcome123 whatever winter123 zaq12wsx zxcvbnm zxcvbnm123
";

#[cfg(test)]
mod tests {
    use super::{COMMON, contains};

    #[test]
    fn whole_words_in_lower_case_are_found() {
        assert!(COMMON.split_whitespace().all(|word| word.to_lowercase() == word));
        assert!(contains("password") && contains("zxcvbnm123"));
        assert!(!contains("passwor") && !contains("") && !contains("password passwort"));
    }
}
