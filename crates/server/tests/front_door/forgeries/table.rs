//! What is tried, by the numbers of the catalogue. Whatever can be is correctly signed.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::forger::{Forger, b64, changed, hs256};

/// A name for the message of a failure, and the token.
pub(super) type Forgery = (String, String);

/// Access tokens that are none, nor anything else.
pub(super) fn access(forger: &Forger) -> Vec<Forgery> {
    let mut all = Vec::new();
    algorithms(forger, &mut all);
    macs(forger, &mut all);
    keys(forger, &mut all);
    headers(forger, &mut all);
    claims(forger, &mut all);
    payloads(forger, &mut all);
    forms(forger, &mut all);
    all
}

/// J1, J3.
fn algorithms(forger: &Forger, all: &mut Vec<Forgery>) {
    let mut values: Vec<Value> = [
        "none", "None", "NONE", "nOnE", "", "none ", "eddsa", "Ed448", "ES256", "HS256", "RS256",
    ]
    .map(Value::from)
    .to_vec();
    values.extend([json!(0), json!(["EdDSA"]), json!({}), json!(true)]);
    for alg in values {
        let header = changed(&forger.header, "alg", alg.clone()).to_string();
        let signed = forger.signed(&header, forger.claims.to_string());
        let input = signed.rsplit_once('.').unwrap().0.to_owned();
        all.push((format!("J1 {alg} signed"), signed));
        all.push((format!("J1 {alg}, empty signature"), format!("{input}.")));
        all.push((format!("J1 {alg}, no third part"), input));
    }
    all.push(("J1 absent".into(), forger.with_header("alg", Value::Null)));
    let null = forger.header.to_string().replace("\"EdDSA\"", "null");
    all.push((
        "J1 null".into(),
        forger.signed(null, forger.claims.to_string()),
    ));

    let chance = SystemRandom::new();
    let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &chance).unwrap();
    let pair =
        EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document.as_ref()).unwrap();
    let header = changed(&forger.header, "alg", json!("ES256")).to_string();
    let input = format!("{}.{}", b64(header), b64(forger.claims.to_string()));
    let signature = pair.sign(&chance, input.as_bytes()).unwrap();
    all.push((
        "J3 ES256 by another key".into(),
        format!("{input}.{}", b64(signature)),
    ));
}

/// J2: the public key, in every spelling that somebody may hold it in, as the secret of a MAC.
fn macs(forger: &Forger, all: &mut Vec<Forgery>) {
    let x = forger.public();
    // SubjectPublicKeyInfo of Ed25519 (RFC 8410).
    let prefix = [
        0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
    ];
    let der = [&prefix[..], x].concat();
    let pem = format!(
        "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
        STANDARD.encode(&der)
    );
    let jwk = json!({ "kty": "OKP", "crv": "Ed25519", "x": b64(x) }).to_string();
    let spellings = [
        ("raw", x.to_vec()),
        ("DER", der),
        ("PEM", pem.into_bytes()),
        ("JWK", jwk.into_bytes()),
        ("base64url", b64(x).into_bytes()),
        ("empty", Vec::new()),
    ];
    for (name, key) in spellings {
        for (alg, typ) in [
            ("HS256", "at+jwt"),
            ("EdDSA", "at+jwt"),
            ("HS256", "rt+jwt"),
        ] {
            let header = json!({ "alg": alg, "kid": forger.header["kid"], "typ": typ });
            let input = format!(
                "{}.{}",
                b64(header.to_string()),
                b64(forger.claims.to_string())
            );
            all.push((format!("J2 {name} {alg} {typ}"), hs256(&key, &input)));
        }
    }
}

/// J4.
fn keys(forger: &Forger, all: &mut Vec<Forgery>) {
    let kid = forger.header["kid"].as_str().unwrap();
    for value in [
        json!("unknown"),
        json!(""),
        json!(1),
        json!([kid]),
        json!("k".repeat(5 * 1024)),
        json!("k".repeat(10 * 1024)),
        json!("\u{0}"),
        json!(format!("{kid}\u{0}")),
        json!(format!(" {kid}")),
        json!("../../etc/passwd"),
        json!("' OR 1=1 --"),
    ] {
        let name = format!("J4 {value:.40}");
        all.push((name, forger.with_header("kid", value)));
    }
    all.push(("J4 absent".into(), forger.with_header("kid", Value::Null)));
}

