//! Freshness lifetime and age (RFC 9111 §4.2).

use http::{HeaderMap, HeaderValue, StatusCode, header};

use crate::{
    control::{CacheControl, RequestControl, SECONDS_MAX, Targeted, response_control},
    date,
    storable::{Rules, heuristic_status},
};

/// What the directives of a stored response allow; 32 bit, to be kept with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Flags(pub u32);

impl Flags {
    /// Ask before every use (`no-cache`).
    pub const NO_CACHE: Self = Self(1);
    /// Never use stale (`must-revalidate`; for us also `proxy-revalidate` and `s-maxage`).
    pub const MUST_REVALIDATE: Self = Self(1 << 1);
    /// Does not change while fresh (RFC 8246).
    pub const IMMUTABLE: Self = Self(1 << 2);
    /// Not to be transformed.
    pub const NO_TRANSFORM: Self = Self(1 << 3);
    /// Its lifetime is a guess from `Last-Modified` (RFC 9111 §4.2.2).
    pub const HEURISTIC: Self = Self(1 << 4);

    /// Whether all of `other` is set.
    pub fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    fn with(self, other: Self, on: bool) -> Self {
        if on { Self(self.0 | other.0) } else { self }
    }
}

/// What of a stored response decides whether it may be used: computed once, when it comes.
/// Times are milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifetime {
    /// Freshness lifetime, counted from age 0.
    pub lifetime_millis: u64,
    /// Age when the response came.
    pub initial_age_millis: u64,
    /// When it came, Unix time.
    pub response_millis: u64,
    /// What its directives allow.
    pub flags: Flags,
}

/// Whether a stored response may be used now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// Yes, for so long.
    Fresh {
        /// Milliseconds of freshness left, more than 0.
        remaining_millis: u64,
    },
    /// Only after revalidation, or where a rule allows stale use.
    Stale {
        /// Milliseconds since it was fresh.
        by_millis: u64,
    },
    /// Only after revalidation, whatever rules say.
    MustRevalidate,
}

impl Lifetime {
    /// From a response's fields. `request_millis` and `response_millis`: when the request
    /// went out and when the response came, Unix time.
    pub fn of(
        status: StatusCode,
        headers: &HeaderMap,
        request_millis: u64,
        response_millis: u64,
        rules: &Rules,
    ) -> Self {
        let (control, _) = response_control(headers);
        // RFC 9111 §5.2.2.2 [must-revalidate.stale, must-revalidate.always]: in every trouble.
        // For a shared cache two more say so:
        // RFC 9111 §5.2.2.8 [proxy-revalidate]
        // RFC 9111 §5.2.2.10 [s-maxage.stale]
        let must =
            control.must_revalidate || control.proxy_revalidate || control.s_maxage.is_some();
        // §5.4: Pragma says nothing in a response.
        let flags = Flags::default()
            .with(Flags::NO_CACHE, control.no_cache)
            .with(Flags::MUST_REVALIDATE, must)
            .with(Flags::IMMUTABLE, control.immutable)
            .with(Flags::NO_TRANSFORM, control.no_transform);
        let told = freshness_lifetime(headers, response_millis)
            .or_else(|| rules.default_for(status).filter(|millis| *millis > 0));
        let guessed = match told {
            Some(_) => None,
            None => heuristic_lifetime(status, headers, &control, rules, response_millis),
        };
        let flags = flags.with(Flags::HEURISTIC, guessed.is_some());
        Self {
            lifetime_millis: told.or(guessed).unwrap_or(0),
            initial_age_millis: initial_age(headers, request_millis, response_millis),
            response_millis,
            flags,
        }
    }

    /// RFC 9111 §4.2.3 [age.request]: `current_age`, whose parts count from when the request
    /// went out. A clock that was set back makes nothing younger than it was when it came.
    pub fn age_millis(&self, now_millis: u64) -> u64 {
        let resident = now_millis.saturating_sub(self.response_millis);
        self.initial_age_millis.saturating_add(resident)
    }

    /// RFC 9111 §4.2: fresh while `freshness_lifetime > current_age`.
    pub fn freshness(&self, now_millis: u64) -> Freshness {
        let age = self.age_millis(now_millis);
        // RFC 9111 §5.2.2.4 [no-cache.unqualified]
        if self.flags.has(Flags::NO_CACHE) {
            Freshness::MustRevalidate
        } else if self.lifetime_millis > age {
            Freshness::Fresh { remaining_millis: self.lifetime_millis - age }
        } else if self.flags.has(Flags::MUST_REVALIDATE) {
            Freshness::MustRevalidate
        } else {
            Freshness::Stale { by_millis: age - self.lifetime_millis }
        }
    }

