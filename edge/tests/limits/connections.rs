//! Connections, and time in each of their phases.

use weir_edge_http::Limits;
use weir_edge_transport::quic::QuicLimits;

use crate::form::{Row, bytes, count, time};

pub(crate) fn rows() -> Vec<Row> {
    let (limits, quic) = (Limits::default(), QuicLimits::default());
    vec![
        Row {
            what: "QUIC handshakes waiting at once, of an endpoint",
            default: count(quic.handshakes as u64),
            key: None,
            beyond: "refused",
            metric: None,
            test: "failed_handshakes_are_counted_by_reason",
        },
        Row {
            what: "a request's head, from its first byte (HTTP/1.1)",
            default: time(limits.head),
            key: None,
            beyond: "closed",
            metric: None,
            test: "silent_slow_and_stuck_clients_are_cut",
        },
        Row {
            what: "a connection without a request",
            default: time(limits.idle),
            key: None,
            beyond: "closed, with GOAWAY where there is one",
            metric: None,
            test: "silent_slow_and_stuck_clients_are_cut",
        },
        Row {
            what: "a QUIC connection without any packet",
            default: time(quic.idle),
            key: None,
            beyond: "forgotten",
            metric: None,
            test: "a_client_that_stops_takes_its_requests_along",
        },
        Row {
            what: "a client that takes nothing of what we have for it, or sends nothing of what \
                   it announced",
            default: time(limits.stall),
            key: None,
            beyond: "closed",
            metric: None,
            test: "silent_slow_and_stuck_clients_are_cut",
        },
        Row {
            what: "QUIC receive window of a stream",
            default: bytes(quic.stream_receive_window),
            key: None,
            beyond: "connection error FLOW_CONTROL_ERROR",
            metric: None,
            test: "every_byte_both_ways",
        },
        Row {
            what: "QUIC receive window of a connection",
            default: bytes(quic.receive_window),
            key: None,
            beyond: "connection error FLOW_CONTROL_ERROR",
            metric: None,
            test: "every_byte_both_ways",
        },
        Row {
            what: "QUIC bytes that are not acknowledged; up to sixteen times as many on fast long \
                   paths",
            default: bytes(quic.send_window),
            key: None,
            beyond: "sent later",
            metric: None,
            test: "every_byte_both_ways",
        },
    ]
}
