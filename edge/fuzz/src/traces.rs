//! What traces read of clients and of collectors: W3C Trace Context, and OTLP's answer.

use weir_config_telemetry::traces::{Context, Tracestate, answered};

/// The first line is a `traceparent`, the others are `tracestate`; all of it an answer.
pub(crate) fn run(input: &[u8]) {
    let told = answered(input);
    assert!(told.message.chars().count() <= 200 && !told.message.contains(char::is_control));
    let Ok(text) = std::str::from_utf8(input) else { return };
    let mut lines = text.split('\n');
    if let Some(context) = lines.next().and_then(Context::read) {
        assert!(context.trace.0 != 0 && context.span.0 != 0);
        let written = context.to_string();
        assert_eq!(Context::read(&written), Some(context), "it reads what it wrote: {written}");
    }
    if let Some(state) = Tracestate::read(lines) {
        assert!(!state.as_str().is_empty() && state.as_str().len() <= 512, "{state:?}");
        let again = Tracestate::read([state.as_str()].into_iter());
        assert_eq!(again.as_ref(), Some(&state), "it reads what it wrote");
    }
}
