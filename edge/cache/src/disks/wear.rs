//! How much was written to a disk, over restarts: in all, and on each of the last days.
//!
//! What a store told the device to write, its own overhead included. What the file system and
//! the device add (journals, write amplification inside an SSD) is not seen from here.

/// Days that are kept one by one.
const DAYS: usize = 8;
const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// Bytes written to one disk.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wear {
    /// Since the disk was first used.
    pub total: u64,
    /// Day it was first used, counted from 1970-01-01 UTC; 0 is not known.
    pub since_day: u64,
    /// Day and bytes, oldest first; days without a write are left out.
    pub days: Vec<(u64, u64)>,
}

impl Wear {
    /// Of a disk that is used from now on.
    pub(super) fn new(unix_ms: u64) -> Self {
        Self { total: 0, since_day: unix_ms / DAY_MS, days: Vec::new() }
    }

    /// Counts bytes that were written just now. A clock set back counts for the newest day.
    pub(super) fn add(&mut self, unix_ms: u64, bytes: u64) {
        if bytes == 0 {
            return;
        }
        self.total = self.total.saturating_add(bytes);
        let today = unix_ms / DAY_MS;
        match self.days.last_mut() {
            Some((day, sum)) if *day >= today => *sum = sum.saturating_add(bytes),
            _ => self.days.push((today, bytes)),
        }
        if self.days.len() > DAYS {
            self.days.remove(0);
        }
    }

    /// Bytes of the day that runs.
    pub fn today(&self, unix_ms: u64) -> u64 {
        let today = unix_ms / DAY_MS;
        self.days.last().filter(|(day, _)| *day >= today).map_or(0, |(_, bytes)| *bytes)
    }

    /// Bytes a day over the last seven whole days, or as many as there were; none before the
    /// first whole day is over.
    pub fn per_day(&self, unix_ms: u64) -> Option<u64> {
        let today = unix_ms / DAY_MS;
        let from = self.since_day.max(today.saturating_sub(7));
        let days = today.checked_sub(from).filter(|days| *days > 0)?;
        let whole = self.days.iter().filter(|(day, _)| (from..today).contains(day));
        let sum = whole.fold(0_u64, |sum, (_, bytes)| sum.saturating_add(*bytes));
        Some(sum / days)
    }

    pub(super) fn render(&self) -> String {
        let mut text = format!("{},{}", self.total, self.since_day);
        for (day, bytes) in &self.days {
            text.push_str(&format!(",{day}:{bytes}"));
        }
        text
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(',');
        let total = parts.next()?.parse().ok()?;
        let since_day = parts.next()?.parse().ok()?;
        let day = |part: &str| {
            let (day, bytes) = part.split_once(':')?;
            Some((day.parse().ok()?, bytes.parse().ok()?))
        };
        let days = parts.map(day).collect::<Option<Vec<_>>>()?;
        (days.len() <= DAYS).then_some(Self { total, since_day, days })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_counted_apart_and_forgotten() {
        let at = |day: u64| day * DAY_MS + 1;
        let mut wear = Wear::new(at(100));
        assert_eq!((wear.today(at(100)), wear.per_day(at(100))), (0, None));
        wear.add(at(100), 10);
        wear.add(at(100), 10);
        assert_eq!((wear.today(at(100)), wear.per_day(at(100))), (20, None));
        wear.add(at(102), 30);
        assert_eq!((wear.today(at(102)), wear.per_day(at(102))), (30, Some(10)));
        // A clock set back does not begin a day anew.
        wear.add(at(101), 1);
        assert_eq!(wear.days, [(100, 20), (102, 31)]);
        for day in 103..130 {
            wear.add(at(day), 7);
        }
        assert_eq!((wear.days.len(), wear.total), (DAYS, 51 + 27 * 7));
        assert_eq!(wear.per_day(at(130)), Some(7));
        assert_eq!(wear.today(at(131)), 0);
        assert_eq!(Wear::parse(&wear.render()), Some(wear));
        assert_eq!(Wear::parse("1"), None);
        assert_eq!(Wear::parse("1,2,3"), None);
    }
}
