//! Who is let in, and what a client of HTTP/3 may do too often.

use weir_edge_http::{GateLimits, Limits};

use crate::form::{Row, count, time};

const REFUSED: &str = "a reset before the handshake; QUIC: CONNECTION_REFUSED";

pub(crate) fn rows() -> Vec<Row> {
    let gate = GateLimits::default();
    let mut rows = vec![
        Row {
            what: "client connections",
            default: count(gate.connections as u64),
            key: Some("limits.connections"),
            beyond: REFUSED,
            metric: Some("edge_connections_refused_total{reason=\"connections\"}"),
            test: "what_is_open_is_counted_by_client_network_and_in_all",
        },
        Row {
            what: "connections of a client",
            default: count(gate.per_client as u64),
            key: Some("limits.connections_per_client"),
            beyond: REFUSED,
            metric: Some("edge_connections_refused_total{reason=\"connections_of_client\"}"),
            test: "a_client_with_too_many_connections_is_reset_before_its_handshake",
        },
        Row {
            what: "connections of a network, a /24 or /48",
            default: count(gate.per_network as u64),
            key: Some("limits.connections_per_network"),
            beyond: REFUSED,
            metric: Some("edge_connections_refused_total{reason=\"connections_of_network\"}"),
            test: "what_is_open_is_counted_by_client_network_and_in_all",
        },
        Row {
            what: "new connections a second; twice as many at once",
            default: count(gate.rate),
            key: Some("limits.new_connections"),
            beyond: REFUSED,
            metric: Some("edge_connections_refused_total{reason=\"rate\"}"),
            test: "new_ones_in_a_second",
        },
        Row {
            what: "of a client; four times as many at once",
            default: count(gate.rate_per_client),
            key: Some("limits.new_connections_per_client"),
            beyond: REFUSED,
            metric: Some("edge_connections_refused_total{reason=\"rate_of_client\"}"),
            test: "new_ones_in_a_second",
        },
        Row {
            what: "of a network; four times as many at once",
            default: count(gate.rate_per_network),
            key: Some("limits.new_connections_per_network"),
            beyond: REFUSED,
            metric: Some("edge_connections_refused_total{reason=\"rate_of_network\"}"),
            test: "new_ones_in_a_second",
        },
        Row {
            what: "a TLS or QUIC handshake",
            default: time(gate.handshake),
            key: Some("limits.handshake"),
            beyond: "closed",
            metric: None,
            test: "silent_slow_and_stuck_clients_are_cut",
        },
        Row {
            what: "QUIC handshakes under way",
            default: count(gate.quic_handshakes as u64),
            key: Some("limits.quic_handshakes"),
            beyond: "Retry: a client shows its address first; beyond eight times as many \
                     CONNECTION_REFUSED",
            metric: Some("edge_quic_retries_total"),
            test: "a_flood_of_handshakes_makes_clients_show_their_address_and_keeps_none_out",
        },
        Row {
            what: "header fields of a request (HTTP/3)",
            default: count(Limits::default().header_fields as u64),
            key: None,
            beyond: "431",
            metric: None,
            test: "too_many_fields",
        },
    ];
    // Buckets of one connection, in `serve/h3/patience.rs`.
    let excess = [
        ("requests taken back", "20 a second, 200 at once", "resets"),
        ("malformed requests", "5 a second, 50 at once", "malformed"),
        ("frames of the control stream", "100 a second, 1,000 at once", "control"),
        ("instructions of QPACK", "100 a second, 1,000 at once", "instructions"),
        ("frames that mean nothing, beyond two of a request", "20 a second, 200 at once", "frames"),
        ("streams that mean nothing", "2 a second, 40 at once", "streams"),
        (
            "frames of QUIC beyond eight for each request and one for each KiB sent",
            "200 a second, 2,000 at once",
            "transport",
        ),
    ];
    let tests = |reason| match reason {
        "control" | "instructions" | "frames" => "one_stream_may_not_go_on_for_ever",
        "transport" => "there_is_a_reason_for_some_frames",
        _ => "many_streams_may_not_come_to_nothing",
    };
    rows.extend(excess.map(|(what, default, reason)| Row {
        what,
        default: default.into(),
        key: None,
        beyond: "HTTP/3: H3_EXCESSIVE_LOAD, the connection is closed",
        metric: Some(match reason {
            "resets" => "edge_http3_excess_total{reason=\"resets\"}",
            "malformed" => "edge_http3_excess_total{reason=\"malformed\"}",
            "control" => "edge_http3_excess_total{reason=\"control\"}",
            "instructions" => "edge_http3_excess_total{reason=\"instructions\"}",
            "frames" => "edge_http3_excess_total{reason=\"frames\"}",
            "streams" => "edge_http3_excess_total{reason=\"streams\"}",
            _ => "edge_http3_excess_total{reason=\"transport\"}",
        }),
        test: tests(reason),
    }));
    rows
}