/// J7, J9, J10, J13.
fn headers(forger: &Forger, all: &mut Vec<Forgery>) {
    let attacker = Ed25519KeyPair::from_seed_unchecked(&[66; 32]).unwrap();
    let jwk = json!({ "kty": "OKP", "crv": "Ed25519", "x": b64(attacker.public_key()) });
    for (name, value) in [
        ("jwk", jwk.clone()),
        ("jku", json!("https://evil.example/jwks.json")),
        ("x5c", json!(["MIIB"])),
        ("x5u", json!("https://evil.example/cert.pem")),
        ("crit", json!(["exp"])),
        ("crit", json!([])),
        ("crit", json!(["unknown"])),
        ("b64", json!(false)),
        ("zip", json!("DEF")),
        ("enc", json!("A256GCM")),
    ] {
        all.push((
            format!("J7, J9, J10 {name} {value}"),
            forger.with_header(name, value),
        ));
    }
    for kid in [forger.header["kid"].clone(), json!("attacker")] {
        let header = json!({ "alg": "EdDSA", "kid": kid, "typ": "at+jwt", "jwk": jwk });
        let input = format!(
            "{}.{}",
            b64(header.to_string()),
            b64(forger.claims.to_string())
        );
        let signature = b64(attacker.sign(input.as_bytes()));
        all.push((
            format!("J7 signed by the key that it brings along, as {kid}"),
            format!("{input}.{signature}"),
        ));
    }
    for typ in [
        json!("JWT"),
        json!("rt+jwt"),
        json!("sub+jwt"),
        json!(""),
        json!(["at+jwt"]),
    ] {
        all.push((format!("J13, J14 {typ}"), forger.with_header("typ", typ)));
    }
    all.push(("J13 absent".into(), forger.with_header("typ", Value::Null)));
    let twice = forger
        .header
        .to_string()
        .replacen('{', "{\"alg\":\"none\",", 1);
    all.push((
        "alg twice".into(),
        forger.signed(twice, forger.claims.to_string()),
    ));
}

/// J15, J16, J20, J21, J22 and what a claim must be.
fn claims(forger: &Forger, all: &mut Vec<Forgery>) {
    let iss = forger.claims["iss"].as_str().unwrap();
    let iat = forger.claims["iat"].as_i64().unwrap();
    let mut many = vec!["x"; 10_000];
    many.push("chatsdk");
    for (claim, value) in [
        ("aud", json!("other")),
        ("aud", json!([])),
        ("aud", json!(["other"])),
        ("aud", json!([["chatsdk"]])),
        ("aud", json!(many)),
        ("iss", json!("https://evil.example")),
        ("iss", json!(format!("{iss}/"))),
        ("iss", json!(iss.to_uppercase())),
        ("iss", json!([iss])),
        ("exp", json!(253_402_300_799_i64)),
        ("exp", json!(i64::MAX)),
        ("exp", json!("1")),
        ("iat", json!(iat + 62)),
        ("iat", json!(iat.to_string())),
        ("nbf", json!(iat + 62)),
        ("nbf", json!(iat.to_string())),
        ("nbf", json!(iat as f64 + 0.5)),
        ("sub", json!(["ann"])),
        ("sub", json!("user\u{202e}")),
        ("sub", json!("x".repeat(129))),
        ("sid", json!("ses_x")),
        ("client_id", json!(1)),
        ("custom", json!([])),
    ] {
        all.push((
            format!("J15-J22 {claim} {value:.60}"),
            forger.with_claim(claim, value),
        ));
    }
    for claim in ["aud", "iss", "client_id", "sub", "sid", "jti", "iat", "exp"] {
        all.push((
            format!("J15-J17 without {claim}"),
            forger.with_claim(claim, Value::Null),
        ));
    }
}

