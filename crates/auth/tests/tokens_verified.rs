//! The cache of verified access tokens.

mod tokens_support;

use std::sync::Arc;

use chatsdk_auth::access;
use chatsdk_auth::signing::KeyRing;
use chatsdk_auth::verified::VerifiedTokens;
use tokens_support::*;

#[test]
fn a_hit_is_for_the_same_token_keys_and_time() {
    let base = base();
    let cache = VerifiedTokens::default();
    let token = base.token();
    assert!(cache.get(&token, &base.ring, NOW).is_none());
    let claims = Arc::new(base.verify(&token).unwrap());
    cache.insert(&token, &base.ring, &claims);
    let hit = cache.get(&token, &base.ring, NOW).unwrap();
    assert!(Arc::ptr_eq(&hit, &claims));

    let other = base.with_claim("name", "Somebody Else".into());
    assert!(cache.get(&other, &base.ring, NOW).is_none());
    assert!(cache.get(&format!("{token}="), &base.ring, NOW).is_none());

    let exp = claims.exp * 1000;
    assert!(cache.get(&token, &base.ring, exp - 1).is_some());
    assert!(cache.get(&token, &base.ring, exp).is_none());
    assert!(cache.is_empty(), "it is forgotten when it has expired");
}

/// A verification that was under way while the keys were replaced must not outlive the replacement.
#[test]
fn new_keys_void_what_old_ones_verified() {
    let mut base = base();
    let cache = VerifiedTokens::default();
    let token = base.token();
    let claims = Arc::new(base.verify(&token).unwrap());
    base.key.retired_at = Some(NOW);
    base.key.emergency = true;
    let withdrawn = KeyRing::build([&base.key], &sealing_key(), NOW).unwrap();
    cache.insert(&token, &base.ring, &claims);
    assert!(cache.get(&token, &withdrawn, NOW).is_none());
    assert!(access::verify(&token, &withdrawn, &expect(NOW)).is_err());
}

#[test]
fn it_is_bounded() {
    let base = base();
    let cache = VerifiedTokens::with_capacity(100);
    assert!(cache.is_empty());
    let claims = Arc::new(base.verify(&base.token()).unwrap());
    for number in 0..10_000 {
        cache.insert(&format!("token {number}"), &base.ring, &claims);
    }
    assert!(cache.len() <= 100, "{}", cache.len());
}
