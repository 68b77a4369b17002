//! Requests as they stand on the wire.

use weir_edge_freshness::RANGES_MAX;
use weir_edge_http::Limits;

use crate::form::{Row, bytes, count, time};

pub(crate) fn rows() -> Vec<Row> {
    let limits = Limits::default();
    vec![
        Row {
            what: "header fields of a request (HTTP/1.1)",
            default: count(limits.header_fields as u64),
            key: None,
            beyond: "431, closed",
            metric: None,
            test: "bad_requests_are_refused",
        },
        Row {
            what: "header section of a request",
            default: bytes(limits.header_bytes as u64),
            key: None,
            beyond: "431",
            metric: None,
            test: "malformed_requests_are_reset",
        },
        Row {
            what: "body of a request; it is streamed",
            default: bytes(limits.body_bytes),
            key: None,
            beyond: "413",
            metric: None,
            test: "uploads_over_http2_and_what_is_too_large",
        },
        Row {
            what: "requests at once on an HTTP/2 or HTTP/3 connection",
            default: count(u64::from(limits.streams)),
            key: None,
            beyond: "HTTP/2 REFUSED_STREAM; HTTP/3 waits for credit",
            metric: None,
            test: "a_hundred_streams_at_once",
        },
        Row {
            what: "silence of an HTTP/2 connection before it is pinged, and until it answers",
            default: time(limits.ping),
            key: None,
            beyond: "closed",
            metric: None,
            test: "silent_slow_and_stuck_clients_are_cut",
        },
        Row {
            what: "bytes buffered for one HTTP/2 stream",
            default: bytes(limits.stream_send_buffer as u64),
            key: None,
            beyond: "sent later",
            metric: None,
            test: "a_client_that_does_not_read_costs_a_bounded_buffer_and_no_time",
        },
        Row {
            what: "ranges of a request; none overlapping another",
            default: count(RANGES_MAX as u64),
            key: None,
            beyond: "200 with the whole object",
            metric: None,
            test: "several_ranges",
        },
    ]
}
