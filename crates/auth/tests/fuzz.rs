//! A short run of every fuzz target on the stable toolchain: what is good, and some thousand inputs made of it
//! by the same seed each time. `cargo fuzz run -s none <target>` goes on from here.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends")]

#[expect(unreachable_pub, reason = "it is a crate of its own elsewhere")]
#[path = "../fuzz/src/lib.rs"]
mod targets;

#[path = "../../protocol/tests/mutation/mod.rs"]
mod mutation;

use chatsdk_auth::api_key::{self, Env};
use chatsdk_auth::refresh_token::RefreshClaims;
use chatsdk_types::{SessionId, SystemEntropy};
use mutation::run;
use targets::NOW;

fn claims(custom: &str) -> Vec<u8> {
    let (iat, exp, rc) = (NOW, NOW + 3600, NOW * 1000);
    let text = format!(
        r#"{{"iss":"https://chat.example.com","aud":"chatsdk","client_id":"app_01h455vb4pex5vsknk084sn02q","sub":"user-123","sid":"ses_01h455vb4pex5vsknk084sn02q","jti":"AAAAAAAAAAAAAAAAAAAAAA","iat":{iat},"exp":{exp},"rc":{rc},"name":"Ann","custom":{custom}}}"#
    );
    text.into_bytes()
}

fn payloads() -> Vec<Vec<u8>> {
    [
        "{}",
        r#"{"role":"admin","permissions":["read"]}"#,
        r#"{"a":{"b":[1,-2.5e3,null,true,"\u00e9"]}}"#,
    ]
    .map(claims)
    .to_vec()
}

/// A run whose seeds are refused finds nothing out.
#[test]
fn the_seeds_are_good() {
    for payload in payloads() {
        assert!(targets::accepts(&targets::signed(
            targets::header().as_bytes(),
            &payload
        )));
    }
}

#[test]
fn access_tokens() {
    let seeds: Vec<_> = payloads()
        .iter()
        .map(|payload| targets::signed(targets::header().as_bytes(), payload).into_bytes())
        .collect();
    run(targets::access_tokens, &seeds);
}

#[test]
fn access_claims() {
    let mut seeds = payloads();
    for payload in payloads() {
        seeds.push([targets::header().as_bytes(), b"\0", &payload].concat());
    }
    run(targets::access_claims, &seeds);
}

#[test]
fn refresh_tokens() {
    let seeds: Vec<_> = [1, NOW * 1000, i64::MAX]
        .map(|n| RefreshClaims {
            sid: SessionId::new(NOW * 1000, &SystemEntropy),
            n,
            exp: NOW * 1000,
        })
        .map(|claims| targets::refresh_token(&claims).into_bytes())
        .to_vec();
    run(targets::refresh_tokens, &seeds);
}

#[test]
fn refresh_claims() {
    let seeds: Vec<_> = [1, NOW, i64::MAX, 0, -1, i64::MIN]
        .map(|number: i64| [number.to_be_bytes(), NOW.to_be_bytes()].concat())
        .to_vec();
    run(targets::refresh_claims, &seeds);
}

#[test]
fn api_keys() {
    let seeds: Vec<_> = [Env::Live, Env::Test]
        .map(|env| api_key::generate(env, &SystemEntropy))
        .map(|key| key.text.as_str().as_bytes().to_vec())
        .to_vec();
    run(targets::api_keys, &seeds);
}

#[test]
fn custom_data() {
    let seeds = [
        r#"{"role":"admin","permissions":["read"]}"#,
        r#"{"a":{"b":[1,-2.5e3,null,true,"\u00e9\ud83d\ude00"]}}"#,
        r#"{"__proto":1,"a":{"a":{"a":{"a":{"a":{"a":{"a":1}}}}}}}"#,
    ]
    .map(|text| text.as_bytes().to_vec());
    run(targets::custom_data, &seeds);
}
