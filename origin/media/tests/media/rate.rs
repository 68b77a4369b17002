//! Which constant rate a source is packaged at.

use proptest::prelude::*;
use weir_origin_media::{FrameRate, rate::constant};

fn rate(text: &str) -> Option<FrameRate> {
    FrameRate::parse(text)
}

#[test]
fn a_source_gets_the_rate_it_means() {
    // average, base, expected, whether the frames are spread anew
    let check = |average: &str, base: &str, expected: &str, varied: bool| {
        let chosen = constant(rate(average), rate(base)).unwrap();
        let name = format!("{average} over {base}");
        assert_eq!((chosen.rate.to_string().as_str(), chosen.varied), (expected, varied), "{name}");
    };
    check("25/1", "25/1", "25", false);
    check("24000/1001", "24000/1001", "24000/1001", false);
    check("30000/1001", "30000/1001", "30000/1001", false);
    check("60000/1001", "60000/1001", "60000/1001", false);
    // Rounded by containers that keep time in milliseconds.
    check("2997/100", "2997/100", "30000/1001", false);
    check("23976/1000", "23976/1000", "24000/1001", false);
    check("2997/125", "24000/1001", "24000/1001", false);
    // 23.976 is not 24, and 59.94 is not 60.
    check("24/1", "24/1", "24", false);
    check("60/1", "60/1", "60", false);
    // A last frame of another length moves the average a little.
    check("210000/7007", "30000/1001", "30000/1001", false);
    check("5010/201", "25/1", "25", false);
    // High rates are divided, never resampled unevenly.
    check("120/1", "120/1", "60", false);
    check("240/1", "240/1", "60", false);
    check("120000/1001", "120000/1001", "60000/1001", false);
    check("100/1", "100/1", "50", false);
    // Slow ones repeat whole frames.
    check("1/1", "1/1", "5", false);
    check("5/2", "5/2", "5", false);
    check("1/30", "1/30", "5", false);
    // Odd, but constant.
    check("18/1", "18/1", "18", false);
    check("23/1", "23/1", "23", false);
    // Telephones: 30 frames with some left out; the base is plausible.
    check("29/1", "30/1", "30", true);
    check("1342/54", "30/1", "30", true);
    // A base that only says which clock is used.
    check("2487/100", "90000/1", "25", true);
    check("1423/100", "1000/1", "15", true);
    check("75/1", "1000/1", "60", true);
    // A screen recording of which hardly a frame changed.
    check("7/1", "60/1", "10", true);
    // One of the two unknown.
    check("0/0", "25/1", "25", false);
    check("25/1", "0/0", "25", false);
}

#[test]
fn without_any_rate_there_is_no_film() {
    assert_eq!(constant(rate("0/0"), rate("0/1")), None);
    assert_eq!(constant(rate("x"), rate("")), None);
}

#[test]
fn frames_are_whole_ticks() {
    let check = |text: &str, timescale: u32, ticks: u32| {
        let rate = rate(text).unwrap();
        assert_eq!((rate.timescale(), rate.frame_ticks()), (timescale, ticks), "{text}");
    };
    check("25/1", 25_000, 1000);
    check("30000/1001", 30_000, 1001);
    check("24000/1001", 24_000, 1001);
    check("25/2", 25_000, 2000);
    check("60/1", 60_000, 1000);
}

proptest! {
    #[test]
    fn any_rate_ends_between_slow_and_fast(
        average in (1u32.., 1u32..), base in (1u32.., 1u32..)
    ) {
        let chosen = constant(
            FrameRate::new(average.0, average.1),
            FrameRate::new(base.0, base.1),
        ).unwrap().rate;
        prop_assert!(chosen.as_f64() >= 4.99, "{chosen}");
        prop_assert!(chosen.as_f64() <= 60.05, "{chosen}");
        prop_assert!(chosen.num() <= 240_000 && chosen.den() <= 128_128, "{chosen}");
        let seconds = f64::from(chosen.frame_ticks()) / f64::from(chosen.timescale());
        prop_assert!((seconds * chosen.as_f64() - 1.0).abs() < 1e-9);
    }
}
