//! What is a key inside other bytes, and what only looks like one.

use super::*;
use crate::scan::given::a_key;

fn found(bytes: &[u8]) -> Vec<(usize, String)> {
    let sightings = Finder::new().sightings(bytes, 0..bytes.len());
    sightings.into_iter().map(|sighting| (sighting.at, (*sighting.text).clone())).collect()
}

fn wide(text: &str, bytes_of: fn(u16) -> [u8; 2]) -> Vec<u8> {
    text.encode_utf16().flat_map(bytes_of).collect()
}

#[test]
fn a_key_is_found_in_whatever_stands_around_it() {
    for prefix in ["rsk", "ab", "mail2", "abcdefghijklmno9"] {
        let key = a_key(prefix);
        for (before, after) in [
            ("", ""),
            ("MAILER_KEY=", "\n"),
            ("secret-token:", "\""),
            ("{\"key\":\"", "\"}"),
            ("x\u{e4}", "\u{e4}"),
            ("\0\u{1}", "\0"),
            ("\\n", "\\n"),
            ("KEY", "_old"),
            ("_live__test_", "_live_"),
            ("_", "abc"),
        ] {
            let text = format!("{before}{}{after}", &*key);
            let expected = vec![(before.len(), (*key).clone())];
            assert_eq!(found(text.as_bytes()), expected, "{before}…{after}");
        }
    }
}

#[test]
fn a_prefix_that_runs_into_a_word_is_told_apart_by_the_checksum() {
    let key = a_key("rsk");
    assert_eq!(found(format!("token{}", &*key).as_bytes()), [(5, (*key).clone())]);
}

#[test]
fn keys_side_by_side_are_all_found() {
    let (first, second) = (a_key("rsk"), a_key("acme"));
    let text = format!("{},{}{}", &*first, &*second, &*first);
    let expected = [
        (0, (*first).clone()),
        (first.len() + 1, (*second).clone()),
        (first.len() + second.len() + 1, (*first).clone()),
    ];
    assert_eq!(found(text.as_bytes()), expected);
}

#[test]
fn a_key_in_utf_16_is_found_in_either_byte_order() {
    let key = a_key("rsk");
    let text = format!("MAILER={}\r\n", &*key);
    assert_eq!(found(&wide(&text, u16::to_le_bytes)), [(14, (*key).clone())]);
    assert_eq!(found(&wide(&text, u16::to_be_bytes)), [(15, (*key).clone())]);
    let typo = text.replace("rsk_", "rsl_");
    assert!(found(&wide(&typo, u16::to_le_bytes)).is_empty());
}

#[test]
fn what_only_looks_like_a_key_is_not_found() {
    let key = a_key("rsk");
    for at in 0..key.len() {
        let mut changed = key.as_bytes().to_vec();
        changed[at] = if changed[at] == b'0' { b'1' } else { b'0' };
        assert!(found(&changed).is_empty(), "changed at {at}");
        assert!(
            found(&[&key.as_bytes()[..at], &key.as_bytes()[at + 1..]].concat()).is_empty(),
            "missing at {at}"
        );
    }
    for text in ["", "_live_", "my_test_case", "rsk_live_", "a_live_0", "é_test_é"] {
        assert!(found(text.as_bytes()).is_empty(), "{text}");
    }
}

#[test]
fn only_markers_of_the_part_that_is_asked_for_count() {
    let key = a_key("rsk");
    let text = format!("..{}", &*key);
    let seen = |markers| Finder::new().sightings(text.as_bytes(), markers).len();
    assert_eq!([seen(0..5), seen(0..6), seen(5..6), seen(6..text.len())], [0, 1, 1, 0]);
}
