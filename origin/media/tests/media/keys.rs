//! Names in the store.

use proptest::prelude::*;
use weir_origin_media::{
    Keys, TitleId, Version,
    key::{Pointer, content_type, segment_name},
};

#[test]
fn titles_from_file_names() {
    let check = |stem: &str, expected: Option<&str>| {
        let title = TitleId::from_stem(stem).ok();
        assert_eq!(title.as_ref().map(TitleId::as_str), expected, "{stem}");
    };
    check("sample", Some("sample"));
    check("Night Train (2024)", Some("night-train-2024"));
    check("  --a..b//c--  ", Some("a-b-c"));
    check("my_film", Some("my_film"));
    check("_hidden", Some("hidden"));
    check("Füße", Some("f-e"));
    check("映画", None);
    check("", None);
    check("...", None);
    check(&"x".repeat(100), Some(&"x".repeat(64)));
}

#[test]
fn titles_as_given() {
    let check = |text: &str, fits: bool| {
        assert_eq!(TitleId::parse(text).is_ok(), fits, "{text}");
    };
    check("a", true);
    check("night-train.v2_x", true);
    check("0", true);
    check("", false);
    check("..", false);
    check("a..b", false);
    check(".a", false);
    check("-a", false);
    check("A", false);
    check("a/b", false);
    check("a b", false);
    check("ä", false);
    check(&"x".repeat(64), true);
    check(&"x".repeat(65), false);
}

proptest! {
    #[test]
    fn any_file_name_makes_a_title_that_parses_or_none(stem in ".*") {
        if let Ok(title) = TitleId::from_stem(&stem) {
            prop_assert_eq!(TitleId::parse(title.as_str()), Ok(title));
        }
    }
}

#[test]
fn keys_and_pointer() {
    let title = TitleId::parse("night-train").unwrap();
    let version = Version::from_digest(&[0xab; 32]);
    let keys = Keys { title: title.clone(), version };
    assert_eq!(keys.prefix(), "night-train/abababababababababab/");
    assert_eq!(
        keys.of(&format!("v720/{}", segment_name(1))),
        "night-train/abababababababababab/v720/seg-1.m4s"
    );
    assert_eq!(title.pointer_key(), "night-train/current.json");
    let pointer = serde_json::to_value(Pointer::to(&keys, 20_040_123)).unwrap();
    let expected = serde_json::json!({
        "schema": "weir-title/v1",
        "title": "night-train",
        "version": "abababababababababab",
        "hls": "abababababababababab/master.m3u8",
        "dash": "abababababababababab/manifest.mpd",
        "duration_seconds": 20.04,
    });
    assert_eq!(pointer, expected);
}

#[test]
fn content_types() {
    let check = |path: &str, audio: bool, expected: &str| {
        assert_eq!(content_type(path, audio), expected, "{path}");
    };
    check("master.m3u8", false, "application/vnd.apple.mpegurl");
    check("manifest.mpd", false, "application/dash+xml");
    check("v720/seg-1.m4s", false, "video/mp4");
    check("a128/seg-1.m4s", true, "audio/mp4");
    check("a128/init.mp4", true, "audio/mp4");
    check("current.json", false, "application/json");
    check("SHA256SUMS", false, "text/plain; charset=utf-8");
}
