//! Frames of HTTP/2 that are each allowed, and what of HTTP/1.1 has a bound of its own.

use weir_edge_http::{
    Flood,
    wire::{h1::EXTENSION, h2},
};

use crate::form::{Row, count};

pub(crate) fn rows() -> Vec<Row> {
    vec![
        row(
            "requests of an HTTP/2 connection that its client takes back; one more for each four asked",
            Flood::Reset,
            "rapid_reset_ends",
        ),
        row("SETTINGS of an HTTP/2 connection", Flood::Settings, "floods_end"),
        row(
            "PING; one more for each 64 KiB sent and each four requests",
            Flood::Ping,
            "floods_end",
        ),
        row(
            "PRIORITY and PRIORITY_UPDATE; one more for each request",
            Flood::Priority,
            "floods_end",
        ),
        row(
            "WINDOW_UPDATE; one more for each 128 bytes sent and each request",
            Flood::WindowUpdate,
            "floods_end",
        ),
        row("DATA without data", Flood::EmptyData, "floods_end"),
        row("DATA of less than 64 bytes", Flood::SmallData, "floods_end"),
        row("frames of unknown types; one more for each request", Flood::Unknown, "floods_end"),
        Row {
            what: "CONTINUATION frames of a field block",
            default: count(h2::CONTINUATIONS),
            key: None,
            beyond: CALM,
            metric: Some(METRIC),
            test: "a_field_block_is_bounded",
        },
        Row {
            what: "streams of an HTTP/2 connection that we reset for its client's mistakes",
            default: count(h2::LOCAL_RESETS as u64),
            key: None,
            beyond: CALM,
            metric: Some(METRIC),
            test: "floods_are_told_to_calm_down",
        },
        Row {
            what: "bytes behind the size of a chunk, in its line",
            default: count(EXTENSION),
            key: None,
            beyond: "400, closed",
            metric: Some("edge_http_malformed_total"),
            test: "chunked_bodies",
        },
    ]
}

const CALM: &str = "GOAWAY ENHANCE_YOUR_CALM";
const METRIC: &str = "edge_http2_floods_total";

fn row(what: &'static str, of: Flood, test: &'static str) -> Row {
    let (burst, second) = h2::allowance(of).unwrap();
    let default = format!("{} at once, {} a second", count(burst), count(second));
    Row { what, default, key: None, beyond: CALM, metric: Some(METRIC), test }
}
