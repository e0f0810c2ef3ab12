//! Refresh tokens: one spelling, one key, and nothing else is read.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

mod tokens_support;

use chatsdk_auth::refresh_token::{self, Forged, MAX_LEN, RefreshClaims, RefreshKeys};
use chatsdk_auth::secret::DeploymentSecret;
use chatsdk_types::SessionId;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use proptest::prelude::*;
use tokens_support::*;

fn claims() -> RefreshClaims {
    RefreshClaims {
        sid: "ses_01h455vb4pex5vsknk084sn02q".parse().unwrap(),
        n: NOW,
        exp: NOW + 7 * DAY,
    }
}

fn encode(claims: &RefreshClaims) -> String {
    let keys = refresh_keys();
    refresh_token::encode(claims, keys.get(keys.current()).unwrap())
}

#[test]
fn it_is_a_function_of_its_claims() {
    let token = encode(&claims());
    assert_eq!(refresh_token::decode(&token, &refresh_keys()), Ok(claims()));
    assert_eq!(token, encode(&claims()));
    assert!(
        token.starts_with("eyJ") && token.len() < 210,
        "{} characters",
        token.len()
    );
    let parts: Vec<&str> = token.split('.').collect();
    assert_eq!(
        text(parts[0]),
        r#"{"alg":"HS256","kid":"1","typ":"rt+jwt"}"#
    );
    assert_eq!(
        text(parts[1]),
        format!(
            r#"{{"sid":"{}","n":{NOW},"exp":{}}}"#,
            claims().sid,
            NOW + 7 * DAY
        )
    );
    for other in [
        RefreshClaims {
            n: NOW + 1,
            ..claims()
        },
        RefreshClaims {
            exp: NOW,
            ..claims()
        },
        RefreshClaims {
            sid: SessionId::new(NOW, &chatsdk_types::SystemEntropy),
            ..claims()
        },
    ] {
        assert_ne!(encode(&other), token);
    }
}

fn text(part: &str) -> String {
    use base64::Engine as _;
    String::from_utf8(
        base64::engine::general_purpose::URL_SAFE_NO_PAD
            .decode(part)
            .unwrap(),
    )
    .unwrap()
}

#[test]
fn another_secret_or_kid_is_another_key() {
    let token = encode(&claims());
    let other = DeploymentSecret::parse(&"another secret".repeat(4)).unwrap();
    assert_eq!(
        refresh_token::decode(&token, &RefreshKeys::new(&other)),
        Err(Forged)
    );

    let two = RefreshKeys::with(secret().refresh_key("2"), vec![secret().refresh_key("1")]);
    assert_eq!(two.current(), "2");
    assert_eq!(
        refresh_token::decode(&token, &two),
        Ok(claims()),
        "the older key is still there"
    );
    let newer = refresh_token::encode(&claims(), two.get("2").unwrap());
    assert_eq!(refresh_token::decode(&newer, &refresh_keys()), Err(Forged));
    let (header, _) = token.split_once('.').unwrap();
    let (_, rest) = newer.split_once('.').unwrap();
    assert_eq!(
        refresh_token::decode(&format!("{header}.{rest}"), &two),
        Err(Forged),
        "each kid has its own key"
    );
    assert!(two.get("3").is_none());
    assert!(!format!("{two:?}").contains("mac"));
}

/// The MAC is an ordinary HS256 over an ordinary JWS; only the key is ours alone. A library that is given
/// the header and a wrong key refuses it, as we do.
#[test]
fn it_is_an_ordinary_jws() {
    let token = encode(&claims());
    let header = jsonwebtoken::decode_header(&token).unwrap();
    assert_eq!(
        (header.alg, header.typ.as_deref()),
        (Algorithm::HS256, Some("rt+jwt"))
    );
    let rules = Validation::new(Algorithm::HS256);
    let wrong = DecodingKey::from_secret(b"a secret of the tests that is long enough");
    assert!(
        jsonwebtoken::decode::<serde_json::Value>(&token, &wrong, &rules).is_err(),
        "the secret itself is no key"
    );
}

