//! Signatures that AWS publishes, and what is none.

use axum::http::{Request, StatusCode};

use super::*;

type Headers<'a> = &'a [(&'a str, &'a str)];

const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
/// 2015-08-30 12:36:00.
const NOW: u64 = 1_440_938_160;

fn authorization(signed_headers: &str, signature: &str) -> String {
    format!(
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, \
         SignedHeaders={signed_headers}, Signature={signature}"
    )
}

fn head(method: &str, uri: &str, headers: Headers<'_>) -> Parts {
    let request = Request::builder().method(method).uri(uri);
    let mut request = request.header("host", "example.amazonaws.com");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap().into_parts().0
}

fn check(head: &Parts, body: &[u8]) -> Result<(), ApiError> {
    Signature::of(&head.headers, "service", NOW)?.check(
        &["other".into(), SECRET.into()],
        head,
        body,
    )
}

/// Of the suite that AWS publishes.
#[test]
fn the_signatures_of_awss_suite() {
    let unreserved = "-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let path = format!("/{unreserved}");
    let query = format!("/?{unreserved}={unreserved}");
    let form = ("content-type", "application/x-www-form-urlencoded");
    let date = ("x-amz-date", "20150830T123600Z");
    let vanilla = "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31";
    #[rustfmt::skip]
    let cases: [(&str, &str, Headers<'_>, &str, &str, &str); 15] = [
        ("GET", "/", &[date], "host;x-amz-date", "", vanilla),
        ("GET", "/./", &[date], "host;x-amz-date", "", vanilla),
        ("GET", "/example/..", &[date], "host;x-amz-date", "", vanilla),
        ("GET", "//example//", &[date], "host;x-amz-date", "",
            "9a624bd73a37c9a373b5312afbebe7a714a789de108f0bdfe846570885f57e84"),
        ("GET", &path, &[date], "host;x-amz-date", "",
            "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f"),
        ("GET", "/\u{1234}", &[date], "host;x-amz-date", "",
            "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85"),
        ("GET", "/?Param2=value2&Param1=value1", &[date], "host;x-amz-date", "",
            "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"),
        ("GET", &query, &[date], "host;x-amz-date", "",
            "9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197"),
        ("GET", "/", &[("my-header1", "value2"), ("my-header1", "value2"),
            ("my-header1", "value1"), date], "host;my-header1;x-amz-date", "",
            "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea"),
        ("GET", "/", &[("my-header1", "value4"), ("my-header1", "value1"),
            ("my-header1", "value3"), ("my-header1", "value2"), date],
            "host;my-header1;x-amz-date", "",
            "08c7e5a9acfcfeb3ab6b2185e75ce8b1deb5e634ec47601a50643f830c755c01"),
        ("GET", "/", &[("my-header1", " value1"), ("my-header2", " \"a   b   c\""), date],
            "host;my-header1;my-header2;x-amz-date", "",
            "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736"),
        ("POST", "/", &[date], "host;x-amz-date", "",
            "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
        ("POST", "/", &[("my-header1", "VALUE1"), date], "host;my-header1;x-amz-date", "",
            "cdbc9802e29d2942e5e10b5bccfdd67c5f22c7c4e8ae67b53629efa58b974b7d"),
        ("POST", "/?Param1=value1", &[date], "host;x-amz-date", "",
            "28038455d6de14eafc1f9222cf5aa6f1a96197d7deb8263271d420d138af7f11"),
        ("POST", "/", &[form, date], "content-type;host;x-amz-date", "Param1=value1",
            "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"),
    ];
    for (method, uri, headers, signed, body, signature) in cases {
        let mut head = head(method, uri, headers);
        let value = authorization(signed, signature);
        head.headers.insert("authorization", value.parse().unwrap());
        assert!(check(&head, body.as_bytes()).is_ok(), "{method} {uri} {headers:?}");
        // The same for other words is none.
        assert!(check(&head, b"other").is_err());
    }
}

#[test]
fn paths_are_escaped_twice() {
    for (path, canonical) in [
        ("/model/a%3Ab%2Fc/invoke", "/model/a%253Ab%252Fc/invoke"),
        ("/example space/", "/example%20space/"),
        ("/../../a", "/a"),
        ("", "/"),
    ] {
        assert_eq!(canonical_path(path), canonical);
    }
}

#[test]
fn what_is_no_signature_is_told_why() {
    let good = authorization("host;x-amz-date", &"0".repeat(64));
    let date = "20150830T123600Z";
    let cases = [
        ("AWS4-HMAC-SHA256".to_owned(), date, "ends after"),
        ("AWS4-HMAC-SHA256 x".to_owned(), date, "only"),
        ("AWS4-HMAC-SHA256 ,,,".to_owned(), date, "only"),
        (good.replace("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256"), date, "algorithm"),
        (good.replace("/aws4_request", ""), date, "Credential must"),
        (good.replace("Credential=", "Credential"), date, "only"),
        (good.replace(&"0".repeat(64), "0"), date, "64 hexadecimal"),
        (good.replace(&"0".repeat(64), &"é".repeat(32)), date, "no signature"),
        (good.replace("host;", ""), date, "must hold 'host'"),
        (good.replace("host;x-amz-date", "x-amz-date;host"), date, "alphabetical"),
        (good.replace("host;", "host;host;"), date, "alphabetical"),
        (good.replace("host;", "HOST;host;"), date, "small letters"),
        (good.clone(), "", "day"),
        (good.clone(), "20150830", "within 15 minutes"),
        (good.clone(), "20150830T122059Z", "within 15 minutes"),
        (good.clone(), "20150830T125101Z", "within 15 minutes"),
        (good.clone(), "20150831T123600Z", "day"),
        (good.replace("/service/", "/s3/"), date, "for 'service'"),
    ];
    for (value, date, problem) in cases {
        let mut headers = HeaderMap::new();
        // Not all of it is ASCII.
        headers.insert("authorization", value.as_bytes().try_into().unwrap());
        headers.insert("x-amz-date", date.parse().unwrap());
        let Err(error) = Signature::of(&headers, "service", NOW) else {
            panic!("{value} at {date} passed")
        };
        assert_eq!(error.status(), StatusCode::FORBIDDEN);
        assert!(error.to_string().contains(problem), "{value} at {date}: {error}");
    }
    for date in ["20150830T122100Z", "20150830T125100Z"] {
        let mut headers = HeaderMap::new();
        headers.insert("authorization", good.parse().unwrap());
        headers.insert("x-amz-date", date.parse().unwrap());
        assert!(Signature::of(&headers, "service", NOW).is_ok(), "{date}");
        headers.insert("x-amz-security-token", "x".parse().unwrap());
        assert!(Signature::of(&headers, "service", NOW).is_err());
    }
}
