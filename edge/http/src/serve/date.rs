//! The `Date` of responses, from the clock that the process was given.

use std::{
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use http::{HeaderMap, HeaderValue, header};
use parking_lot::Mutex;
use weir_config_lifecycle::Clock;

/// End of the year 9999, the last that the format can say (RFC 9110 §5.6.7).
const LAST_SECOND: u64 = 253_402_300_799;

/// Written out once a second. One for each worker, so that nobody waits for its lock.
#[derive(Debug)]
pub(crate) struct Dates {
    clock: Arc<dyn Clock>,
    last: Mutex<(u64, HeaderValue)>,
}

impl Dates {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, last: Mutex::new((0, written(0))) }
    }

    /// RFC 9110 §6.6.1: a server with a clock dates its responses, and adds the field where one
    /// that it passes on came without.
    pub(crate) fn date(&self, headers: &mut HeaderMap) {
        headers.entry(header::DATE).or_insert_with(|| self.now());
    }

    fn now(&self) -> HeaderValue {
        let second = self.clock.unix_seconds().min(LAST_SECOND);
        let mut last = self.last.lock();
        if last.0 != second {
            *last = (second, written(second));
        }
        last.1.clone()
    }
}

fn written(second: u64) -> HeaderValue {
    let text = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(second));
    HeaderValue::try_from(text).expect("a date is letters, digits and spaces")
}

#[cfg(test)]
mod tests {
    use weir_config_lifecycle::ManualClock;

    use super::*;

    #[test]
    fn dates_follow_the_clock_and_spare_those_that_are_there() {
        let clock = Arc::new(ManualClock::at(784_111_777_999));
        let dates = Dates::new(Arc::clone(&clock) as _);
        let check = |mut headers: HeaderMap, expected: &str| {
            dates.date(&mut headers);
            assert_eq!(headers[header::DATE], expected);
        };
        check(HeaderMap::new(), "Sun, 06 Nov 1994 08:49:37 GMT");
        check(HeaderMap::new(), "Sun, 06 Nov 1994 08:49:37 GMT");
        clock.advance_millis(1);
        check(HeaderMap::new(), "Sun, 06 Nov 1994 08:49:38 GMT");
        let upstream = HeaderValue::from_static("Thu, 01 Jan 1970 00:00:00 GMT");
        check(HeaderMap::from_iter([(header::DATE, upstream)]), "Thu, 01 Jan 1970 00:00:00 GMT");
        clock.advance_millis(u64::MAX / 2);
        check(HeaderMap::new(), "Fri, 31 Dec 9999 23:59:59 GMT");
    }
}