/// With the right key in the wrong hands of a test: what is authentic is still read in one spelling only.
#[test]
fn every_flipped_bit_and_every_other_spelling_is_refused() {
    let token = encode(&claims());
    for at in 0..token.len() {
        for bit in 0..7 {
            let mut bytes = token.clone().into_bytes();
            bytes[at] ^= 1 << bit;
            let flipped = String::from_utf8(bytes).unwrap();
            assert_eq!(
                refresh_token::decode(&flipped, &refresh_keys()),
                Err(Forged),
                "bit {bit} of byte {at}"
            );
        }
    }
    let parts: Vec<&str> = token.split('.').collect();
    let (h, p, s) = (parts[0], parts[1], parts[2]);
    for bad in [
        String::new(),
        ".".into(),
        "..".into(),
        format!("{h}.{p}."),
        format!("{h}.{p}"),
        format!("{h}..{s}"),
        format!(".{p}.{s}"),
        format!("{token}."),
        format!("{token}.{s}"),
        format!(" {token}"),
        format!("{token}\n"),
        format!("{token}="),
        format!("{h}.{p}.{s}{s}"),
        format!("{h}.{p}.{}", &s[..42]),
        format!(
            "{}.{p}.{s}",
            b64(r#"{"alg":"none","kid":"1","typ":"rt+jwt"}"#)
        ),
        format!("{}.{p}.", b64(r#"{"alg":"none","kid":"1","typ":"rt+jwt"}"#)),
        format!(
            "{}.{p}.{s}",
            b64(r#"{"alg":"HS256","typ":"rt+jwt","kid":"1"}"#)
        ),
        format!(
            "{}.{p}.{s}",
            b64(r#"{"alg":"HS256","kid":"","typ":"rt+jwt"}"#)
        ),
        format!(
            "{}.{p}.{s}",
            b64(r#"{"alg":"HS256","kid":"2","typ":"rt+jwt"}"#)
        ),
        format!("{}.{p}.{s}", b64(r#"{"alg":"HS256","typ":"rt+jwt"}"#)),
        format!("{token}{}", "A".repeat(MAX_LEN)),
        "A".repeat(MAX_LEN + 1),
    ] {
        assert_eq!(
            refresh_token::decode(&bad, &refresh_keys()),
            Err(Forged),
            "{bad}"
        );
    }
}

/// Counters and times that are never issued are not read, even with a right MAC.
#[test]
fn numbers_have_bounds() {
    for (n, exp) in [(0, NOW), (-1, NOW), (NOW, 0), (NOW, -1), (i64::MIN, NOW)] {
        let token = encode(&RefreshClaims { n, exp, ..claims() });
        assert_eq!(
            refresh_token::decode(&token, &refresh_keys()),
            Err(Forged),
            "{n} {exp}"
        );
    }
    for (n, exp) in [(1, 1), (i64::MAX, i64::MAX)] {
        let claims = RefreshClaims { n, exp, ..claims() };
        assert_eq!(
            refresh_token::decode(&encode(&claims), &refresh_keys()),
            Ok(claims)
        );
    }
}

proptest! {
    #[test]
    fn any_claims_survive(n in 1..i64::MAX, exp in 1..i64::MAX, at in 0..(1_i64 << 47)) {
        let claims = RefreshClaims { sid: SessionId::new(at, &Constant(n as u8)), n, exp };
        prop_assert_eq!(refresh_token::decode(&encode(&claims), &refresh_keys()), Ok(claims));
    }

    #[test]
    fn nothing_random_is_a_token(bytes in proptest::collection::vec(any::<u8>(), 0..600), text in ".{0,200}", payload in proptest::collection::vec(any::<u8>(), 0..100), mac in proptest::array::uniform32(any::<u8>())) {
        let keys = refresh_keys();
        let header = b64(r#"{"alg":"HS256","kid":"1","typ":"rt+jwt"}"#);
        let shaped = format!("{header}.{}.{}", b64(payload), b64(mac));
        for guess in [String::from_utf8_lossy(&bytes).into_owned(), text, shaped] {
            prop_assert_eq!(refresh_token::decode(&guess, &keys), Err(Forged));
        }
    }
}
