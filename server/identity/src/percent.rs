//! Percent-encoding of parts of addresses (RFC 3986).

/// Everything but unreserved letters as `%XX`.
pub(crate) fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(char::from(byte));
            }
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::encode;

    #[test]
    fn only_unreserved_letters_stay() {
        let cases = [("aZ09-._~", "aZ09-._~"), ("a b+c", "a%20b%2Bc"), ("é:/%", "%C3%A9%3A%2F%25")];
        for (text, encoded) in cases {
            assert_eq!(encode(text), encoded);
        }
    }
}
