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

/// `10:00:00.250`: the time of the day, in UTC.
pub(crate) fn clock(unix_millis: u64) -> String {
    let (seconds, millis) = (unix_millis / 1000 % 86_400, unix_millis % 1000);
    format!("{:02}:{:02}:{:02}.{millis:03}", seconds / 3600, seconds / 60 % 60, seconds % 60)
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

/// `2026-12-01`, `2026-12-01T18:00Z` or with seconds: Unix seconds, in UTC.
pub(crate) fn unix(text: &str) -> Option<u64> {
    let (date, time) = match text.split_once('T') {
        Some((date, time)) => (date, time.strip_suffix('Z')?),
        None => (text, "00:00"),
    };
    let mut date = date.splitn(3, '-').map(digits);
    let (year, month, day) = (date.next()??, date.next()??, date.next()??);
    let mut time = time.splitn(3, ':').map(digits);
    let (hour, minute, second) = (time.next()??, time.next()??, time.next().unwrap_or(Some(0))?);
    let days = (1970..=9999).contains(&year).then(|| days(year, month, day));
    let seconds = days? * 86_400 + hour * 3600 + minute * 60 + second;
    // What is no date, the 31st of April or an hour 24, is written otherwise.
    let written = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z");
    (utc(seconds) == written).then_some(seconds)
}

fn digits(text: &str) -> Option<u64> {
    let all = !text.is_empty() && text.len() <= 4 && text.bytes().all(|b| b.is_ascii_digit());
    all.then(|| text.parse().ok())?
}

/// Days since 1970-01-01; see [`date`]. What is no date gives some number.
fn days(year: u64, month: u64, day: u64) -> u64 {
    let year = if month < 3 { year - 1 } else { year };
    let month = if month < 3 { month + 9 } else { month - 3 };
    let (era, of_era) = (year / 400, year % 400);
    let of_year = (153 * month + 2) / 5 + day.saturating_sub(1);
    (era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year).saturating_sub(719_468)
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
    use super::{span, unix, utc};

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
    fn points_that_people_write() {
        let check = |text: &str, expected| assert_eq!(unix(text), expected, "{text}");
        check("1970-01-01", Some(0));
        check("2024-02-29T00:00:00Z", Some(1_709_164_800));
        check("2027-01-15T08:00Z", Some(1_800_000_000));
        check("2100-03-01", Some(4_107_542_400));
        for text in ["", "2026", "2026-02-29", "2026-13-01", "2026-1-1T24:00Z", "2026-01-01T10:00"]
        {
            check(text, None);
        }
        for unix_s in (0..4_000_000_000).step_by(86_400 * 17 + 3601) {
            check(&utc(unix_s), Some(unix_s));
        }
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
