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

/// What [`encode`] made; `None` if a `%XX` is none or the whole is no UTF-8.
pub(crate) fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let [high, low, after @ ..] = rest else { return None };
        let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|d| u8::try_from(d).ok());
        bytes.push((digit(*high)? << 4) | digit(*low)?);
        rest = after;
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::{decode, encode};

    #[test]
    fn only_unreserved_letters_stay() {
        let cases = [("aZ09-._~", "aZ09-._~"), ("a b+c", "a%20b%2Bc"), ("é:/%", "%C3%A9%3A%2F%25")];
        for (text, encoded) in cases {
            assert_eq!(encode(text), encoded);
            assert_eq!(decode(encoded).as_deref(), Some(text));
        }
    }

    #[test]
    fn what_is_cut_or_no_text_is_not_decoded() {
        assert_eq!(decode("+é%2f").as_deref(), Some("+é/"));
        for text in ["%", "%2", "%2g", "%+1", "%ff", "a%c3"] {
            assert_eq!(decode(text), None, "{text}");
        }
    }
}
