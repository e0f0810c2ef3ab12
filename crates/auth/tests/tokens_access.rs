//! Access tokens and signing keys: what we sign verifies, here and elsewhere, and nothing else does.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

mod tokens_support;

use chatsdk_auth::access::{self, AccessError, MAX_SIGNED_LEN, NewAccess, SignError};
use chatsdk_auth::secret::DeploymentSecret;
use chatsdk_auth::signing::{BadSigningKey, KeyRing, SKEW, SigningKeyPair};
use chatsdk_types::SystemEntropy;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use proptest::prelude::*;
use serde_json::Value;
use tokens_support::*;

#[test]
fn what_is_signed_comes_back() {
    let (ring, ids) = (ring(&[key(1)]), ids());
    let token = access::sign(&ring, &ids.new_access()).unwrap();
    let claims = access::verify(&token, &ring, &expect(NOW)).unwrap();
    assert_eq!(
        (&claims.client_id, &claims.sub, &claims.sid),
        (&ids.app, &ids.user, &ids.session)
    );
    assert_eq!((claims.iat, claims.exp, claims.rc), (IAT, IAT + 3600, NOW));
    assert_eq!(claims.custom.as_deref(), Some(r#"{"role":"admin"}"#));
    assert_eq!(
        token,
        access::sign(&ring, &ids.new_access()).unwrap(),
        "Ed25519 is deterministic"
    );
}

#[test]
fn the_header_is_exact() {
    let key = key(1);
    let token = access::sign(&ring(&[key]), &ids().new_access()).unwrap();
    let header = decode(token.split('.').next().unwrap());
    let kid = crate::key(1).kid;
    assert_eq!(
        header,
        format!(r#"{{"alg":"EdDSA","kid":"{kid}","typ":"at+jwt"}}"#)
    );
    assert_eq!(kid.len(), 12);
}

fn decode(part: &str) -> String {
    use base64::Engine as _;
    String::from_utf8(
        base64::engine::general_purpose::URL_SAFE_NO_PAD
            .decode(part)
            .unwrap(),
    )
    .unwrap()
}

/// A library that knows nothing of us verifies our token with nothing but our key set.
#[test]
fn others_can_verify_it() {
    let (ring, ids) = (ring(&[key(1), key(2)]), ids());
    let token = access::sign(&ring, &ids.new_access()).unwrap();
    let keys: JwkSet = serde_json::from_str(&ring.jwks()).unwrap();
    let kid = jsonwebtoken::decode_header(&token).unwrap().kid.unwrap();
    let key = DecodingKey::from_jwk(keys.find(&kid).unwrap()).unwrap();
    let mut rules = Validation::new(Algorithm::EdDSA);
    rules.set_audience(&["chatsdk"]);
    rules.set_issuer(&[ISSUER]);
    // The tests' clock does not move, that of the library does.
    rules.validate_exp = false;
    let claims = jsonwebtoken::decode::<Value>(&token, &key, &rules)
        .unwrap()
        .claims;
    assert_eq!(claims["sub"], "user-123");
    assert_eq!(claims["client_id"], ids.app.as_str());
    assert_eq!(claims["custom"]["role"], "admin");
    assert_eq!(claims["exp"], IAT + 3600);
    let other = keys
        .keys
        .iter()
        .find(|jwk| jwk.common.key_id.as_deref() != Some(&kid))
        .unwrap();
    assert!(
        jsonwebtoken::decode::<Value>(&token, &DecodingKey::from_jwk(other).unwrap(), &rules)
            .is_err()
    );
}

/// The other way round: what an independent library signs with our key, we verify.
#[test]
fn what_others_sign_with_the_key_verifies() {
    let base = base();
    // PKCS #8 of an Ed25519 seed (RFC 8410).
    let der = [
        &[
            0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22,
            0x04, 0x20,
        ][..],
        &[7; 32],
    ]
    .concat();
    let mut header = jsonwebtoken::Header::new(Algorithm::EdDSA);
    header.kid = Some(base.key.kid.clone());
    header.typ = Some("at+jwt".into());
    let token = jsonwebtoken::encode(
        &header,
        &base.claims,
        &jsonwebtoken::EncodingKey::from_ed_der(&der),
    )
    .unwrap();
    assert_eq!(
        base.verify(&token).unwrap(),
        base.verify(&base.token()).unwrap()
    );
}

/// The key of RFC 8037, appendix A: our public half, key set and signature are those of the standard.
#[test]
fn the_keys_are_those_of_the_standard() {
    #[derive(Debug)]
    struct Seed;
    impl chatsdk_types::Entropy for Seed {
        fn fill(&self, buffer: &mut [u8]) {
            use base64::Engine as _;
            let seed = base64::engine::general_purpose::URL_SAFE_NO_PAD
                .decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A")
                .unwrap();
            buffer.copy_from_slice(&seed);
        }
    }
    let pair = SigningKeyPair::generate(&Seed).unwrap();
    assert_eq!(
        b64(pair.public()),
        "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
    );
}

#[test]
fn the_key_set_has_public_members_only() {
    let mut keys = [key(1), key(2), key(3), key(4), key(5)];
    keys[1].activates_at = NOW + 660_000;
    keys[2].retired_at = Some(NOW - 1);
    keys[3].retired_at = Some(NOW - 2 * DAY);
    keys[4].retired_at = Some(NOW - 1);
    keys[4].emergency = true;
    let ring = ring(&keys);
    let set: Value = serde_json::from_str(&ring.jwks()).unwrap();
    let listed: Vec<&str> = set["keys"]
        .as_array()
        .unwrap()
        .iter()
        .map(|key| key["kid"].as_str().unwrap())
        .collect();
    assert_eq!(
        listed,
        [&keys[0].kid, &keys[1].kid, &keys[2].kid],
        "active, pending, retired within its window"
    );
    let members: Vec<&String> = set["keys"][0].as_object().unwrap().keys().collect();
    assert_eq!(members, ["alg", "crv", "key_ops", "kid", "kty", "use", "x"]);
    assert_eq!(set["keys"][0]["key_ops"], serde_json::json!(["verify"]));
    assert_eq!(KeyRing::empty().jwks(), r#"{"keys":[]}"#);
}

#[test]
fn one_key_signs_at_a_time() {
    let (mut old, mut new) = (key(1), key(2));
    old.activates_at = NOW - 9 * DAY;
    let kid_at = |keys: &[&TestKey], now| {
        let ring = KeyRing::build(keys.iter().copied(), &sealing_key(), now).unwrap();
        ring.active_kid().map(str::to_owned)
    };
    new.activates_at = NOW + 1;
    assert_eq!(
        kid_at(&[&old, &new], NOW).as_ref(),
        Some(&old.kid),
        "the new one is pending"
    );
    assert_eq!(kid_at(&[&old, &new], NOW + 1).as_ref(), Some(&new.kid));
    old.retired_at = Some(NOW);
    old.emergency = true;
    assert_eq!(
        kid_at(&[&old, &new], NOW).as_ref(),
        Some(&new.kid),
        "a node whose clock is behind signs all the same"
    );
    assert_eq!(kid_at(&[&old, &new], NOW - SKEW - 1), None);
    assert_eq!(kid_at(&[], NOW), None);
    let ring = KeyRing::build([&old], &sealing_key(), NOW).unwrap();
    assert_eq!(
        access::sign(&ring, &ids().new_access()),
        Err(SignError::NoActiveKey)
    );
}

#[test]
fn a_withdrawal_is_noticed_once() {
    let (mut old, new) = (key(1), key(2));
    let ring = |keys: [&TestKey; 2]| KeyRing::build(keys, &sealing_key(), NOW).unwrap();
    let before = ring([&old, &new]);
    old.retired_at = Some(NOW);
    let retired = ring([&old, &new]);
    old.emergency = true;
    let (after, again) = (ring([&old, &new]), ring([&old, &new]));
    assert!(!retired.withdraws_more_than(&before));
    assert!(after.withdraws_more_than(&before) && after.withdraws_more_than(&retired));
    assert!(!again.withdraws_more_than(&after) && !before.withdraws_more_than(&after));
    assert!(
        !after.withdraws_more_than(&KeyRing::empty()),
        "a process that starts has no tokens to call back"
    );
    assert_ne!(after.id(), again.id());
}

#[test]
fn keys_are_sealed_for_their_name_and_secret() {
    let key = key(1);
    let other = DeploymentSecret::parse(&"another secret".repeat(4))
        .unwrap()
        .sealing_key();
    assert!(matches!(
        KeyRing::build([&key], &other, NOW),
        Err(BadSigningKey::Sealed { .. })
    ));
    let mut swapped = crate::key(2);
    swapped.public = key.public.clone();
    assert!(matches!(
        KeyRing::build([&swapped], &sealing_key(), NOW),
        Err(BadSigningKey::Mismatch(_))
    ));
    swapped.public.pop();
    assert!(matches!(
        KeyRing::build([&swapped], &sealing_key(), NOW),
        Err(BadSigningKey::Mismatch(_))
    ));
    let pair = SigningKeyPair::unseal(&key.kid, &key.public, &key.sealed, &sealing_key()).unwrap();
    assert!(
        !key.sealed.windows(8).any(|window| window == [1; 8]),
        "the seed does not stand in it"
    );
    assert_eq!(format!("{pair:?}"), format!("SigningKeyPair({})", key.kid));
    assert_ne!(
        pair.seal(&sealing_key(), &SystemEntropy).unwrap(),
        key.sealed,
        "another nonce"
    );
}

#[test]
fn what_is_too_long_is_not_signed() {
    let (ring, ids) = (ring(&[key(1)]), ids());
    let custom = |len: usize| format!(r#"{{"x":"{}"}}"#, "x".repeat(len));
    let sign = |custom: &str| {
        access::sign(
            &ring,
            &NewAccess {
                custom: Some(custom),
                ..ids.new_access()
            },
        )
    };
    let longest = (0..1000)
        .take_while(|len| sign(&custom(2200 + len)).is_ok())
        .last()
        .unwrap();
    assert!(
        (MAX_SIGNED_LEN - 2..=MAX_SIGNED_LEN)
            .contains(&sign(&custom(2200 + longest)).unwrap().len())
    );
    assert!(
        matches!(sign(&custom(2201 + longest)), Err(SignError::TooLong(len)) if len > MAX_SIGNED_LEN)
    );
}

proptest! {
    #[test]
    fn any_claims_survive(
        user in "[^\\p{C}\\p{Z}]{1,30}".prop_filter("a step in a path", |id| id != "." && id != ".."),
        name in proptest::option::of(".{0,128}"),
        avatar in proptest::option::of("\\PC{0,100}"),
        custom in proptest::option::of(proptest::collection::btree_map(".{0,10}", ".{0,20}", 0..5)),
        ttl in 1..86_400_i64,
        rc in 0..(1_i64 << 53),
    ) {
        let (ring, mut ids) = (ring(&[key(1)]), ids());
        ids.user = user.parse().unwrap();
        let custom = custom.map(|map| serde_json::to_string(&map).unwrap());
        let new = NewAccess {
            name: name.as_deref(),
            avatar: avatar.as_deref(),
            custom: custom.as_deref(),
            exp: IAT + ttl,
            rc,
            ..ids.new_access()
        };
        let token = access::sign(&ring, &new).unwrap();
        let claims = access::verify(&token, &ring, &expect(IAT * 1000)).unwrap();
        prop_assert_eq!(claims.sub.as_str(), user);
        prop_assert_eq!(claims.name, name);
        prop_assert_eq!(claims.avatar, avatar);
        prop_assert_eq!(claims.custom.as_deref(), custom.as_deref());
        prop_assert_eq!((claims.exp, claims.rc), (IAT + ttl, rc));
    }

    #[test]
    fn nothing_random_is_a_token_and_nothing_panics(bytes in proptest::collection::vec(any::<u8>(), 0..400), text in ".{0,200}", dotted in "[A-Za-z0-9_-]{0,60}\\.[A-Za-z0-9_-]{0,60}\\.[A-Za-z0-9_-]{0,90}") {
        let base = base();
        let token = base.token();
        for guess in [String::from_utf8_lossy(&bytes).into_owned(), text, dotted] {
            prop_assert!(base.verify(&guess).is_err());
        }
        // Random bytes correctly signed: past the signature, into the parser of the claims.
        let header = base.header.to_string();
        prop_assert!(base.verify(&base.signed_bytes(header.as_bytes(), &bytes)).is_err());
        prop_assert!(base.verify(&base.signed_bytes(&bytes, base.claims.to_string().as_bytes())).is_err());
        base.verify(&token).unwrap();
    }

    /// Good claims with some bytes changed, correctly signed: accepted or refused, never a panic, and what
    /// is accepted keeps its bounds.
    #[test]
    fn mangled_claims_do_not_pass_the_rules(at in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        let base = base();
        let mut payload = base.claims.to_string().into_bytes();
        for (index, byte) in at {
            let index = index.index(payload.len());
            payload[index] = byte;
        }
        if let Ok(claims) = base.verify(&base.signed_bytes(base.header.to_string().as_bytes(), &payload)) {
            prop_assert_eq!(&*claims.iss, ISSUER);
            prop_assert!(claims.exp - claims.iat <= 86_400 && claims.exp * 1000 > NOW);
            prop_assert!((0..=1 << 53).contains(&claims.rc));
        }
    }
}

/// One bit anywhere.
#[test]
fn every_flipped_bit_is_noticed() {
    let (ring, ids) = (ring(&[key(1)]), ids());
    let token = access::sign(&ring, &ids.new_access()).unwrap();
    for at in 0..token.len() {
        for bit in 0..7 {
            let mut bytes = token.clone().into_bytes();
            bytes[at] ^= 1 << bit;
            let flipped = String::from_utf8(bytes).unwrap();
            let answer = access::verify(&flipped, &ring, &expect(NOW));
            assert!(
                matches!(answer, Err(AccessError::Invalid(_))),
                "bit {bit} of byte {at}"
            );
        }
    }
    for len in 0..token.len() {
        assert!(
            access::verify(&token[..len], &ring, &expect(NOW)).is_err(),
            "cut to {len}"
        );
    }
}
