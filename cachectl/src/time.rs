//! Points and stretches of time as people read them.

/// `2026-11-20T10:00:00Z`: RFC 3339, in UTC.
pub(crate) fn utc(unix: u64) -> String {
    let (days, second) = (unix / 86_400, unix % 86_400);
    // Years past 9999 have no RFC 3339 form.
    if days > 2_932_896 {
        return "after the year 9999".to_owned();
    }
    let (year, month, day) = date(days);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Days since 1970-01-01 to a date of the Gregorian calendar. Counted in years that begin in
/// March, so that the leap day is the last one; 400 years have 146,097 days.
fn date(days: u64) -> (u64, u64, u64) {
    // 1970-01-01 is day 719,468 after 0000-03-01.
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year + u64::from(month <= 2), month, day)
}

/// `3h 12min`: the two largest units.
pub(crate) fn span(seconds: u64) -> String {
    let units = [("d", 86_400), ("h", 3600), ("min", 60), ("s", 1)];
    let Some(first) = units.iter().position(|(_, size)| seconds >= *size) else {
        return "0s".to_owned();
    };
    let (unit, size) = units[first];
    let mut out = format!("{}{unit}", seconds / size);
    if let Some((unit, size)) = units.get(first + 1)
        && seconds % units[first].1 >= *size
    {
        out.push_str(&format!(" {}{unit}", seconds % units[first].1 / size));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{span, utc};

    #[test]
    fn points() {
        let check = |unix, expected: &str| assert_eq!(utc(unix), expected);
        check(0, "1970-01-01T00:00:00Z");
        check(951_782_399, "2000-02-28T23:59:59Z");
        check(951_782_400, "2000-02-29T00:00:00Z");
        check(951_868_800, "2000-03-01T00:00:00Z");
        check(1_709_164_800, "2024-02-29T00:00:00Z");
        check(1_798_761_599, "2026-12-31T23:59:59Z");
        check(4_107_542_400, "2100-03-01T00:00:00Z");
        check(253_402_300_799, "9999-12-31T23:59:59Z");
        check(u64::MAX, "after the year 9999");
    }

    #[test]
    fn stretches() {
        let check = |seconds, expected: &str| assert_eq!(span(seconds), expected);
        check(0, "0s");
        check(59, "59s");
        check(60, "1min");
        check(11_520, "3h 12min");
        check(86_400, "1d");
        check(90_061, "1d 1h");
    }
}
