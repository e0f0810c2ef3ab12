//! What people try on JSON Web Signatures, each against a real key ring. Every token that can be is
//! correctly signed, so that it is the rule under test that refuses it and not the signature.

mod tokens_support;

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chatsdk_auth::access::{AccessError, Flaw, MAX_LEN};
use chatsdk_auth::refresh_token::{self, RefreshClaims};
use serde_json::{Value, json};
use tokens_support::*;

fn flaw(base: &Base, token: &str) -> Flaw {
    match base.verify(token) {
        Err(AccessError::Invalid(flaw)) => flaw,
        other => panic!("{token} was {other:?}"),
    }
}

#[test]
fn the_valid_base_is_accepted() {
    let base = base();
    let claims = base.verify(&base.token()).unwrap();
    assert_eq!(claims.sub.as_str(), "user-123");
    assert_eq!(
        claims.custom.as_deref(),
        Some(r#"{"permissions":["read","write"],"role":"admin"}"#)
    );
}

/// J1.
#[test]
fn no_algorithm_is_no_signature() {
    let base = base();
    let mut algs = vec![
        json!(""),
        json!(0),
        json!(["EdDSA"]),
        json!({}),
        json!(true),
    ];
    for word in [
        "none",
        "None",
        "NONE",
        "nOnE",
        "none ",
        "\u{0}none",
        "EdDSA\u{0}",
        "eddsa",
        "ed25519",
        "EdDSA ",
        "Ed448",
        "RS256",
        "PS256",
        "HS512",
    ] {
        algs.push(json!(word));
    }
    for alg in algs {
        let header = changed(&base.header, "alg", alg.clone());
        base.refuses(&alg, &base.signed(&header, &base.claims));
        let input = format!(
            "{}.{}",
            b64(header.to_string()),
            b64(base.claims.to_string())
        );
        base.refuses(&alg, &format!("{input}."));
        base.refuses(&alg, &input);
        base.refuses(&alg, &format!("{input}.{}", b64("none")));
    }
    base.refuses("absent", &base.with_header("alg", Value::Null));
    let null = format!(r#"{{"alg":null,"kid":"{}","typ":"at+jwt"}}"#, base.key.kid);
    base.refuses(
        "null",
        &base.signed_bytes(null.as_bytes(), base.claims.to_string().as_bytes()),
    );
    let (input, _) = base
        .token()
        .rsplit_once('.')
        .map(|(a, b)| (a.to_owned(), b.to_owned()))
        .unwrap();
    base.refuses("signature taken off", &format!("{input}."));
    base.refuses("signature and dot taken off", &input);
}

/// J2: the public key, in every spelling that somebody may hold it in, as the secret of a MAC.
#[test]
fn the_public_key_is_no_mac_key() {
    let base = base();
    let x = base.key.public.clone();
    let der = base.key.pair.public_key().as_ref().to_vec();
    // SubjectPublicKeyInfo of Ed25519 (RFC 8410).
    let spki = [
        &[
            0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
        ][..],
        &x,
    ]
    .concat();
    let body = STANDARD.encode(&spki);
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{body}\n-----END PUBLIC KEY-----\n");
    let jwk = json!({ "kty": "OKP", "crv": "Ed25519", "x": b64(&x) }).to_string();
    let keys: [Vec<u8>; 11] = [
        x.clone(),
        der,
        spki,
        pem.trim_end().as_bytes().to_vec(),
        pem.into_bytes(),
        body.into_bytes(),
        jwk.into_bytes(),
        base.ring.jwks().into_bytes(),
        b64(&x).into_bytes(),
        STANDARD.encode(&x).into_bytes(),
        Vec::new(),
    ];
    for key in keys {
        for alg in ["HS256", "HS384", "EdDSA"] {
            for typ in ["at+jwt", "rt+jwt"] {
                let header = json!({ "alg": alg, "kid": base.key.kid, "typ": typ });
                let input = format!(
                    "{}.{}",
                    b64(header.to_string()),
                    b64(base.claims.to_string())
                );
                base.refuses((alg, typ), &format!("{input}.{}", hs256(&key, &input)));
            }
        }
    }
}

/// J3: the key decides the algorithm, whatever the header says and however good the other signature is.
#[test]
fn the_algorithm_is_the_keys() {
    let base = base();
    for alg in ["ES256", "HS256", "RS256", "none"] {
        assert_eq!(
            flaw(&base, &base.with_header("alg", json!(alg))),
            Flaw::Algorithm,
            "{alg}"
        );
    }
    let rng = aws_lc_rs::rand::SystemRandom::new();
    let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &rng).unwrap();
    let ecdsa =
        EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document.as_ref()).unwrap();
    let header = changed(&base.header, "alg", json!("ES256"));
    let input = format!(
        "{}.{}",
        b64(header.to_string()),
        b64(base.claims.to_string())
    );
    let signature = ecdsa.sign(&rng, input.as_bytes()).unwrap();
    base.refuses("ES256", &format!("{input}.{}", b64(signature.as_ref())));
    // RFC 9864: the algorithm's other name.
    base.verify(&base.with_header("alg", json!("Ed25519")))
        .unwrap();
}

