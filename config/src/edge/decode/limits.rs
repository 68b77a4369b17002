//! `[limits]`

use std::{num::NonZeroU32, time::Duration};

use crate::{
    common::duration, edge::Limits, edge::decode::clients::prefix, table::Table, value::Value,
};

/// Each costs memory, and a process has no more than this many descriptors.
const CONNECTIONS_MAX: u64 = 1 << 20;

pub(super) fn limits(root: &Table<'_>) -> Option<Limits> {
    let table = root.table("limits");
    let usual = Limits::default();
    let count = |key, example, usual: NonZeroU32| {
        table.or(key, example, usual, |v: &Value<'_>| {
            NonZeroU32::new(u32::try_from(v.integer(1, CONNECTIONS_MAX)?).ok()?)
        })
    };
    let connections = count("connections", "65536", usual.connections);
    let per_client = count("connections_per_client", "512", usual.connections_per_client);
    let per_network = count("connections_per_network", "4096", usual.connections_per_network);
    let new = count("new_connections", "4000", usual.new_connections);
    let new_per_client =
        count("new_connections_per_client", "100", usual.new_connections_per_client);
    let new_per_network =
        count("new_connections_per_network", "800", usual.new_connections_per_network);
    let quic_handshakes = count("quic_handshakes", "256", usual.quic_handshakes);
    let (least, most) = (Duration::from_millis(100), Duration::from_secs(60));
    let handshake = table.or("handshake", "\"10s\"", usual.handshake, |v| duration(v, least, most));
    let exempt = table.or("exempt", "[\"127.0.0.0/8\", \"::1\"]", usual.exempt, |v| v.list(prefix));
    table.finish();
    Some(Limits {
        connections: connections?,
        connections_per_client: per_client?,
        connections_per_network: per_network?,
        new_connections: new?,
        new_connections_per_client: new_per_client?,
        new_connections_per_network: new_per_network?,
        handshake: handshake?,
        quic_handshakes: quic_handshakes?,
        exempt: exempt?,
    })
}