/// J24, J25, J29: the payload is one strict JSON object.
fn payloads(forger: &Forger, all: &mut Vec<Forgery>) {
    let good = forger.claims.to_string();
    let inside = &good[1..good.len() - 1];
    let header = forger.header.to_string();
    let nested = |depth: usize| {
        let custom = format!("{}1{}", r#"{"a":"#.repeat(depth), "}".repeat(depth));
        let without = changed(&forger.claims, "custom", Value::Null).to_string();
        format!("{{\"custom\":{custom},{}", &without[1..])
    };
    for text in [
        "[]".to_owned(),
        "\"x\"".into(),
        "null".into(),
        "{}".into(),
        " ".into(),
        format!("\u{feff}{good}"),
        format!("{good}x"),
        format!("{good}{good}"),
        format!("{good}/* */"),
        format!("{{{inside},}}"),
        format!("{{{inside},\"x\":NaN}}"),
        format!("{{{inside},\"x\":\"\\ud800\"}}"),
        format!("{{{inside},\"sub\":\"admin\"}}"),
        format!("{{\"s\\u0075b\":\"admin\",{inside}}}"),
        nested(16),
        nested(700),
        nested(10_000),
        "[".repeat(5_000),
    ] {
        let name = format!(
            "J24, J25, J29 {}",
            text.chars().take(40).collect::<String>()
        );
        all.push((name, forger.signed(&header, text)));
    }
    for junk in [&b"\xff"[..], b"\xc0\x80", b"\xed\xa0\x80"] {
        let payload = [
            &good.as_bytes()[..good.len() - 1],
            b",\"x\":\"",
            junk,
            b"\"}",
        ]
        .concat();
        all.push((format!("J24 {junk:?}"), forger.signed(&header, payload)));
    }
}

/// J27, J28: one form, compact, of bounded size.
fn forms(forger: &Forger, all: &mut Vec<Forgery>) {
    let token = forger.signed(forger.header.to_string(), forger.claims.to_string());
    let [header, payload, signature] = token.split('.').collect::<Vec<_>>().try_into().unwrap();
    for bad in [
        json!({ "payload": payload, "protected": header, "signature": signature }).to_string(),
        format!("{token}.{signature}.{signature}"),
        format!("{token}..."),
        format!("{token}."),
        format!(".{token}"),
        format!("{header}..{signature}"),
        format!(".{payload}.{signature}"),
        format!("Bearer {token}"),
        format!("{token}="),
        format!("{header}=.{payload}.{signature}"),
        format!("{header}.{payload}=.{signature}"),
        format!("{header}.{payload}.{}", "A".repeat(86)),
        format!("{header}.{payload}.{}", &signature[..84]),
        format!("{token},{token}"),
        ".".into(),
        "..".into(),
        "...".into(),
        "eyJ".into(),
    ] {
        all.push((format!("J27 {bad:.60}"), bad));
    }
    for size in [chatsdk_auth::access::MAX_LEN, 12 * 1024] {
        all.push((format!("J28 {size} bytes"), sized(forger, size)));
    }
}

/// A correctly signed token of about this size: not less than it, and at most three bytes more.
pub(super) fn sized(forger: &Forger, size: usize) -> String {
    let mut payload = forger.claims.to_string();
    loop {
        let token = forger.signed(forger.header.to_string(), &payload);
        if token.len() >= size {
            return token;
        }
        payload.push_str(&" ".repeat((size - token.len()).div_ceil(2)));
    }
}

/// Refresh tokens with a good MAC, and none of ours all the same.
pub(super) fn refresh(forger: &Forger) -> Vec<Forgery> {
    let [header, payload] = &forger.refresh_parts;
    let mut all = Vec::new();
    for (from, to) in [
        ("HS256", "none"),
        ("HS256", "HS384"),
        ("HS256", "EdDSA"),
        ("\"1\"", "\"2\""),
        ("\"1\"", "1"),
        ("\"1\"", "\"\""),
        ("rt+jwt", "at+jwt"),
        ("rt+jwt", "RT+JWT"),
        ("{", "{\"crit\":[],"),
        ("{", "{\"alg\":\"none\","),
        ("{", " {"),
        ("{", "{ "),
        ("}", "}x"),
    ] {
        let changed = header.replacen(from, to, 1);
        assert_ne!(&changed, header, "{from}");
        all.push((
            format!("header {changed}"),
            forger.refresh(&changed, payload),
        ));
    }
    for (from, to) in [
        ("\"n\":", "\"n\":-"),
        ("\"n\":", "\"n\":0"),
        ("\"n\":", "\"n\":99999999999999999999"),
        ("\"n\":", "\"n\":\"1\",\"n\":"),
        ("\"n\":", "\"n\": "),
        ("\"exp\":", "\"exp\":+"),
        ("ses_", "app_"),
        ("ses_", "SES_"),
        ("{", "{\"x\":1,"),
        ("{", "[{"),
        ("{", "\u{feff}{"),
        ("}", ",\"x\":1}"),
        ("}", "}}"),
        ("}", ""),
    ] {
        let changed = payload.replacen(from, to, 1);
        assert_ne!(&changed, payload, "{from}");
        all.push((
            format!("payload {changed}"),
            forger.refresh(header, &changed),
        ));
    }
    let good = forger.refresh(header, payload);
    let (input, mac) = good.rsplit_once('.').unwrap();
    for bad in [
        input.to_owned(),
        format!("{input}."),
        format!("{good}."),
        format!(".{good}"),
        format!("{good}="),
        format!("{good}.{mac}.{mac}"),
        format!("{input}.{}", "A".repeat(mac.len())),
        format!("{input}.{}", &mac[..mac.len() - 4]),
        hs256(b"", input),
        hs256(forger.public(), input),
        // Signed as an access token, and what the tokens say exchanged.
        forger.signed(header, payload),
        forger.signed(forger.header.to_string(), payload),
        forger.refresh(&forger.header.to_string(), &forger.claims.to_string()),
        forger.refresh(header, &forger.claims.to_string()),
    ] {
        all.push((format!("form {bad:.400}"), bad));
    }
    all
}