/// J4.
#[test]
fn a_key_is_found_by_its_name_or_not_at_all() {
    let base = base();
    for kid in [
        json!("unknown"),
        json!(""),
        json!(1),
        json!([base.key.kid]),
        json!({ "kid": base.key.kid }),
        json!("k".repeat(10 * 1024)),
        json!("k".repeat(5 * 1024)),
        json!("\u{0}"),
        json!(format!("{}\u{0}", base.key.kid)),
        json!(base.key.kid.to_uppercase()),
        json!(format!(" {}", base.key.kid)),
        json!("../../etc/passwd"),
        json!("' OR 1=1 --"),
    ] {
        base.refuses(&kid, &base.with_header("kid", kid.clone()));
    }
    base.refuses("absent", &base.with_header("kid", Value::Null));
}

/// J6 and the emergency: what a key is good for changes with time, also under a ring that was built
/// before.
#[test]
fn keys_have_their_time() {
    use chatsdk_auth::signing::{KeyRing, VERIFIES_FOR};
    let made = |activates_at, retired_at, emergency| {
        let mut base = base();
        base.key.activates_at = activates_at;
        base.key.retired_at = retired_at;
        base.key.emergency = emergency;
        base.ring = KeyRing::build([&base.key], &sealing_key(), NOW).unwrap();
        base
    };
    let verdict = |base: &Base| base.verify(&base.token()).map(|_| ());
    let out_of_time = Err(AccessError::Invalid(Flaw::KeyState));

    assert_eq!(
        verdict(&made(NOW + 60_001, None, false)),
        out_of_time,
        "pending"
    );
    assert_eq!(
        verdict(&made(NOW + 60_000, None, false)),
        Ok(()),
        "another node's clock is a minute ahead"
    );
    assert_eq!(
        verdict(&made(NOW - DAY, Some(NOW - 1), false)),
        Ok(()),
        "retired"
    );
    assert_eq!(
        verdict(&made(NOW - 9 * DAY, Some(NOW - VERIFIES_FOR), false)),
        Ok(()),
        "at the end of its window"
    );
    assert_eq!(
        verdict(&made(NOW - 9 * DAY, Some(NOW - VERIFIES_FOR - 1), false)),
        Err(AccessError::Expired),
        "behind its window"
    );
    assert_eq!(
        verdict(&made(NOW, Some(NOW - 1), false)),
        out_of_time,
        "retired before it signed"
    );
    let withdrawn = made(NOW - DAY, Some(NOW - 1), true);
    assert_eq!(verdict(&withdrawn), Err(AccessError::Expired));
    let forged = withdrawn.token().replace('.', ".e");
    assert!(
        matches!(withdrawn.verify(&forged), Err(AccessError::Invalid(_))),
        "expired is said of good tokens only"
    );

    let pending = made(NOW + 660_000, None, false);
    assert!(pending.verify(&pending.token()).is_err());
    pending
        .verify_at(&pending.with_claim("exp", json!(IAT + 7200)), NOW + 660_000)
        .unwrap();

    let removed = base();
    let empty = KeyRing::empty();
    let answer = chatsdk_auth::access::verify(&removed.token(), &empty, &expect(NOW));
    assert_eq!(answer, Err(AccessError::Invalid(Flaw::UnknownKey)));
}

