//! Where sound is cut, and what must hold before publication.

use proptest::prelude::*;
use weir_origin_media::{
    FrameRate, Plan, Presentation, Rendition, RenditionKind, SegmentFacts,
    grid::{GridError, audio_cut, check},
};

#[test]
fn sound_is_cut_at_the_frame_nearest_to_the_picture() {
    let rate = |text| FrameRate::parse(text).unwrap();
    // 4 s are 187.5 AAC frames, 4.004 s are 187.69.
    let cuts = |frames, text| (0..5).map(|k| audio_cut(k, frames, rate(text))).collect::<Vec<_>>();
    assert_eq!(cuts(100, "25/1"), [0, 188, 375, 563, 750]);
    assert_eq!(cuts(120, "30000/1001"), [0, 188, 375, 563, 751]);
}

proptest! {
    #[test]
    fn sound_never_drifts(index in 0u64..1_000_000, frames in 1u32..720, num in 5u32..60_000) {
        let rate = FrameRate::new(num, num.div_ceil(60)).unwrap();
        let cut = audio_cut(index, frames, rate);
        // In units of an AAC frame's ticks times the rate's numerator: exact.
        let picture = u128::from(index) * u128::from(frames) * u128::from(rate.den()) * 48_000;
        let sound = u128::from(cut) * 1024 * u128::from(rate.num());
        prop_assert!(picture.abs_diff(sound) * 2 <= 1024 * u128::from(rate.num()));
    }
}

fn plan() -> Plan {
    Plan {
        rate: FrameRate::parse("25/1").expect("a rate"),
        rate_varied: false,
        gop_frames: 50,
        segment_frames: 100,
        duration: 9_000_000,
        hold_last: 0,
        pad_audio: 1_000_000,
        video: Vec::new(),
        audio: None,
    }
}

fn rendition(id: &str, timescale: u32, durations: &[u64]) -> Rendition {
    let mut start = 0;
    let segments = durations.iter().map(|duration| {
        let facts = SegmentFacts {
            start,
            shown_from: start,
            duration: *duration,
            samples: 1,
            bytes: 1000,
            independent: true,
        };
        start += duration;
        facts
    });
    Rendition {
        id: id.into(),
        codec: "avc1.64001F".into(),
        timescale,
        segments: segments.collect(),
        kind: RenditionKind::Audio { sample_rate: 48_000, channels: 2, language: None },
    }
}

fn good() -> Presentation {
    Presentation {
        video: vec![
            rendition("v720", 25_000, &[100_000, 100_000, 25_000]),
            rendition("v480", 25_000, &[100_000, 100_000, 25_000]),
        ],
        audio: vec![rendition("a128", 48_000, &[192_512, 191_488, 48_000])],
    }
}

#[test]
fn a_good_set_passes_and_each_fault_is_named() {
    assert_eq!(check(&good(), &plan()), Ok(()));
    let with = |change: fn(&mut Presentation)| {
        let mut presentation = good();
        change(&mut presentation);
        check(&presentation, &plan()).unwrap_err()
    };
    let name = || "v480".to_owned();
    assert_eq!(with(|p| p.video[1].segments.clear()), GridError::Empty { rendition: name() });
    assert_eq!(
        with(|p| p.video[1].segments[0].shown_from = 2000),
        GridError::Start { rendition: name(), start: 2000 }
    );
    assert_eq!(
        with(|p| p.video[1].segments[1].start = 101_000),
        GridError::Hole { rendition: name(), number: 2, start: 101_000, expected: 100_000 }
    );
    assert_eq!(
        with(|p| p.video[1].segments[2].independent = false),
        GridError::NotIndependent { rendition: name(), number: 3 }
    );
    let off = GridError::OffGrid { rendition: name(), number: 1, got: 99_000, expected: 100_000 };
    assert_eq!(with(|p| p.video[1] = rendition("v480", 25_000, &[99_000, 100_000, 26_000])), off);
    // One frame short is rounding in one rung, but not beside another.
    assert_eq!(
        with(|p| p.video[1] = rendition("v480", 25_000, &[100_000, 100_000, 24_000])),
        GridError::Unequal { rendition: name(), other: "v720".into() }
    );
    let short =
        |id: &str, got_ms| GridError::Length { rendition: id.into(), got_ms, expected_ms: 9000 };
    assert_eq!(
        with(|p| {
            p.video = vec![rendition("v720", 25_000, &[100_000, 100_000, 23_000])];
        }),
        short("v720", 8920)
    );
    assert_eq!(
        with(|p| p.audio[0] = rendition("a128", 48_000, &[192_512, 191_488])),
        short("a128", 8000)
    );
}

#[test]
fn one_frame_more_or_less_is_rounding() {
    for last in [24_000, 26_000] {
        let mut presentation = good();
        presentation.video = vec![rendition("v720", 25_000, &[100_000, 100_000, last])];
        assert_eq!(check(&presentation, &plan()), Ok(()), "{last}");
    }
}
