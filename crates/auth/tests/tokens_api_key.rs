//! API keys: their form, their checksum, their hash.

use std::collections::HashSet;

use chatsdk_auth::api_key::{self, Env, Malformed};
use chatsdk_types::SystemEntropy;
use proptest::prelude::*;

#[test]
fn a_new_key_is_read_again() {
    let mut texts = HashSet::new();
    for env in [Env::Live, Env::Test] {
        let made = api_key::generate(env, &SystemEntropy);
        let text = made.text.as_str();
        let parts: Vec<&str> = text.split('_').collect();
        assert_eq!(
            parts.iter().map(|part| part.len()).collect::<Vec<_>>(),
            [3, 4, 8, 30, 6]
        );
        assert_eq!(
            (parts[0], parts[1], parts[2]),
            ("csk", env.as_str(), made.id.as_str())
        );
        assert!(text.ends_with(&made.last4) && made.last4.len() == 4);
        let presented = api_key::parse(text).unwrap();
        assert_eq!((&presented.id, presented.env), (&made.id, env));
        assert!(api_key::matches(&made.hash, &presented.hash));
        assert!(
            !format!("{made:?}").contains(parts[3]),
            "Debug does not print it"
        );
        assert!(texts.insert(text.to_owned()));
    }
}

/// Whoever generates secret scanners' rules elsewhere computes the same checksum.
#[test]
fn the_checksum_is_crc_32() {
    // CRC-32 of "csk_test_00000000_000000000000000000000000000000", computed with zlib.
    let body = format!("csk_test_00000000_{}", "0".repeat(30));
    let good = format!("{body}_{CRC_OF_ZEROS}");
    assert!(api_key::parse(&good).is_ok());
}

const CRC_OF_ZEROS: &str = "3lWBVa";

#[test]
fn what_was_never_a_key_is_refused() {
    let made = api_key::generate(Env::Live, &SystemEntropy);
    let text = made.text.as_str();
    let swapped_case: String = text
        .chars()
        .map(|c| {
            if c.is_ascii_lowercase() {
                c.to_ascii_uppercase()
            } else {
                c.to_ascii_lowercase()
            }
        })
        .collect();
    for bad in [
        "",
        "csk_",
        "csk_live",
        "_____",
        "csk_live___",
        &text[1..],
        &text[..text.len() - 1],
        &format!("{text}0"),
        &format!("{text} "),
        &format!(" {text}"),
        &format!("{text}\n"),
        &format!("Bearer {text}"),
        &format!("{text}_"),
        &format!("_{text}"),
        &format!("{text},{text}"),
        &text.to_lowercase(),
        &text.to_uppercase(),
        &swapped_case,
        &text.replacen("live", "test", 1),
        &text.replacen("live", "prod", 1),
        &text.replace('_', "-"),
        &"x".repeat(1 << 20),
        &"_".repeat(1 << 20),
        "csk_live_ünïcödé_000000000000000000000000000000_000000",
    ] {
        assert_eq!(api_key::parse(bad), Err(Malformed), "{bad:.80}");
    }
    for at in 0..text.len() {
        for other in "09AZaz_-".chars() {
            let mut changed = text.to_owned();
            changed.replace_range(at..=at, other.encode_utf8(&mut [0; 4]));
            assert_eq!(
                api_key::parse(&changed).is_ok(),
                changed == text,
                "{at} {other}"
            );
        }
    }
    let other = api_key::generate(Env::Live, &SystemEntropy);
    assert!(!api_key::matches(&made.hash, &other.hash));
}

/// Each of the 62 characters is equally likely: none is far from its share.
#[test]
fn the_alphabet_is_fair() {
    let mut counts = [0_u32; 128];
    for _ in 0..2000 {
        let made = api_key::generate(Env::Test, &SystemEntropy);
        for byte in made.text.as_str().split('_').nth(3).unwrap().bytes() {
            counts[usize::from(byte)] += 1;
        }
    }
    // 60 000 draws, 968 each, standard deviation 31: eight of them never happen by chance. Taking the
    // remainder without rejection would put the first eight characters at 1172 (6.6 deviations).
    let used: Vec<u32> = counts.into_iter().filter(|count| *count > 0).collect();
    assert_eq!(used.len(), 62);
    let (few, many) = (used.iter().min().unwrap(), used.iter().max().unwrap());
    assert!(*few > 810 && *many < 1130, "{few} {many}");
}

proptest! {
    #[test]
    fn nothing_random_is_a_key(text in ".{0,80}", shaped in "csk_(live|test)_[0-9A-Za-z]{8}_[0-9A-Za-z]{30}_[0-9A-Za-z]{3}") {
        prop_assert!(api_key::parse(&text).is_err());
        prop_assert!(api_key::parse(&shaped).is_err());
    }
}
