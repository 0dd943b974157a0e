//! Keys of the test provider. Invariant: nobody uses them for anything else.

use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD as BASE64URL};
use ring::rand::SystemRandom;
use ring::rsa::PublicKeyComponents;
use ring::signature::{self, EcdsaKeyPair, KeyPair, RsaKeyPair};
use serde_json::{Value, json};

use crate::jws;

/// What the provider signs with.
pub(super) enum Signer {
    Rsa(Box<RsaKeyPair>),
    Ec(Box<EcdsaKeyPair>),
}

impl Signer {
    /// The one of [`RSA`].
    pub(super) fn rsa() -> Self {
        let der = BASE64_STANDARD.decode(RSA.replace(char::is_whitespace, "")).unwrap();
        Self::Rsa(Box::new(RsaKeyPair::from_der(&der).unwrap()))
    }

    /// A new one on P-256.
    pub(super) fn ec() -> Self {
        let (algorithm, random) =
            (&signature::ECDSA_P256_SHA256_FIXED_SIGNING, SystemRandom::new());
        let document = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref(), &random).unwrap();
        Self::Ec(Box::new(pair))
    }

    pub(super) fn algorithm(&self) -> &'static str {
        match self {
            Self::Rsa(_) => "RS256",
            Self::Ec(_) => "ES256",
        }
    }

    /// As it is published.
    pub(super) fn jwk(&self, kid: &str) -> Value {
        let mut jwk = match self {
            Self::Rsa(pair) => {
                let public = PublicKeyComponents::<Vec<u8>>::from(pair.public_key());
                // With the zero that some write before it.
                let n = [&[0], &public.n[..]].concat();
                json!({ "kty": "RSA", "n": BASE64URL.encode(n), "e": BASE64URL.encode(public.e) })
            }
            Self::Ec(pair) => {
                let point = pair.public_key().as_ref();
                let (x, y) = (BASE64URL.encode(&point[1..33]), BASE64URL.encode(&point[33..]));
                json!({ "kty": "EC", "crv": "P-256", "x": x, "y": y })
            }
        };
        jwk["kid"] = kid.into();
        jwk["use"] = "sig".into();
        jwk["alg"] = self.algorithm().into();
        jwk
    }

    /// A whole token.
    pub(super) fn token(&self, header: &Value, claims: &Value) -> String {
        let signed = jws::to_sign(header.to_string().as_bytes(), claims.to_string().as_bytes());
        let random = SystemRandom::new();
        let signature = match self {
            Self::Rsa(pair) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                let padding = &signature::RSA_PKCS1_SHA256;
                pair.sign(padding, &random, signed.as_bytes(), &mut signature).unwrap();
                signature
            }
            Self::Ec(pair) => pair.sign(&random, signed.as_bytes()).unwrap().as_ref().to_vec(),
        };
        jws::with_signature(&signed, &signature)
    }
}

/// 2048 bits, made for these tests by `openssl genpkey`.
const RSA: &str = "
    MIIEowIBAAKCAQEA1dJ1GJstWrp/98zncQpc6K0d3IIdFSLGpaMNX4pKfYQlMffZiCc0GKlWFeJ/2FHEnzOsli4n
    sDF3aGy4Hd9WLVeryMVm56f81eqvrygtsoLA6r8as6I+chg5t948x7O7NadJdZUvd9anGXffTZvSNk6gex737dSm
    v72uIjal+4tvSExeqY+jOFNE7noG2NJNa9EJJl3vu4jrDP5Zw98Drd0UpB8C7ZAXU3hMvQ1VfeJVECgilUBOKLAF
    UEeNR4V9x928nJRacd9dzz/sN1G9k9NdoXNUeaic53NGVtNfxLzzyHTdrCiZ7nsg0GbXPsm5kv5mLpW5zLQwCJQe
    8QE3OQIDAQABAoIBAB5hCKR+lZ7MnRZYrTBVE9a2E+ZKsTWZy4XoiOOgWw2CuyMijuxGf6MaWgIBfH8APRKObbCn
    rZldqdSzD6Sk4NJP4LcFfuWeazB8Z8oXyAhTBfREQxevDza4JOkwAMwxx8Ere6ciU0xwOa0HaDlXUHJJUQk1IO4Q
    NsHKwgUX5RS8G9jiCv0wBs7xo488ADCRzhFoE74UcEsMM1VikHujMokEyriq48m5KD8tNm6oTrngBwcPeU8aZ8aB
    rNbSuONTvxfZ/nZBDUqtpuOVLGwZD56ZUxdOVKYeDK5Xv/1slIebMIJMpL++fOznNZlLwEXFIm0RgXs9A/N5B8n5
    6QLGEBUCgYEA/YeYxy+pPauaGy24Kgij/zVemmsLMD0HI07QGj7ne9SxYai248OiuQmITe4NX4IiJFWULHb9WDXv
    eZ5RY0chVi8fa2cPgZHUkgPkNkO9CCNSyoOmio9PzK8h2Fq2x4tkzQUPUpuRCkGy59Sls3hBjOcVs0txqB5xtMXb
    L0TdT6UCgYEA1+fQcWJg9p7gnclR49X9MrhZsqvIy56GAPfw0Tdf/OkExnunkIKPsQWOGe9DjqE93AhEnk7u4bci
    MYsqmHEql5NTJTSgALNBsS5TomVkJibsiXLlFmPumOfhaVVm9ZLPN1zjrP66eTVxPVWJ/FQV3Ucx4Olo1tL1Eqdy
    WoOztQUCgYEA6uciBRwB4SQICzqXMksDOEkIuGaJ3U4OOQajBk5WSIPPPj8GBY6UTIGqixoPxfhbDfNE8NXm8j42
    /iZUHnofRy0uHWNGGLU3kXqNjkHA+bNQ2FaWjjcupuV1pHKYe9aJtPQFOHLvNeOdkfOS+/BmO9k4YAF881oR3H6e
    EPPrYgkCgYA9YaJZGecHNlQVh87IP2YkrVSS/1Ouz/q4+8RzNpMLjBPXegBBjVzcrv+fT+6c9ipoC9G2UCqJ8U6/
    VxldDY9WWIQi57s1d8ENZmZQnRLD5f0Jdqi6nN6QihwDnkwPNRXEX5w66pCJNTBkh5UbL6ynpD4B+1na+U7DZueT
    5C2LIQKBgBfassUbINHUV3nvkWmGmLL41zwpjwYc6XuMEaBkOwkb2jzWr93I3JmIQLGOhH2AYqCi4/YU9fj6taLc
    n6qtHqBsUUr7Fu48keYvY4bg3hoZhHBng/2dSrRF0IttlqGacL1uiY1dtCR68HHUwBfEi2ZByj1d5a/bfedZFPQ6
    VDXG
";
