//! OTLP: spans as a request to a collector, and what it answers. Field numbers are those of
//! opentelemetry-proto 1.x, `collector/trace/v1`, `trace/v1`, `common/v1` and `resource/v1`, whose
//! stable messages keep them for ever.

use super::{
    span::{Kind, Span, Value},
    wire::{Field, Writer, next},
};

/// Who tells: attributes of all its spans.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Resource {
    /// `service.name` and its like.
    pub attributes: Vec<(&'static str, String)>,
    /// The crate that makes the spans, and its version.
    pub scope: (&'static str, &'static str),
}

/// The body of a post: an `ExportTraceServiceRequest`.
pub fn request<'s>(resource: &Resource, spans: impl IntoIterator<Item = &'s Span>) -> Vec<u8> {
    let mut out = Writer::default();
    out.message(1, |out| {
        out.message(1, |out| {
            for (name, text) in &resource.attributes {
                out.message(1, |out| {
                    out.bytes(1, name);
                    out.message(2, |out| out.bytes(1, text));
                });
            }
        });
        out.message(2, |out| {
            out.message(1, |out| {
                out.bytes(1, resource.scope.0);
                out.bytes(2, resource.scope.1);
            });
            for one in spans {
                out.message(2, |out| span(out, one));
            }
        });
    });
    out.0
}

fn span(out: &mut Writer, span: &Span) {
    // Bits 8 and 9: whether it is known that the parent is remote, and whether it is.
    let remote = if span.remote { 0x300 } else { 0x100 };
    out.bytes(1, span.trace.0.to_be_bytes());
    out.bytes(2, span.id.0.to_be_bytes());
    if let Some(state) = &span.state {
        out.bytes(3, state.as_str());
    }
    if let Some(parent) = span.parent {
        out.bytes(4, parent.0.to_be_bytes());
    }
    out.bytes(5, &*span.name);
    out.number(
        6,
        match span.kind {
            Kind::Internal => 1,
            Kind::Server => 2,
            Kind::Client => 3,
        },
    );
    out.fixed64(7, span.start);
    out.fixed64(8, span.end);
    for (name, value) in &span.attributes {
        out.message(9, |out| {
            out.bytes(1, name);
            out.message(2, |out| any(out, value));
        });
    }
    for event in &span.events {
        out.message(11, |out| {
            out.fixed64(1, event.time);
            out.bytes(2, event.name);
        });
    }
    for (trace, id) in &span.links {
        out.message(13, |out| {
            out.bytes(1, trace.0.to_be_bytes());
            out.bytes(2, id.0.to_be_bytes());
        });
    }
    if span.failed {
        // STATUS_CODE_ERROR
        out.message(15, |out| out.number(3, 2));
    }
    out.fixed32(16, remote | u32::from(span.sampled));
}

fn any(out: &mut Writer, value: &Value) {
    match value {
        Value::Text(text) => out.bytes(1, text),
        Value::Word(text) => out.bytes(1, text),
        Value::Number(number) => out.number(3, *number),
        Value::Texts(texts) => out.message(5, |out| {
            for text in texts {
                out.message(1, |out| out.bytes(1, text));
            }
        }),
    }
}

/// What a collector says of a post that it took.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answered {
    /// Spans that it did not keep.
    pub rejected: u64,
    /// Why, or what it has to say besides.
    pub message: String,
}

/// Reads an `ExportTraceServiceResponse`. What is none says nothing.
pub fn answered(mut body: &[u8]) -> Answered {
    let mut told = Answered::default();
    while let Some((number, field)) = next(&mut body) {
        let (1, Field::Bytes(mut partial)) = (number, field) else { continue };
        while let Some(field) = next(&mut partial) {
            match field {
                (1, Field::Number(rejected)) => told.rejected = rejected,
                (2, Field::Bytes(text)) => {
                    let text = String::from_utf8_lossy(text);
                    told.message = text.chars().filter(|c| !c.is_control()).take(200).collect();
                }
                _ => {}
            }
        }
    }
    told
}

#[cfg(test)]
mod tests {
    use super::{Answered, answered};

    #[test]
    fn what_a_collector_says() {
        let check = |body: &[u8], rejected: u64, message: &str| {
            assert_eq!(answered(body), Answered { rejected, message: message.into() });
        };
        check(b"", 0, "");
        check(b"\x0a\x00", 0, "");
        check(b"\x0a\x08\x08\x03\x12\x04full", 3, "full");
        check(b"\x12\x01x\x0a\x02\x08\x7f", 127, "");
        check(b"{\"partialSuccess\":{}}", 0, "");
        check(b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 0, "");
    }
}
