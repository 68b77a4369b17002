//! Where a request stands in its trace.

use http::{HeaderMap, HeaderName, HeaderValue};
use weir_config_telemetry::{
    RequestId,
    traces::{Context, SpanId, TraceId, Tracestate, sampled},
};

/// The fields of W3C Trace Context.
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// The span of a request that was not made yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root {
    pub trace: TraceId,
    /// The request's own id: `cachectl trace` finds it by that.
    pub span: SpanId,
    /// Who asked, where that is believed.
    pub parent: Option<SpanId>,
    pub sampled: bool,
    pub state: Option<Tracestate>,
}

impl Root {
    /// Of a request with fields that are believed, or with none.
    pub(super) fn of(
        id: RequestId,
        salt: u64,
        believed: Option<&HeaderMap>,
        of_a_million: u32,
    ) -> Self {
        let parent = believed.and_then(parent);
        // No span is called 0; the id is no other request's by that.
        let span = SpanId(id.0.max(1));
        match parent {
            Some(Context { trace, span: parent, sampled }) => {
                let fields = believed.into_iter().flat_map(|all| all.get_all(TRACESTATE));
                let state = Tracestate::read(fields.filter_map(|field| field.to_str().ok()));
                Self { trace, span, parent: Some(parent), sampled, state }
            }
            None => {
                let trace = TraceId(u128::from(mixed(salt, id.0)) << 64 | u128::from(span.0));
                let sampled = sampled(trace, of_a_million);
                Self { trace, span, parent: None, sampled, state: None }
            }
        }
    }

    /// The id of one of its parts.
    pub(super) fn part(&self, number: u64) -> SpanId {
        SpanId(mixed(self.span.0, number).max(1))
    }

    /// What goes upstream with a request that is that part of it: whatever a client said in its
    /// place does not.
    pub(super) fn fields(&self, span: SpanId) -> Vec<(HeaderName, Option<HeaderValue>)> {
        let context = Context { trace: self.trace, span, sampled: self.sampled };
        let value = |text: &str| HeaderValue::from_str(text).ok();
        let state = self.state.as_ref().and_then(|state| value(state.as_str()));
        vec![(TRACEPARENT, value(&context.to_string())), (TRACESTATE, state)]
    }
}

/// W3C Trace Context §3.2: more than one is none.
fn parent(headers: &HeaderMap) -> Option<Context> {
    let mut all = headers.get_all(TRACEPARENT).iter();
    let (first, None) = (all.next()?, all.next()) else { return None };
    Context::read(first.to_str().ok()?.trim())
}

fn mixed(salt: u64, number: u64) -> u64 {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&salt.to_le_bytes());
    bytes[8..].copy_from_slice(&number.to_le_bytes());
    xxhash_rust::xxh3::xxh3_64(&bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn fields(list: &[(&'static str, &'static str)]) -> HeaderMap {
        let one = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        list.iter().map(one).collect()
    }

    #[test]
    fn a_trace_of_its_own() {
        let id = RequestId(0x2a);
        let root = Root::of(id, 7, None, 1_000_000);
        assert_eq!((root.span, root.parent, root.sampled), (SpanId(0x2a), None, true));
        assert_eq!(root.trace.0 as u64, 0x2a, "by which an operator finds it");
        assert_eq!(root, Root::of(id, 7, None, 1_000_000));
        assert_ne!(root.trace, Root::of(id, 8, None, 0).trace);
        assert!(!Root::of(id, 7, None, 0).sampled);
        assert_eq!(Root::of(RequestId(0), 7, None, 0).span, SpanId(1));
    }

    #[test]
    fn the_trace_of_whoever_is_believed() {
        let headers = fields(&[("traceparent", PARENT), ("tracestate", "a=1")]);
        let root = Root::of(RequestId(5), 7, Some(&headers), 0);
        assert_eq!(root.trace.to_string(), PARENT[3..35]);
        assert_eq!((root.parent, root.sampled), (Some(SpanId(0x00f0_67aa_0ba9_02b7)), true));
        let sent = root.fields(root.part(1));
        let text = |index: usize| sent[index].1.as_ref().unwrap().to_str().unwrap().to_owned();
        assert_eq!(text(0), format!("00-{}-{}-01", root.trace, root.part(1)));
        assert_eq!(text(1), "a=1");
        assert_ne!(root.part(1), root.part(2));
    }

    #[test]
    fn what_is_no_parent() {
        let check = |headers: &HeaderMap| {
            let root = Root::of(RequestId(5), 7, Some(headers), 0);
            assert_eq!((root.parent, root.state.clone(), root.sampled), (None, None, false));
            assert_eq!(root.fields(root.part(1))[1].1, None, "nor does its state go on");
        };
        check(&fields(&[]));
        check(&fields(&[("tracestate", "a=1")]));
        check(&fields(&[("traceparent", "00-0-0-01"), ("tracestate", "a=1")]));
        let mut two = fields(&[("traceparent", PARENT)]);
        two.append(TRACEPARENT, HeaderValue::from_static(PARENT));
        check(&two);
    }
}
