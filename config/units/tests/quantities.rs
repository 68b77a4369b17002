//! What is read, what is refused and with which words, and that printing loses nothing.

use std::{fmt::Display, str::FromStr};

use proptest::prelude::*;
use weir_config_units::{BitRate, ByteSize, Duration, ParseError};

fn check<T: FromStr<Err = ParseError> + Display>(text: &str, expected: Result<&str, &str>) {
    let found = text.parse::<T>().map(|value| value.to_string()).map_err(|e| e.to_string());
    let found = found.as_deref().map_err(String::as_str);
    assert_eq!(found, expected, "{text:?}");
}

#[test]
fn sizes() {
    check::<ByteSize>("512 MiB", Ok("512 MiB"));
    check::<ByteSize>("10 GB", Ok("10 GB"));
    check::<ByteSize>("1.5GiB", Ok("1536 MiB"));
    check::<ByteSize>("  1_000 kb ", Ok("1 MB"));
    check::<ByteSize>("0", Ok("0 B"));
    check::<ByteSize>("1023 B", Ok("1023 B"));
    check::<ByteSize>("18446744073709551615 B", Ok("18446744073709551615 B"));
    let units = "B, kB, MB, GB, TB (powers of 1000) and KiB, MiB, GiB, TiB (powers of 1024)";
    check::<ByteSize>("", Err("is empty; write a number and a unit, like \"512 MiB\""));
    check::<ByteSize>("512", Err(&format!("\"512\" has no unit; units are {units}")));
    check::<ByteSize>("512 Mbit", Err(&format!("\"Mbit\" is no unit; units are {units}")));
    check::<ByteSize>(
        "lots",
        Err("\"lots\" does not start with a number; write it like \"512 MiB\""),
    );
    check::<ByteSize>(
        "-1 GB",
        Err("\"-1 GB\" does not start with a number; write it like \"512 MiB\""),
    );
    check::<ByteSize>(
        "1.2.3 GB",
        Err("\"1.2.3 GB\" does not start with a number; write it like \"512 MiB\""),
    );
    check::<ByteSize>("16 EiB", Err("\"16 EiB\" is too large; the most is 18446744073709551615 B"));
    check::<ByteSize>("1.5 B", Err("\"1.5 B\" is no whole number of bytes"));
}

#[test]
fn rates() {
    check::<BitRate>("1.2Gbit", Ok("1200Mbit"));
    check::<BitRate>("800 kbit/s", Ok("800kbit"));
    check::<BitRate>("0", Ok("0bit"));
    check::<BitRate>(
        "3 MB",
        Err("\"MB\" is no unit; units are bit, kbit, Mbit, Gbit and Tbit (powers of 1000), \
             with or without \"/s\""),
    );
}

#[test]
fn durations() {
    check::<Duration>("250ms", Ok("250ms"));
    check::<Duration>("2s", Ok("2s"));
    check::<Duration>("24h", Ok("1d"));
    check::<Duration>("7d", Ok("7d"));
    check::<Duration>("1.5h", Ok("90min"));
    check::<Duration>("10m", Ok("10min"));
    check::<Duration>("0", Ok("0s"));
    check::<Duration>("7", Err("\"7\" has no unit; units are ns, us, ms, s, min (or m), h and d"));
    // `M` could be minutes or months.
    check::<Duration>("7M", Err("\"M\" is no unit; units are ns, us, ms, s, min (or m), h and d"));
    check::<Duration>("213504d", Err("\"213504d\" is too large; the most is 213503d"));
}

#[test]
fn rounded_for_people() {
    let check = |bytes, expected: &str| assert_eq!(ByteSize::bytes(bytes).rounded(), expected);
    check(0, "0 B");
    check(1023, "1023 B");
    check(1536, "1.50 KiB");
    check(41_200_000_000, "38.4 GiB");
    check(u64::MAX, "16.0 EiB");
}

proptest! {
    #[test]
    fn printing_loses_nothing(count: u64) {
        let size = ByteSize::bytes(count);
        prop_assert_eq!(size.to_string().parse(), Ok(size));
        let rate = BitRate::bits_per_second(count);
        prop_assert_eq!(rate.to_string().parse(), Ok(rate));
        let time = Duration::saturating_from(std::time::Duration::from_nanos(count));
        prop_assert_eq!(time.to_string().parse(), Ok(time));
    }

    #[test]
    fn no_text_panics(text: String) {
        let _ = (text.parse::<ByteSize>(), text.parse::<BitRate>(), text.parse::<Duration>());
    }

    #[test]
    fn near_misses_do_not_panic(text in "[0-9._]{0,60} ?[A-Za-zµ]{0,4}(/s)?") {
        let _ = (text.parse::<ByteSize>(), text.parse::<BitRate>(), text.parse::<Duration>());
    }
}
