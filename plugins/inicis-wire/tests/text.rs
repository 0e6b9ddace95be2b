//! What becomes of names that people typed, copied or let a machine write.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use inicis_wire::order;
use inicis_wire::text;

/// A name as it is sent, and what the shop is told.
fn sent(name: &str) -> (String, Vec<String>) {
    let mut warnings = Vec::new();
    let line = text::clean("goodname", name, &mut warnings);
    (line, warnings)
}

#[test]
fn decomposed_hangul_is_the_same_name_and_no_question_marks() {
    // As macOS names files: each syllable is two or three letters of its own.
    let decomposed = "\u{1112}\u{1161}\u{11ab}\u{1100}\u{1173}\u{11af} \u{110e}\u{1161}";
    assert_eq!(sent(decomposed), ("한글 차".to_owned(), vec![]));
    // The charset has the ångström sign, composing makes the letter of it.
    assert_eq!(sent("A\u{30a} \u{212b}").0, "\u{212b} \u{212b}");
}

#[test]
fn what_page_titles_are_full_of_is_written_with_what_the_charset_has() {
    for (typed, written, told) in [
        ("녹차\u{a0}한\u{202f}통", "녹차 한 통", false),
        ("녹차\u{3164}한 통", "녹차 한 통", false),
        ("\u{feff}녹\u{200b}차\u{2060} \u{200e}한\u{ad} 통", "녹차 한 통", false),
        ("두 줄\r\n이름\n", "두 줄 이름", false),
        ("봄–가을—겨울 −3", "봄-가을-겨울 -3", true),
        ("10〜20개～", "10~20개~", true),
        ("“큰” ‘작은’ it’s", "\"큰\" '작은' it's", true),
        ("차 • 잔 ‧ 받침", "차 · 잔 · 받침", true),
        ("₩9,900 £3 ¥5", "￦9,900 ￡3 ￥5", true),
        ("☎\u{fe0f} 1\u{fe0f}\u{20e3} ☆", "☎ 1 ☆", false),
    ] {
        let (line, warnings) = sent(typed);
        assert_eq!(line, written, "{typed:?}");
        assert_eq!(warnings.len(), usize::from(told), "{typed:?}: {warnings:?}");
        assert!(line.chars().all(text::in_cp949), "{line}");
    }
}

#[test]
fn one_question_mark_stands_for_what_a_person_sees_as_one_character() {
    for (typed, written) in [
        ("선물 👨\u{200d}👩\u{200d}👧\u{200d}👦!", "선물 ?!"),
        ("👍🏽", "?"),
        ("🇰🇷🇰🇷", "??"),
        ("❤\u{fe0f}", "?"),
        ("x\u{302}y", "?y"),
        ("ﷺ", "?"),
    ] {
        let (line, warnings) = sent(typed);
        assert_eq!((line.as_str(), warnings.len()), (written, 1), "{typed:?}");
    }
}

#[test]
fn full_width_numbers_and_addresses_are_numbers_and_addresses() {
    let mut warnings = Vec::new();
    let phone = order::phone("P_MOBILE", Some("\u{feff}０１０–１２３４–５６７８ "), &mut warnings);
    assert_eq!(phone.as_deref(), Some("010-1234-5678"));
    let email = order::email("P_EMAIL", Some("ｈｏｎｇ＠shop.example\u{200b}"), &mut warnings);
    assert_eq!(email.as_deref(), Some("hong@shop.example"));
    assert!(warnings.is_empty(), "{warnings:?}");
    assert_eq!(order::phone("P_MOBILE", Some(""), &mut warnings), None);
}