    /// Whether it may answer a request with these directives without asking upstream (§5.2.1).
    // RFC 9111 §4 [reuse.no-cache, reuse.fresh]
    pub fn satisfies(&self, request: &RequestControl, now_millis: u64) -> bool {
        let age = self.age_millis(now_millis);
        // §5.2.1.1
        let young = request.max_age.is_none_or(|seconds| age <= millis(seconds))
            // `max-age=0` is how a reload asks; an age of 0 ms must not answer it.
            && request.max_age != Some(0);
        let usable = match self.freshness(now_millis) {
            // §5.2.1.3
            Freshness::Fresh { remaining_millis } => {
                request.min_fresh.is_none_or(|seconds| remaining_millis >= millis(seconds))
            }
            // §5.2.1.2
            Freshness::Stale { by_millis } => {
                request
                    .max_stale
                    .is_some_and(|seconds| seconds >= SECONDS_MAX || by_millis <= millis(seconds))
                    && request.min_fresh.is_none()
            }
            Freshness::MustRevalidate => false,
        };
        !request.no_cache && young && usable
    }
}

/// RFC 9111 §4.2.1: `s-maxage`, `max-age`, then `Expires` less `Date`; milliseconds. `None`
/// where the response says nothing.
// RFC 9111 §5.3 [expires.max-age, expires.s-maxage]
pub fn freshness_lifetime(headers: &HeaderMap, response_millis: u64) -> Option<u64> {
    let (control, targeted) = response_control(headers);
    if let Some(seconds) = control.s_maxage.or(control.max_age) {
        return Some(millis(seconds));
    }
    // RFC 9213 §2.2
    if targeted != Targeted::None {
        return None;
    }
    headers.get(header::EXPIRES)?;
    // RFC 9111 §5.3 [expires.invalid]: no date, "0" above all, is in the past.
    let expires = date::field(headers, &header::EXPIRES).unwrap_or(0);
    // RFC 9110 §6.6.1: without Date it counts from when it came.
    let from = date::field(headers, &header::DATE).unwrap_or(response_millis / 1000);
    Some(millis(expires.saturating_sub(from).min(SECONDS_MAX)))
}

/// RFC 9111 §4.2.2 [heuristic.explicit, heuristic.statuses]: milliseconds, a tenth of the time since the response was last modified, up
/// to the rules' bound. Only for a response that says nothing of its own, with a status that
/// may be kept without a word, or one that is called `public`.
fn heuristic_lifetime(
    status: StatusCode,
    headers: &HeaderMap,
    control: &CacheControl,
    rules: &Rules,
    response_millis: u64,
) -> Option<u64> {
    let bound = rules.heuristic_max_millis?;
    if !heuristic_status(status) && !control.public {
        return None;
    }
    let modified = date::field(headers, &header::LAST_MODIFIED)?;
    let made = date::field(headers, &header::DATE).unwrap_or(response_millis / 1000);
    // A tenth, in milliseconds.
    let tenth = made.checked_sub(modified)?.saturating_mul(100);
    Some(tenth.min(bound)).filter(|millis| *millis > 0)
}

/// RFC 9111 §4.2.3 [age.request]: `corrected_initial_age`, milliseconds.
pub fn initial_age(headers: &HeaderMap, request_millis: u64, response_millis: u64) -> u64 {
    let apparent = date::field(headers, &header::DATE)
        .map_or(0, |date| (response_millis / 1000).saturating_sub(date));
    let delay = response_millis.saturating_sub(request_millis);
    let corrected = millis(age_field(headers)).saturating_add(delay);
    millis(apparent).max(corrected)
}

/// RFC 9111 §5.1 [age.list, age.invalid]: the first member of the first line; what is no number
/// does not count.
fn age_field(headers: &HeaderMap) -> u64 {
    let line = headers.get(header::AGE).map(HeaderValue::as_bytes).unwrap_or_default();
    let digits = line.split(|byte| *byte == b',').next().unwrap_or_default().trim_ascii();
    if !digits.iter().all(u8::is_ascii_digit) {
        return 0;
    }
    digits.iter().fold(0_u64, |sum, digit| {
        sum.saturating_mul(10).saturating_add(u64::from(digit - b'0')).min(SECONDS_MAX)
    })
}

/// The `Age` field of a response from the cache (RFC 9111 §5.1).
pub fn age_value(age_millis: u64) -> HeaderValue {
    HeaderValue::from((age_millis / 1000).min(SECONDS_MAX))
}

fn millis(seconds: u64) -> u64 {
    seconds.saturating_mul(1000)
}
