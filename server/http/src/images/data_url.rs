//! Images that come within their URL (RFC 2397).
//!
//! Invariant: the type that the URL claims is not believed; what the bytes are is told by them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// The bytes in `url`, if it is one of this kind; `Err` if they cannot be read.
pub(super) fn bytes(url: &str) -> Option<Result<Vec<u8>, &'static str>> {
    let (scheme, rest) = url.split_once(':')?;
    if !scheme.eq_ignore_ascii_case("data") {
        return None;
    }
    let Some((head, data)) = rest.split_once(',') else {
        return Some(Err("it has no ',' between type and data"));
    };
    let ends = head.len().checked_sub(7).and_then(|at| head.get(at..));
    if !ends.is_some_and(|end| end.eq_ignore_ascii_case(";base64")) {
        return Some(Err("its data must be base64: 'data:image/png;base64,…'"));
    }
    Some(STANDARD.decode(data.trim()).map_err(|_| "its data is no valid base64"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_base64_is_read() {
        for (url, expect) in [
            ("data:image/png;base64,AQID", Some(Ok(vec![1, 2, 3]))),
            ("DATA:;BASE64,AQID", Some(Ok(vec![1, 2, 3]))),
            ("data:image/png;charset=x;base64,", Some(Ok(vec![]))),
            ("data:image/png,AQID", Some(Err("must be base64"))),
            ("data:base64,AQID", Some(Err("must be base64"))),
            ("data:€base64,AQID", Some(Err("must be base64"))),
            ("data:image/png;base64", Some(Err("no ','"))),
            ("data:image/png;base64,A", Some(Err("no valid base64"))),
            ("https://a.example/data:,", None),
            ("AQID", None),
        ] {
            match (bytes(url), expect) {
                (None, None) => {}
                (Some(Ok(got)), Some(Ok(expect))) => assert_eq!(got, expect, "{url}"),
                (Some(Err(got)), Some(Err(expect))) => assert!(got.contains(expect), "{url}"),
                (got, _) => panic!("{url}: {got:?}"),
            }
        }
    }
}
