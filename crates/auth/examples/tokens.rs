//! What tokens cost: signing, verifying cold and cached, refresh tokens, in microseconds.
//!
//! `cargo run --release -p chatsdk-auth --example tokens`: medians of several rounds.

use std::error::Error;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use aws_lc_rs::signature::{ED25519, ParsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chatsdk_auth::access::{self, Expect, NewAccess};
use chatsdk_auth::refresh_token::{self, RefreshClaims, RefreshKeys};
use chatsdk_auth::secret::DeploymentSecret;
use chatsdk_auth::signing::{KeyRing, KeyRow, SigningKeyPair};
use chatsdk_auth::verified::VerifiedTokens;
use chatsdk_types::{AppId, Lifetime, SessionId, SystemEntropy};

const ROUNDS: usize = 9;
const NOW: i64 = 1_767_225_600_000;

/// The median time of one `work`, over several rounds of `times` each.
fn measure(name: &str, times: u32, mut work: impl FnMut()) {
    let mut rounds: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let begun = Instant::now();
            for _ in 0..times {
                work();
            }
            begun.elapsed().as_secs_f64() * 1e6 / f64::from(times)
        })
        .collect();
    rounds.sort_by(f64::total_cmp);
    println!("{name:<26} {:>8.3} µs", rounds[ROUNDS / 2]);
}

fn main() -> Result<(), Box<dyn Error>> {
    let chance = SystemEntropy;
    let secret = DeploymentSecret::parse(&DeploymentSecret::generate(&chance))?;
    let sealing = secret.sealing_key();
    let pair = SigningKeyPair::generate(&chance)?;
    let sealed = pair.seal(&sealing, &chance)?;
    let row = KeyRow {
        kid: pair.kid(),
        public: pair.public(),
        sealed: &sealed,
        activates_at: NOW - 1,
        retired_at: None,
        emergency: false,
    };
    let ring = KeyRing::build([row], &sealing, NOW)?;
    let (app, user, sid) = (
        AppId::new(NOW, &chance),
        "user-123".parse()?,
        SessionId::new(NOW, &chance),
    );
    let claims = NewAccess {
        iss: "https://chat.example.com",
        aud: "chatsdk",
        client_id: &app,
        sub: &user,
        sid: &sid,
        jti: "AAAAAAAAAAAAAAAAAAAAAA",
        iat: NOW / 1000,
        exp: NOW / 1000 + 3600,
        rc: NOW,
        name: Some("Test User"),
        avatar: Some("https://example.com/avatar.jpg"),
        custom: Some(r#"{"email":"test@example.com","role":"admin"}"#),
    };
    let expect = Expect {
        issuer: "https://chat.example.com",
        audience: "chatsdk",
        now: NOW,
        max_ttl: Lifetime::days(1),
    };
    let token = access::sign(&ring, &claims)?;
    println!("access token of {} characters", token.len());
    measure("sign", 2_000, || {
        let _ = black_box(access::sign(&ring, black_box(&claims)));
    });
    measure("verify, cold", 1_000, || {
        let _ = black_box(access::verify(black_box(&token), &ring, &expect));
    });
    // The floor of the line above: the signature alone.
    let public = ParsedPublicKey::new(&ED25519, pair.public())?;
    let (signed, signature) = token.rsplit_once('.').ok_or("no signature")?;
    let signature = URL_SAFE_NO_PAD.decode(signature)?;
    measure("  of which the signature", 1_000, || {
        let _ = black_box(public.verify_sig(black_box(signed.as_bytes()), &signature));
    });
    let cache = VerifiedTokens::default();
    cache.insert(
        &token,
        &ring,
        &Arc::new(access::verify(&token, &ring, &expect)?),
    );
    measure("verify, cached", 100_000, || {
        black_box(cache.get(black_box(&token), &ring, NOW));
    });

    let keys = RefreshKeys::new(&secret);
    let key = keys.get(keys.current()).ok_or("no refresh key")?;
    let claims = RefreshClaims {
        sid,
        n: NOW,
        exp: NOW + 604_800_000,
    };
    let token = refresh_token::encode(&claims, key);
    println!("refresh token of {} characters", token.len());
    measure("refresh token, encode", 100_000, || {
        black_box(refresh_token::encode(black_box(&claims), key));
    });
    measure("refresh token, decode", 100_000, || {
        let _ = black_box(refresh_token::decode(black_box(&token), &keys));
    });
    Ok(())
}