/// J7, J9, J10 and their neighbours: a header says which key, and nothing about how to read the token.
#[test]
fn a_header_brings_nothing_along() {
    let base = base();
    let attacker = Ed25519KeyPair::from_seed_unchecked(&[66; 32]).unwrap();
    let jwk = json!({ "kty": "OKP", "crv": "Ed25519", "x": b64(attacker.public_key().as_ref()) });
    for (name, value) in [
        ("jwk", jwk.clone()),
        ("jku", json!("https://evil.example/jwks.json")),
        ("x5c", json!(["MIIB"])),
        ("x5u", json!("https://evil.example/cert.pem")),
        ("x5t", json!("AAAA")),
        ("crit", json!(["exp"])),
        ("crit", json!([])),
        ("crit", json!(["unknown"])),
        ("b64", json!(false)),
        ("b64", json!(true)),
        ("zip", json!("DEF")),
        ("cty", json!("JWT")),
        ("enc", json!("A256GCM")),
        ("p2c", json!(1_000_000_000)),
        ("nonce", json!("x")),
        ("ALG", json!("none")),
    ] {
        base.refuses(name, &base.with_header(name, value.clone()));
        assert_eq!(
            flaw(&base, &base.with_header(name, value)),
            Flaw::Header,
            "{name}"
        );
    }
    // Signed by the attacker's own key, which the header brings along.
    for kid in [json!(base.key.kid), json!("attacker")] {
        let header = json!({ "alg": "EdDSA", "kid": kid, "typ": "at+jwt", "jwk": jwk });
        let input = format!(
            "{}.{}",
            b64(header.to_string()),
            b64(base.claims.to_string())
        );
        base.refuses(
            "jwk",
            &format!("{input}.{}", b64(attacker.sign(input.as_bytes()).as_ref())),
        );
    }
}

