//! W3C Trace Context: `traceparent` and `tracestate`, read and written; and who is told by the
//! ratio.

use std::fmt;

/// A trace; 0 is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceId(pub u128);

/// A span of it; 0 is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SpanId(pub u64);

impl fmt::Display for TraceId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:032x}", self.0)
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:016x}", self.0)
    }
}

/// What `traceparent` says: a span, and whether whoever made it tells its trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Context {
    /// The trace.
    pub trace: TraceId,
    /// The span that asks.
    pub span: SpanId,
    /// Whether it is told.
    pub sampled: bool,
}

/// W3C Trace Context §3.2.2.3, flag of the last byte.
const SAMPLED: u8 = 1;

impl Context {
    /// Reads a `traceparent`; nothing where it is none.
    ///
    /// W3C Trace Context §3.2.2: `00-{32}-{16}-{2}` in lower-case hexadecimal digits, neither id
    /// all zeroes; §4.3: of a later version what is known of it, `ff` is no version.
    pub fn read(text: &str) -> Option<Self> {
        let (head, rest) = text.split_at_checked(55)?;
        let mut parts = head.split('-');
        let mut next = |digits: usize| {
            let part = parts.next()?;
            let lower = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
            (part.len() == digits && part.bytes().all(lower)).then_some(part)
        };
        let version = u8::from_str_radix(next(2)?, 16).ok()?;
        let trace = u128::from_str_radix(next(32)?, 16).ok()?;
        let span = u64::from_str_radix(next(16)?, 16).ok()?;
        let flags = u8::from_str_radix(next(2)?, 16).ok()?;
        let ends = match version {
            0 => rest.is_empty(),
            0xff => false,
            _ => rest.is_empty() || rest.starts_with('-'),
        };
        let sound = ends && trace != 0 && span != 0;
        let sampled = flags & SAMPLED != 0;
        sound.then_some(Self { trace: TraceId(trace), span: SpanId(span), sampled })
    }
}

impl fmt::Display for Context {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "00-{}-{}-{:02x}", self.trace, self.span, u8::from(self.sampled))
    }
}

/// What vendors say of a trace, handed on as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tracestate(Box<str>);

impl Tracestate {
    /// Of all `tracestate` fields of a request; nothing where there is none, or where it is longer
    /// than has to be handed on (§3.3.1.5) or holds what no field does.
    pub fn read<'f>(fields: impl Iterator<Item = &'f str>) -> Option<Self> {
        const MOST: usize = 512;
        let mut all = String::new();
        for field in fields.map(str::trim).filter(|field| !field.is_empty()) {
            let comma = usize::from(!all.is_empty());
            if all.len() + comma + field.len() > MOST {
                return None;
            }
            all.push_str(&","[..comma]);
            all.push_str(field);
        }
        let sound = all.bytes().all(|byte| (b' '..=b'~').contains(&byte)) && !all.is_empty();
        sound.then(|| Self(all.into()))
    }

    /// As a field.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether a trace is told by itself: so many of a million are. Whoever asks the same of the same
/// trace has the same answer, and who is told at a ratio is told at every greater one, as
/// OpenTelemetry's consistent sampling has it: the last 56 bits of an id are random.
pub fn sampled(trace: TraceId, of_a_million: u32) -> bool {
    const MILLION: u128 = 1_000_000;
    const RANDOM: u128 = 1 << 56;
    let refused = MILLION.saturating_sub(of_a_million.into()) * RANDOM / MILLION;
    trace.0 % RANDOM >= refused
}

#[cfg(test)]
mod tests {
    use super::{Context, TraceId, Tracestate, sampled};

    const ID: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    #[test]
    fn parents() {
        let check = |text: &str, told: Option<bool>| {
            let read = Context::read(text);
            assert_eq!(read.map(|context| context.sampled), told, "{text}");
            if let Some(context) = read {
                assert_eq!(context.to_string()[2..52], text[2..52], "{text}");
            }
        };
        check(&format!("00-{ID}-00f067aa0ba902b7-01"), Some(true));
        check(&format!("00-{ID}-00f067aa0ba902b7-00"), Some(false));
        check(&format!("00-{ID}-00f067aa0ba902b7-03"), Some(true));
        check(&format!("cc-{ID}-00f067aa0ba902b7-01-what-comes"), Some(true));
        check(&format!("00-{ID}-00f067aa0ba902b7-01-what-comes"), None);
        check(&format!("cc-{ID}-00f067aa0ba902b7-01.x"), None);
        check(&format!("ff-{ID}-00f067aa0ba902b7-01"), None);
        check(&format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32)), None);
        check(&format!("00-{ID}-0000000000000000-01"), None);
        check(&format!("00-{}-00f067aa0ba902b7-01", ID.to_uppercase()), None);
        check(&format!("00-{ID}-00f067aa0ba902b-701"), None);
        check("", None);
        check(&"é".repeat(40), None);
    }

    #[test]
    fn states() {
        let check = |fields: &[&str], expected: Option<&str>| {
            let read = Tracestate::read(fields.iter().copied());
            assert_eq!(read.as_ref().map(Tracestate::as_str), expected, "{fields:?}");
        };
        check(&[], None);
        check(&["", " "], None);
        check(&["a=1", " b=2 "], Some("a=1,b=2"));
        check(&["a=\u{7f}"], None);
        check(&[&"x".repeat(512)], Some(&"x".repeat(512)));
        check(&[&"x".repeat(513)], None);
        check(&[&"x".repeat(511), "y"], None);
    }

    #[test]
    fn a_trace_is_told_or_not_whoever_asks() {
        let trace =
            |n: u64| TraceId(u128::from(n.wrapping_mul(0x9e37_79b9_7f4a_7c15)) + (1 << 100));
        for ppm in [0, 1, 250, 10_000, 500_000, 999_999, 1_000_000] {
            let told = (0..200_000).filter(|n| sampled(trace(*n), ppm)).count() as f64 / 2e5;
            assert!((told - f64::from(ppm) / 1e6).abs() < 0.002, "{ppm}: {told}");
        }
        for n in 0..10_000 {
            assert_eq!(sampled(trace(n), 300_000), sampled(trace(n), 300_000));
            assert!(!sampled(trace(n), 10_000) || sampled(trace(n), 20_000));
        }
        assert!(!sampled(TraceId(u128::MAX), 0) && sampled(TraceId(1 << 80), 1_000_000));
    }
}
