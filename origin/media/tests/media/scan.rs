//! Real ends, from packets.

use proptest::prelude::*;
use weir_origin_media::{
    Source,
    probe::{Audio, Scan, ScanError, Video},
};

fn source(container: &str, stated: Option<u64>, start: i64) -> Source {
    Source {
        container: container.into(),
        start,
        duration: stated,
        video: Video {
            index: 0,
            codec: "h264".into(),
            width: 640,
            height: 360,
            average_rate: None,
            base_rate: None,
            end: stated,
            interlaced: false,
            hdr: false,
        },
        audio: Some(Audio {
            index: 1,
            codec: "aac".into(),
            channels: 2,
            language: None,
            end: stated,
        }),
    }
}

fn scan(source: &Source, lines: &str) -> Scan {
    let mut scan = Scan::default();
    lines.lines().for_each(|line| scan.line(source, line));
    scan
}

const PACKETS: &str = "\
stream_index=0|pts_time=0.000000|dts_time=-0.080000|duration_time=0.040000|flags=K__
stream_index=1|pts_time=0.000000|dts_time=0.000000|duration_time=0.021333|flags=K__
stream_index=0|pts_time=0.080000|dts_time=-0.040000|duration_time=0.040000|flags=___
stream_index=0|pts_time=0.040000|dts_time=0.000000|duration_time=0.040000|flags=___
stream_index=0|pts_time=9.000000|dts_time=9.000000|duration_time=0.040000|flags=_D_
stream_index=2|pts_time=99.000000|dts_time=99.000000|duration_time=1.000000|flags=K__
stream_index=1|pts_time=0.021333|dts_time=0.021333|duration_time=N/A|flags=K__
nonsense
";

#[test]
fn the_latest_end_counts_whatever_the_order() {
    let mut source = source("mov,mp4", Some(120_000), 0);
    scan(&source, PACKETS).apply(&mut source).unwrap();
    assert_eq!(source.video.end, Some(120_000));
    assert_eq!(source.audio.unwrap().end, Some(21_333));
}

#[test]
fn what_is_stated_must_be_there() {
    let check = |container: &str, stated: u64, expected: Option<(u64, u64)>| {
        let mut source = source(container, Some(stated), 0);
        let outcome = scan(&source, PACKETS).apply(&mut source);
        let cut = expected.map(|(stated_ms, found_ms)| ScanError::CutOff { stated_ms, found_ms });
        assert_eq!(outcome.err(), cut, "{container} {stated}");
    };
    check("mov,mp4", 500_000, None);
    check("mov,mp4", 7_000_000, Some((7000, 120)));
    check("matroska,webm", 7_000_000, Some((7000, 120)));
}

#[test]
fn an_estimate_of_the_container_counts_for_nothing() {
    let mut source = source("mpeg", Some(7_000_000), 0);
    source.video.end = None;
    scan(&source, PACKETS).apply(&mut source).unwrap();
    assert_eq!(source.video.end, Some(120_000));
}

#[test]
fn a_track_without_packets_is_no_track() {
    let mut silent = source("mov,mp4", Some(120_000), 0);
    let pictures: String = PACKETS
        .lines()
        .filter(|line| line.starts_with("stream_index=0"))
        .map(|l| format!("{l}\n"))
        .collect();
    scan(&silent, &pictures).apply(&mut silent).unwrap();
    assert_eq!(silent.audio, None);
    let mut empty = source("mov,mp4", Some(120_000), 0);
    assert_eq!(scan(&empty, "").apply(&mut empty), Err(ScanError::NoPictures));
}

proptest! {
    #[test]
    fn no_line_panics(lines in prop::collection::vec("stream_index=[01]\\|pts_time=-?[0-9]{0,20}\\.?[0-9]{0,9}\\|duration_time=-?[0-9]{0,20}\\|flags=.?", 0..8), start in any::<i64>()) {
        let mut source = source("mov,mp4", Some(1), start);
        let mut scan = Scan::default();
        for line in &lines {
            scan.line(&source, line);
        }
        let _ = scan.apply(&mut source);
    }
}
