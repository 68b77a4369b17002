//! Files that nobody would write: a report has an end, and nothing panics.

use proptest::prelude::*;
use weir_config::{edge::EdgeConfig, origin::OriginConfig};

#[test]
fn a_report_has_an_end_and_no_control_characters() {
    let many: String = (0..200).map(|n| format!("unknown{n} = 1\n")).collect();
    let said = EdgeConfig::parse("a.toml", &many).unwrap_err().to_string();
    assert!(said.contains("more\n"), "{said}");
    assert!(said.lines().count() < 400);
    let wild = "\"\\u001b[31mred\" = 1\nlong = \"".to_owned() + &"x".repeat(10_000) + "\"\n";
    let said = EdgeConfig::parse("a.toml", &wild).unwrap_err().to_string();
    assert!(!said.contains('\u{1b}'), "{said}");
    assert!(said.lines().all(|line| line.chars().count() < 400), "{said}");
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let text = String::from_utf8_lossy(&bytes);
        let _ = EdgeConfig::parse("a.toml", &text).map_err(|report| report.to_string());
        let _ = OriginConfig::parse("a.toml", &text).map_err(|report| report.to_string());
    }

    /// The example with some of its bytes exchanged: close to what people get wrong.
    #[test]
    fn no_damage_panics(
        places in proptest::collection::vec((any::<proptest::sample::Index>(), any::<char>()), 1..6),
        cut in any::<proptest::sample::Index>(),
    ) {
        let mut text: Vec<char> = include_str!("../examples/edge.toml").chars().collect();
        for (place, to) in places {
            let at = place.index(text.len());
            text[at] = to;
        }
        text.truncate(cut.index(text.len()) + 1);
        let text: String = text.into_iter().collect();
        let said = EdgeConfig::parse("/nowhere/a.toml", &text).map_err(|report| report.to_string());
        prop_assert!(said.is_err(), "its files are not there");
    }
}
