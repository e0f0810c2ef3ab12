//! Deltas lead back to where they came from, whatever the texts.

use chatsdk_protocol::fossil::{apply, create};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

fn leads_back(base: &[u8], target: &[u8]) {
    if let Some(delta) = create(base, target) {
        assert!(delta.len() < target.len());
        assert_eq!(apply(base, &delta, target.len()).as_deref(), Ok(target));
        if std::str::from_utf8(target).is_ok() {
            assert!(std::str::from_utf8(&delta).is_ok(), "text stays text");
        }
    }
}

/// Text of pieces that come again, many of them not ASCII.
fn text() -> impl Strategy<Value = String> {
    let pieces = vec![
        "{\"id\":\"",
        "\",\"text\":\"",
        "привет мир",
        "😀",
        "é",
        "0123456789abcdef",
        "aaaaaaaaaaaaaaaa",
        "\n",
        ",",
        "}",
    ];
    vec(
        prop_oneof![select(pieces).prop_map(str::to_owned), "[a-zа-я]{1,9}"],
        0..60,
    )
    .prop_map(|pieces| pieces.concat())
}

/// Small changes to a text.
fn edited() -> impl Strategy<Value = (Vec<u8>, Vec<u8>)> {
    let edit = (any::<Index>(), 0_usize..20, text());
    (text(), vec(edit, 0..4)).prop_map(|(base, edits)| {
        let mut target: Vec<char> = base.chars().collect();
        for (at, removed, inserted) in edits {
            let at = at.index(target.len() + 1);
            let end = (at + removed).min(target.len());
            target.splice(at..end, inserted.chars().take(30));
        }
        (base.into_bytes(), String::from_iter(target).into_bytes())
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn edits((base, target) in edited()) {
        leads_back(&base, &target);
    }

    #[test]
    fn any_texts(base in text(), target in text()) {
        leads_back(base.as_bytes(), target.as_bytes());
    }

    #[test]
    fn few_letters(base in vec(0_u8..2, 0..400), target in vec(0_u8..2, 0..400)) {
        leads_back(&base, &target);
    }

    #[test]
    fn half_characters(base in vec(select(vec![0xd0, 0xbf, 0x80, b'a']), 0..200), target in vec(select(vec![0xd0, 0xbf, 0x80, b'a']), 0..200)) {
        leads_back(&base, &target);
    }

    #[test]
    fn noise_is_no_delta(base in vec(any::<u8>(), 0..64), delta in vec(select(b"0123456789AZ_az~\n@,:;".to_vec()), 0..40)) {
        if let Ok(target) = apply(&base, &delta, 1000) {
            prop_assert!(target.len() <= 1000);
        }
    }
}

#[test]
fn one_changed_word_costs_a_few_bytes() {
    let base = format!("{{\"text\":\"{}\",\"n\":1}}", "lorem ipsum ".repeat(100));
    let target = base.replace("\"n\":1", "\"n\":2");
    assert!(create(base.as_bytes(), target.as_bytes()).unwrap().len() < 30);
    // Moved parts are found too.
    let (head, tail) = base.as_bytes().split_at(600);
    let moved = [tail, b"-", head].concat();
    assert!(create(base.as_bytes(), &moved).unwrap().len() < 60);
}

#[test]
fn repetition_takes_linear_time() {
    let base = vec![b'a'; 1 << 20];
    let mut target = base.clone();
    for at in (0..target.len()).step_by(37) {
        target[at] = b'b';
    }
    leads_back(&base, &target);
    leads_back(&target, &base);
}
