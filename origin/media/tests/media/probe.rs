//! Reading ffprobe's JSON.

use proptest::prelude::*;
use serde_json::{Value, json};
use weir_origin_media::{
    FrameRate,
    probe::{ProbeError, Source, parse},
};

fn answer(change: impl FnOnce(&mut Value)) -> Result<Source, ProbeError> {
    let mut value = json!({
        "streams": [
            {
                "index": 0, "codec_type": "video", "codec_name": "h264",
                "width": 1920, "height": 1080, "sample_aspect_ratio": "1:1",
                "r_frame_rate": "30000/1001", "avg_frame_rate": "30000/1001",
                "start_time": "0.000000", "duration": "7.007000",
                "disposition": { "default": 1, "attached_pic": 0 },
            },
            {
                "index": 1, "codec_type": "audio", "codec_name": "aac", "channels": 2,
                "start_time": "0.000000", "duration": "7.000000",
                "disposition": { "default": 1 }, "tags": { "language": "eng" },
            },
        ],
        "format": {
            "format_name": "mov,mp4", "duration": "7.007000", "start_time": "0.000000",
        },
    });
    change(&mut value);
    parse(value.to_string().as_bytes())
}

#[test]
fn a_plain_film() {
    let source = answer(|_| {}).unwrap();
    assert_eq!((source.video.width, source.video.height), (1920, 1080));
    assert_eq!(source.video.average_rate, FrameRate::new(30_000, 1001));
    assert_eq!((source.duration, source.video.end), (Some(7_007_000), Some(7_007_000)));
    let audio = source.audio.unwrap();
    assert_eq!((audio.index, audio.channels, audio.end), (1, 2, Some(7_000_000)));
    assert_eq!(audio.language.as_deref(), Some("eng"));
}

#[test]
fn the_picture_as_it_is_shown() {
    let check = |aspect: &str, rotation: Value, expected: (u32, u32)| {
        let source = answer(|value| {
            let stream = &mut value["streams"][0];
            stream["sample_aspect_ratio"] = json!(aspect);
            stream["side_data_list"] = json!([{ "side_data_type": "x" }, { "rotation": rotation }]);
        });
        let video = source.unwrap().video;
        assert_eq!((video.width, video.height), expected, "{aspect}");
    };
    check("1:1", Value::Null, (1920, 1080));
    check("0:1", Value::Null, (1920, 1080));
    check("nonsense", Value::Null, (1920, 1080));
    // Squeezed, never stretched.
    check("4:3", Value::Null, (1920, 810));
    check("3:4", Value::Null, (1440, 1080));
    // A telephone held upright.
    check("1:1", json!(-90), (1080, 1920));
    check("1:1", json!(90), (1080, 1920));
    check("1:1", json!(270), (1080, 1920));
    check("1:1", json!(180), (1920, 1080));
    check("4:3", json!(90), (810, 1920));
}

#[test]
fn ends_count_from_the_containers_start() {
    let source = answer(|value| {
        value["format"]["start_time"] = json!("1.443511");
        value["streams"][0]["start_time"] = json!("1.466733");
        value["streams"][1]["start_time"] = json!("1.443511");
    });
    let source = source.unwrap();
    assert_eq!(source.start, 1_443_511);
    assert_eq!(source.video.end, Some(7_030_222));
    assert_eq!(source.audio.unwrap().end, Some(7_000_000));
}

#[test]
fn matroska_keeps_the_length_in_a_tag() {
    let source = answer(|value| {
        value["streams"][0].as_object_mut().unwrap().remove("duration");
        value["streams"][0]["tags"] = json!({ "DURATION": "00:01:07.030000000" });
    });
    assert_eq!(source.unwrap().video.end, Some(67_030_000));
}

#[test]
fn the_default_stream_wins_and_a_cover_is_no_film() {
    let source = answer(|value| {
        let mut second = value["streams"][0].clone();
        second["index"] = json!(2);
        second["width"] = json!(640);
        value["streams"][0]["disposition"]["default"] = json!(0);
        value["streams"].as_array_mut().unwrap().push(second);
    });
    assert_eq!(source.unwrap().video.index, 2);
    let cover = answer(|value| value["streams"][0]["disposition"]["attached_pic"] = json!(1));
    assert_eq!(
        cover.unwrap_err(),
        ProbeError::NoVideo { found: "cover picture h264, audio aac".into() }
    );
    let nothing = answer(|value| value["streams"] = json!([]));
    assert_eq!(nothing.unwrap_err(), ProbeError::NoVideo { found: "no streams".into() });
    let sizeless = answer(|value| value["streams"][0]["width"] = json!(0));
    assert_eq!(sizeless.unwrap_err(), ProbeError::NoSize { codec: "h264".into() });
}

#[test]
fn a_language_that_could_break_a_manifest_is_dropped() {
    let check = |tag: &str, expected: Option<&str>| {
        let source = answer(|value| value["streams"][1]["tags"]["language"] = json!(tag));
        assert_eq!(source.unwrap().audio.unwrap().language.as_deref(), expected, "{tag}");
    };
    check("deu", Some("deu"));
    check("pt-BR", Some("pt-BR"));
    check("und", None);
    check("", None);
    check("x", None);
    check("de\",URI=\"http://elsewhere", None);
    check("<b>", None);
    check("1a", None);
}

#[test]
fn interlacing_and_range_are_seen() {
    let source = answer(|value| {
        value["streams"][0]["field_order"] = json!("tt");
        value["streams"][0]["color_transfer"] = json!("smpte2084");
    });
    let video = source.unwrap().video;
    assert!(video.interlaced && video.hdr);
    let plain = answer(|value| value["streams"][0]["field_order"] = json!("progressive"));
    assert!(!plain.unwrap().video.interlaced);
}

proptest! {
    #[test]
    fn no_text_panics(text in ".*") {
        let _ = parse(text.as_bytes());
    }

    #[test]
    fn no_field_panics(a in ".*", b in "-?[0-9]{0,25}(\\.[0-9]{0,12})?", c in "[0-9]{0,12}[:/][0-9]{0,12}") {
        for text in [&a, &b, &c] {
            let _ = answer(|value| {
                for field in ["duration", "start_time", "r_frame_rate", "sample_aspect_ratio"] {
                    value["streams"][0][field] = json!(text);
                }
                value["format"]["start_time"] = json!(text);
            });
            let _ = answer(|value| {
                value["streams"][0].as_object_mut().unwrap().remove("duration");
                value["streams"][0]["tags"]["DURATION"] = json!(format!("99:{text}"));
                value["format"]["start_time"] = json!(text);
            });
        }
    }
}