#[test]
fn a_header_has_each_member_once() {
    let base = base();
    let kid = &base.key.kid;
    let claims = base.claims.to_string();
    for header in [
        format!(r#"{{"alg":"none","alg":"EdDSA","kid":"{kid}","typ":"at+jwt"}}"#),
        format!(r#"{{"alg":"EdDSA","alg":"none","kid":"{kid}","typ":"at+jwt"}}"#),
        format!(r#"{{"alg":"EdDSA","\u0061lg":"EdDSA","kid":"{kid}","typ":"at+jwt"}}"#),
        format!(r#"{{"alg":"EdDSA","kid":"x","kid":"{kid}","typ":"at+jwt"}}"#),
        format!(r#"{{"alg":"EdDSA","kid":"{kid}","typ":"rt+jwt","typ":"at+jwt"}}"#),
        format!(r#"{{"alg":"EdDSA","kid":"{kid}","typ":"at+jwt"}}{{}}"#),
        format!(r#"{{"alg":"EdDSA","kid":"{kid}","typ":"at+jwt",}}"#),
        format!(r#"["EdDSA","{kid}","at+jwt"]"#),
        format!("\u{feff}{{\"alg\":\"EdDSA\",\"kid\":\"{kid}\",\"typ\":\"at+jwt\"}}"),
        r#""EdDSA""#.into(),
        "null".into(),
        "{}".into(),
        "[".repeat(5000),
        r#"{"a":"#.repeat(1500),
    ] {
        base.refuses(
            &header,
            &base.signed_bytes(header.as_bytes(), claims.as_bytes()),
        );
    }
    base.refuses(
        "no UTF-8",
        &base.signed_bytes(b"{\"alg\":\"EdDSA\xff\"}", claims.as_bytes()),
    );
}

/// J13.
#[test]
fn a_token_is_of_one_type() {
    let base = base();
    for typ in ["AT+JWT", "application/at+jwt", "Application/AT+jwt"] {
        base.verify(&base.with_header("typ", json!(typ))).unwrap();
    }
    for typ in [
        json!("JWT"),
        json!("rt+jwt"),
        json!("application/rt+jwt"),
        json!(""),
        json!("at"),
        json!("at+jwt;x=1"),
        json!(["at+jwt"]),
        json!(1),
    ] {
        base.refuses(&typ, &base.with_header("typ", typ.clone()));
    }
    base.refuses("absent", &base.with_header("typ", Value::Null));
}

/// J14: a refresh token is no bearer token, and the other way round.
#[test]
fn tokens_do_not_stand_in_for_each_other() {
    let base = base();
    let keys = refresh_keys();
    let claims = RefreshClaims {
        sid: ids().session,
        n: NOW,
        exp: NOW + DAY,
    };
    let refresh = refresh_token::encode(&claims, keys.get(keys.current()).unwrap());
    assert_eq!(refresh_token::decode(&refresh, &keys), Ok(claims));
    assert_eq!(flaw(&base, &refresh), Flaw::Type);
    assert!(refresh_token::decode(&base.token(), &keys).is_err());

    // The parts of one under the header of the other.
    let access = base.token();
    let mut parts: Vec<&str> = access.split('.').collect();
    let mut others: Vec<&str> = refresh.split('.').collect();
    for at in 0..3 {
        std::mem::swap(&mut parts[at], &mut others[at]);
        base.refuses(at, &parts.join("."));
        base.refuses(at, &others.join("."));
        std::mem::swap(&mut parts[at], &mut others[at]);
    }
    // A correctly signed access token that says it is a refresh token.
    base.refuses("rt+jwt", &base.with_header("typ", json!("rt+jwt")));
    // A token for something else of ours, signed with the same key.
    base.refuses("subscription", &base.with_header("typ", json!("sub+jwt")));
}

/// J15.
#[test]
fn the_audience_is_ours() {
    let base = base();
    for aud in [
        json!("chatsdk"),
        json!(["chatsdk"]),
        json!(["other", "chatsdk"]),
    ] {
        base.verify(&base.with_claim("aud", aud)).unwrap();
    }
    for aud in [
        json!("other"),
        json!("Chatsdk"),
        json!("chatsdk "),
        json!(""),
        json!([]),
        json!(["other"]),
        json!([["chatsdk"]]),
        json!({ "chatsdk": true }),
        json!(1),
        json!(["chatsdk", 1]),
    ] {
        base.refuses(&aud, &base.with_claim("aud", aud.clone()));
    }
    base.refuses("absent", &base.with_claim("aud", Value::Null));
    let mut many = vec!["x"; 10_000];
    many.push("chatsdk");
    base.refuses("many", &base.with_claim("aud", json!(many)));
}

/// J16.
#[test]
fn the_issuer_is_exact() {
    let base = base();
    for iss in [
        json!("https://evil.example"),
        json!(format!("{ISSUER}/")),
        json!("https://CHAT.example.com"),
        json!(""),
        json!([ISSUER]),
        json!(1),
    ] {
        base.refuses(&iss, &base.with_claim("iss", iss.clone()));
    }
    base.refuses("absent", &base.with_claim("iss", Value::Null));
}

/// J17 and the other names: each claim has to be there, and to be what it is called.
#[test]
fn who_and_what_is_named() {
    let base = base();
    for claim in ["client_id", "sub", "sid", "jti", "iat", "exp", "rc"] {
        base.refuses(claim, &base.with_claim(claim, Value::Null));
        for value in [
            json!(null),
            json!([]),
            json!({}),
            json!(true),
            json!(""),
            json!(-1),
        ] {
            if (claim, &value) == ("jti", &json!("")) || value.is_null() {
                continue;
            }
            base.refuses((claim, &value), &base.with_claim(claim, value.clone()));
        }
    }
    base.refuses(
        "a session as app",
        &base.with_claim("client_id", json!("ses_01h455vb4pex5vsknk084sn02q")),
    );
    base.refuses(
        "an app as session",
        &base.with_claim("sid", json!("app_01h455vb4pex5vsknk084sn02q")),
    );
    base.refuses(
        "a long user",
        &base.with_claim("sub", json!("x".repeat(129))),
    );
    base.refuses(
        "a hidden user",
        &base.with_claim("sub", json!("user\u{202e}")),
    );
    for claim in ["name", "avatar"] {
        base.verify(&base.with_claim(claim, Value::Null)).unwrap();
        base.refuses(claim, &base.with_claim(claim, json!(1)));
    }
    base.verify(&base.with_claim("custom", Value::Null))
        .unwrap();
    for custom in [json!([]), json!("x"), json!(1), json!(true)] {
        base.refuses(&custom, &base.with_claim("custom", custom.clone()));
    }
    // Claims of the next version of us.
    base.verify(&base.with_claim("unknown", json!({ "x": [1, 2.5, null] })))
        .unwrap();
    // An app's token stays that app's: the claim is there for the caller to compare.
    let other = base.with_claim("client_id", json!("app_01h455vb4pex5vsknk084sn02r"));
    assert_eq!(
        base.verify(&other).unwrap().client_id.as_str(),
        "app_01h455vb4pex5vsknk084sn02r"
    );
}

/// J18: expired when the clock reaches `exp`; no leeway.
#[test]
fn expiry_is_exact() {
    let base = base();
    let token = base.token();
    let exp = (IAT + 3600) * 1000;
    base.verify_at(&token, exp - 1).unwrap();
    for now in [exp, exp + 1, exp + 1000, exp + 60_000, exp + 365 * DAY] {
        assert_eq!(base.verify_at(&token, now), Err(AccessError::Expired));
    }
    // A token that is wrong is wrong, and not expired.
    let wrong = base.with_claim("iss", json!("https://evil.example"));
    assert!(matches!(
        base.verify_at(&wrong, exp + 1),
        Err(AccessError::Invalid(Flaw::Issuer))
    ));
    assert_eq!(
        base.verify(&base.with_claim("exp", json!(IAT))),
        Err(AccessError::Expired)
    );
}

/// J20 and the bounds of numbers.
#[test]
fn no_token_lives_longer_than_tokens_do() {
    let base = base();
    // Both ends are rounded to seconds.
    base.verify(&base.with_claim("exp", json!(IAT + 86_401)))
        .unwrap();
    for exp in [
        IAT + 86_402,
        253_402_300_799,
        (1 << 53),
        (1 << 53) + 1,
        i64::MAX,
    ] {
        base.refuses(exp, &base.with_claim("exp", json!(exp)));
    }
    for text in [
        "1e10",
        "1767225601.0",
        "1767225601.5",
        "-1",
        "\"1767225601\"",
        "true",
        "[1767225601]",
        "18446744073709551616",
        "1e999",
        "-0",
        "NaN",
        "Infinity",
        "01767225601",
        "+1767225601",
        "0x10",
    ] {
        for claim in ["iat", "exp", "nbf", "rc"] {
            let mut claims = base.claims.as_object().unwrap().clone();
            claims.remove(claim);
            let mut json = Value::from(claims).to_string();
            json.truncate(json.len() - 1);
            let json = format!("{json},\"{claim}\":{text}}}");
            let token = base.signed_bytes(base.header.to_string().as_bytes(), json.as_bytes());
            base.refuses((claim, text), &token);
        }
    }
}

/// J21, J22.
#[test]
fn clocks_may_differ_by_a_minute() {
    let base = base();
    for claim in ["iat", "nbf"] {
        let at = |seconds: i64| base.with_claim(claim, json!(IAT + seconds));
        base.verify(&at(59)).unwrap();
        base.verify(&at(60)).unwrap();
        assert_eq!(flaw(&base, &at(61)), Flaw::Early, "{claim}");
        base.refuses(claim, &base.with_claim(claim, json!("1767225600")));
        base.refuses(claim, &base.with_claim(claim, json!(1_767_225_600.5)));
    }
    base.verify(&base.with_claim("nbf", json!(0))).unwrap();
}

/// J24, J25: the payload is one strict JSON object.
#[test]
fn claims_are_strict_json() {
    let base = base();
    let header = base.header.to_string();
    let good = base.claims.to_string();
    let inside = &good[1..good.len() - 1];
    let mut bad: Vec<Vec<u8>> = [
        "[]".to_owned(),
        "\"x\"".into(),
        "null".into(),
        "{}".into(),
        "1".into(),
        "true".into(),
        String::new(),
        " ".into(),
        format!("[{good}]"),
        format!("{good}x"),
        format!("{good}{good}"),
        format!("{good}\u{0}"),
        format!("{good}/* */"),
        format!("/* */{good}"),
        format!("{{{inside},}}"),
        format!("{{{inside}"),
        format!("{{{inside},'x':1}}"),
        format!("{{{inside},x:1}}"),
        format!("{{{inside},\"x\":NaN}}"),
        format!("{{{inside},\"x\":\"\t\"}}"),
        format!("{{{inside},\"x\":\"\\ud800\"}}"),
        format!("{{{inside},\"x\":\"\\x\"}}"),
        format!("\u{feff}{good}"),
        // Twice, in every way of writing it.
        format!("{{{inside},\"sub\":\"admin\"}}"),
        format!("{{\"sub\":\"admin\",{inside}}}"),
        format!("{{{inside},\"s\\u0075b\":\"admin\"}}"),
        format!("{{{inside},\"exp\":{}}}", IAT + 3600),
        format!("{{{inside},\"x\":1,\"x\":1}}"),
        format!("{{{inside},\"x\":1,\"y\":2,\"\\u0078\":1}}"),
        format!("{{{inside},\"x\":[{{\"y\":1,\"y\":1}}]}}"),
        format!("{{{inside},\"custom\":{{}}}}"),
    ]
    .into_iter()
    .map(String::into_bytes)
    .collect();
    for junk in [
        &b"\xff"[..],
        b"\xc0\x80",
        b"\xc0\xaf",
        b"\xed\xa0\x80",
        b"\xf4\x90\x80\x80",
        b"\xe2\x82",
    ] {
        for place in ["name", "unknown"] {
            let mut claims = base.claims.as_object().unwrap().clone();
            claims.remove(place);
            let json = Value::from(claims).to_string();
            let mut bytes = json.as_bytes()[..json.len() - 1].to_vec();
            bytes.extend_from_slice(format!(",\"{place}\":\"").as_bytes());
            bytes.extend_from_slice(junk);
            bytes.extend_from_slice(b"\"}");
            bad.push(bytes);
        }
        let json = good.replace("admin", "@");
        let at = json.find('@').unwrap();
        bad.push([&json.as_bytes()[..at], junk, &json.as_bytes()[at + 1..]].concat());
    }
    for payload in bad {
        let token = base.signed_bytes(header.as_bytes(), &payload);
        base.refuses(String::from_utf8_lossy(&payload), &token);
    }
    let duplicate = good.replace(r#""role":"admin""#, r#""role":"user","role":"admin""#);
    base.refuses(
        "twice in custom",
        &base.signed_bytes(header.as_bytes(), duplicate.as_bytes()),
    );
    // White space is JSON.
    base.verify(&base.signed_bytes(header.as_bytes(), format!(" {good}\n").as_bytes()))
        .unwrap();
}

/// J27: one form, compact.
#[test]
fn the_form_is_compact() {
    let base = base();
    let token = base.token();
    let parts: Vec<&str> = token.split('.').collect();
    let (header, payload, signature) = (parts[0], parts[1], parts[2]);
    for bad in [
        json!({ "payload": payload, "protected": header, "signature": signature }).to_string(),
        json!({ "payload": payload, "signatures": [{ "protected": header, "signature": signature }] }).to_string(),
        format!("{token}.{signature}.{signature}"),
        format!("{token}..."),
        format!("{token}.{signature}"),
        format!(".{token}"),
        format!("{token}."),
        format!("{header}..{signature}"),
        format!(".{payload}.{signature}"),
        format!("Bearer {token}"),
        format!("Bearer Bearer {token}"),
        format!(" {token}"),
        format!("{token} "),
        format!("{token}\n"),
        format!("{header}\n.{payload}.{signature}"),
        format!("{token}="),
        format!("{header}=.{payload}.{signature}"),
        format!("{header}.{payload}=.{signature}"),
        format!("{header}.{payload}.{signature}=="),
        format!("{token}\0"),
        format!("\u{feff}{token}"),
        token.replace('.', "\u{ff0e}"),
        format!("{token},{token}"),
        String::new(),
        ".".into(),
        "..".into(),
        "...".into(),
        "eyJ".into(),
    ] {
        base.refuses("form", &bad);
    }
}

/// Ed25519 signatures have one spelling too: neither another encoding nor S + L.
#[test]
fn signatures_are_not_malleable() {
    // L of RFC 8032, little end first.
    const L: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde,
        0x14, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let base = base();
    let input = base.token().rsplit_once('.').unwrap().0.to_owned();
    let good = base.key.pair.sign(input.as_bytes()).as_ref().to_vec();
    let with = |signature: &[u8]| format!("{input}.{}", b64(signature));
    base.verify(&with(&good)).unwrap();

    let mut shifted = good.clone();
    let mut carry = 0;
    for (byte, add) in shifted[32..].iter_mut().zip(L) {
        let sum = u16::from(*byte) + u16::from(add) + carry;
        *byte = sum as u8;
        carry = sum >> 8;
    }
    assert_eq!(flaw(&base, &with(&shifted)), Flaw::Signature, "S + L");
    for bad in [
        vec![0; 64],
        [[1].as_slice(), &[0; 63]].concat(),
        good[..63].to_vec(),
        [&good[..], &[0]].concat(),
        good.repeat(2),
    ] {
        base.refuses("signature", &with(&bad));
    }
    // 64 bytes leave four unused bits in the last character: set ones are another spelling.
    let token = base.token();
    let last = token.chars().last().unwrap();
    for other in "BCDEFGHIJKLMNOP".chars().filter(|other| *other != last) {
        base.refuses(other, &format!("{}{other}", &token[..token.len() - 1]));
    }
    base.refuses(
        "standard alphabet",
        &format!("{input}.{}", STANDARD.encode(&good)),
    );
}

/// J28: the size decides before anything is read.
#[test]
fn the_size_is_bounded() {
    let base = base();
    let of_size = |want: usize| {
        // A header with white space in it makes every length reachable that base64url can have.
        (0..8).find_map(|spaces| {
            let header = format!("{}{}", base.header, " ".repeat(spaces));
            let around = b64(&header).len() + 2 + 86;
            let mut payload = base.claims.to_string();
            let fits = |payload: &str| around + (payload.len() * 4).div_ceil(3);
            while fits(&payload) < want {
                payload.push(' ');
            }
            (fits(&payload) == want)
                .then(|| base.signed_bytes(header.as_bytes(), payload.as_bytes()))
        })
    };
    for (want, good) in [
        (MAX_LEN - 2, true),
        (MAX_LEN - 1, true),
        (MAX_LEN, false),
        (MAX_LEN + 1, false),
    ] {
        let token = of_size(want).unwrap();
        assert_eq!(token.len(), want);
        assert_eq!(base.verify(&token).is_ok(), good, "{want}");
        if !good {
            assert_eq!(flaw(&base, &token), Flaw::Size);
        }
    }
    for size in [1 << 20, 100 << 20] {
        assert_eq!(flaw(&base, &"e".repeat(size)), Flaw::Size);
        assert!(refresh_token::decode(&"e".repeat(size), &refresh_keys()).is_err());
    }
}

/// J29.
#[test]
fn depth_is_bounded() {
    let base = base();
    let header = base.header.to_string();
    let with_custom = |custom: &str| {
        let good = base.claims.to_string();
        let old = base.claims["custom"].to_string();
        base.signed_bytes(header.as_bytes(), good.replace(&old, custom).as_bytes())
    };
    let nested = |depth: usize| format!("{}1{}", r#"{"a":"#.repeat(depth), "}".repeat(depth));
    base.verify(&with_custom(&nested(15))).unwrap();
    base.refuses("one too deep", &with_custom(&nested(16)));
    base.refuses("deep", &with_custom(&nested(700)));
    // As deep as a size that is read can be: brackets that never close included.
    for open in ["[", r#"{"a":"#] {
        let payload = open.repeat(5_000 / open.len());
        base.refuses(
            open,
            &base.signed_bytes(header.as_bytes(), payload.as_bytes()),
        );
        base.refuses(open, &with_custom(&format!(r#"{{"a":{payload}"#)));
    }
    let deep = base.signed_bytes(header.as_bytes(), "[".repeat(10_000).as_bytes());
    assert_eq!(flaw(&base, &deep), Flaw::Size);
}
