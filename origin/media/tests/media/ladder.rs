//! Which rungs a source gets, and on which grid.

use expect_test::{Expect, expect};
use proptest::prelude::*;
use weir_origin_media::{
    FrameRate, Plan, Settings, Source,
    ladder::{PlanError, SMALLEST_SIDE, plan},
    probe::{Audio, Video},
};

fn source(width: u32, height: u32, rate: &str) -> Source {
    Source {
        container: "mov,mp4".into(),
        start: 0,
        duration: Some(20_000_000),
        video: Video {
            index: 0,
            codec: "h264".into(),
            width,
            height,
            average_rate: FrameRate::parse(rate),
            base_rate: FrameRate::parse(rate),
            end: Some(20_000_000),
            interlaced: false,
            hdr: false,
        },
        audio: Some(Audio {
            index: 1,
            codec: "aac".into(),
            channels: 2,
            language: None,
            end: Some(20_010_000),
        }),
    }
}

fn rungs(plan: &Plan) -> String {
    let video = plan.video.iter().map(|rung| {
        let kilobits = rung.max_bits_per_second / 1000;
        format!("{} {}x{} {kilobits}k\n", rung.id, rung.width, rung.height)
    });
    video.collect()
}

#[test]
fn rungs_for_all_shapes() {
    let check = |width, height, expected: Expect| {
        expected
            .assert_eq(&rungs(&plan(&source(width, height, "25/1"), Settings::default()).unwrap()));
    };
    check(
        1280,
        720,
        expect![[r#"
        v720 1280x720 2800k
        v480 852x480 1520k
        v360 640x360 990k
        v240 426x240 540k
    "#]],
    );
    check(
        1920,
        1080,
        expect![[r#"
        v1080 1920x1080 5140k
        v720 1280x720 2800k
        v480 852x480 1520k
        v360 640x360 990k
        v240 426x240 540k
    "#]],
    );
    check(
        3840,
        2160,
        expect![[r#"
        v2160 3840x2160 14550k
        v1440 2560x1440 7920k
        v1080 1920x1080 5140k
        v720 1280x720 2800k
        v480 852x480 1520k
        v360 640x360 990k
        v240 426x240 540k
    "#]],
    );
    // Beyond what players decode.
    check(
        7680,
        4320,
        expect![[r#"
        v2160 3840x2160 14550k
        v1440 2560x1440 7920k
        v1080 1920x1080 5140k
        v720 1280x720 2800k
        v480 852x480 1520k
        v360 640x360 990k
        v240 426x240 540k
    "#]],
    );
    // Upright.
    check(
        1080,
        1920,
        expect![[r#"
        v1080 1080x1920 5140k
        v720 720x1280 2800k
        v480 480x852 1520k
        v360 360x640 990k
        v240 240x426 540k
    "#]],
    );
    // Wide screen counts as what it is cut from.
    check(
        1920,
        800,
        expect![[r#"
        v1080 1920x800 4110k
        v720 1280x532 2230k
        v480 852x354 1210k
        v360 640x266 790k
        v240 426x176 430k
    "#]],
    );
    // Square, and 4:3.
    check(
        500,
        500,
        expect![[r#"
        v500 500x500 1050k
        v360 360x360 640k
        v240 240x240 350k
    "#]],
    );
    check(
        640,
        480,
        expect![[r#"
        v480 640x480 1230k
        v360 480x360 800k
        v240 320x240 430k
    "#]],
    );
    // Odd sides lose a line, never gain one.
    check(
        1367,
        769,
        expect![[r#"
        v769 1366x768 3090k
        v480 852x480 1520k
        v360 638x360 990k
        v240 426x240 540k
    "#]],
    );
    // Just above a step: no twin.
    check(
        854,
        482,
        expect![[r#"
        v482 854x482 1530k
        v360 636x360 990k
        v240 424x240 540k
    "#]],
    );
    // Smaller than every step.
    check(
        64,
        48,
        expect![[r#"
        v48 64x48 60k
    "#]],
    );
    check(
        17,
        33,
        expect![[r#"
        v18 16x32 60k
    "#]],
    );
    // A banner keeps its shape, or has one rung.
    check(
        1920,
        20,
        expect![[r#"
        v1080 1920x20 260k
    "#]],
    );
}

#[test]
fn more_frames_cost_more_bits() {
    let at = |rate| plan(&source(1280, 720, rate), Settings::default()).unwrap().video[0].clone();
    assert_eq!(at("24000/1001").max_bits_per_second, 2_800_000);
    assert_eq!(at("30000/1001").max_bits_per_second, 2_800_000);
    assert_eq!(at("60000/1001").max_bits_per_second, 3_960_000);
}

#[test]
fn one_grid_for_all_rates() {
    let check = |rate: &str, segment: u64, gop: u32, frames: u32| {
        let settings = Settings { segment_micros: segment };
        let plan = plan(&source(640, 360, rate), settings).unwrap();
        assert_eq!((plan.gop_frames, plan.segment_frames), (gop, frames), "{rate} {segment}");
    };
    check("25/1", 4_000_000, 50, 100);
    check("24000/1001", 4_000_000, 48, 96);
    check("30000/1001", 4_000_000, 60, 120);
    check("60000/1001", 4_000_000, 120, 240);
    check("30000/1001", 6_000_000, 60, 180);
    check("25/1", 1_000_000, 25, 25);
    check("25/1", 10_000_000, 50, 250);
    check("25/2", 2_000_000, 25, 25);
    check("24/1", 5_000_000, 40, 120);
    check("1/1", 4_000_000, 10, 20);
}

#[test]
fn sound_decides_where_it_goes_on() {
    let check = |picture: u64, sound: Option<u64>, duration: u64, hold: u64, pad: u64| {
        let mut source = source(640, 360, "25/1");
        source.video.end = Some(picture);
        source.audio.as_mut().unwrap().end = sound;
        let plan = plan(&source, Settings::default()).unwrap();
        assert_eq!((plan.duration, plan.hold_last, plan.pad_audio), (duration, hold, pad));
    };
    check(20_000_000, Some(20_000_000), 20_000_000, 0, 1_000_000);
    // An encoder's tail is cut.
    check(20_000_000, Some(20_700_000), 20_000_000, 0, 1_000_000);
    // Sound that ends early is followed by silence.
    check(20_000_000, Some(5_000_000), 20_000_000, 0, 16_000_000);
    check(20_000_000, None, 20_000_000, 0, 21_000_000);
    // Credits in the dark: the last picture is held.
    check(20_000_000, Some(25_000_000), 25_000_000, 5_000_000, 1_000_000);
}

#[test]
fn sound_rungs() {
    let check = |channels: u32, expected: Option<(&str, u32, u32)>| {
        let mut source = source(640, 360, "25/1");
        source.audio.as_mut().unwrap().channels = channels;
        let rung = plan(&source, Settings::default()).unwrap().audio;
        let got = rung.as_ref().map(|r| (r.id.as_str(), r.channels, r.bits_per_second));
        assert_eq!(got, expected);
    };
    check(1, Some(("a64", 1, 64_000)));
    check(2, Some(("a128", 2, 128_000)));
    check(6, Some(("a128", 2, 128_000)));
    let mut silent = source(640, 360, "25/1");
    silent.audio = None;
    assert_eq!(plan(&silent, Settings::default()).unwrap().audio, None);
}

#[test]
fn what_has_no_ladder_says_why() {
    let check = |change: fn(&mut Source, &mut Settings), expected: PlanError| {
        let (mut source, mut settings) = (source(640, 360, "25/1"), Settings::default());
        change(&mut source, &mut settings);
        assert_eq!(plan(&source, settings).unwrap_err(), expected);
    };
    check(
        |source, _| (source.video.width, source.video.height) = (15, 900),
        PlanError::TooSmall { width: 15, height: 900 },
    );
    check(
        |source, _| (source.video.width, source.video.height) = (4562, 16),
        PlanError::TooFlat { width: 4562, height: 16 },
    );
    check(
        |source, _| (source.video.average_rate, source.video.base_rate) = (None, None),
        PlanError::NoRate,
    );
    check(|source, _| (source.video.end, source.duration) = (None, None), PlanError::NoLength);
    check(|source, _| (source.video.end, source.audio) = (Some(10), None), PlanError::NoLength);
    check(|_, settings| settings.segment_micros = 500_000, PlanError::Segment(500_000));
    check(|_, settings| settings.segment_micros = 13_000_000, PlanError::Segment(13_000_000));
}

proptest! {
    #[test]
    fn every_ladder_keeps_the_rules(
        width in SMALLEST_SIDE..8192,
        height in SMALLEST_SIDE..8192,
        num in 1u32..200_000,
        den in 1u32..2000,
        segment in 1_000_000u64..=12_000_000,
    ) {
        let mut source = source(width, height, "25/1");
        source.video.average_rate = FrameRate::new(num, den);
        source.video.base_rate = source.video.average_rate;
        let plan = match plan(&source, Settings { segment_micros: segment }) {
            Ok(plan) => plan,
            Err(PlanError::TooFlat { .. }) => {
                // Only a strip: 2160 lines of a 16:9 box are 3840 across.
                let (long, short) = (width.max(height), width.min(height));
                prop_assert!(long > 3840 && short * 3840 / long <= SMALLEST_SIDE + 1);
                return Ok(());
            }
            Err(error) => return Err(TestCaseError::fail(error.to_string())),
        };
        prop_assert!(!plan.video.is_empty());
        prop_assert_eq!(plan.segment_frames % plan.gop_frames, 0);
        let mut above: Option<&weir_origin_media::VideoRung> = None;
        for rung in &plan.video {
            prop_assert!(rung.width <= width && rung.height <= height, "upscaled: {rung:?}");
            prop_assert!(rung.width % 2 == 0 && rung.height % 2 == 0, "odd: {rung:?}");
            prop_assert!(rung.width.min(rung.height) >= SMALLEST_SIDE, "tiny: {rung:?}");
            // Shape kept to within the two lines that rounding to even may take.
            let (w, h) = (f64::from(rung.width), f64::from(rung.height));
            let wanted = w * f64::from(height) / f64::from(width);
            let slack = 2.0 + 2.0 * f64::from(height) / f64::from(width);
            prop_assert!((wanted - h).abs() <= slack, "bent: {rung:?} of {width}x{height}");
            if let Some(above) = above {
                prop_assert!(rung.width < above.width && rung.height < above.height);
                prop_assert!(rung.max_bits_per_second <= above.max_bits_per_second);
                prop_assert_ne!(&rung.id, &above.id);
            }
            above = Some(rung);
        }
        // A segment is as long as was asked for, to within half a frame a GOP.
        let gops = f64::from(plan.segment_frames / plan.gop_frames);
        let lasts = f64::from(plan.segment_frames) / plan.rate.as_f64();
        let slack = 0.51 * gops / plan.rate.as_f64() + 1e-3;
        #[expect(clippy::cast_precision_loss, reason = "seconds")]
        let wanted = segment as f64 / 1e6;
        prop_assert!((lasts - wanted).abs() <= slack, "{lasts} for {wanted} at {}", plan.rate);
    }
}
