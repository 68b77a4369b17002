//! What a client may have done, and who it is.

use weir_config::edge::Clients;
use weir_edge::load::PASSING_MOST;
use weir_edge_cache::CHUNK_SIZE;
use weir_edge_fill::accounts::ACCOUNTS_MAX;
use weir_edge_http::forwarded;

use crate::form::{Row, bytes, count};

pub(crate) fn rows() -> Vec<Row> {
    let clients = Clients::default();
    vec![
        Row {
            what: "bytes of a token",
            default: bytes(weir_edge_token::MAX_TOKEN as u64),
            key: None,
            beyond: "403",
            metric: Some("edge_token_rejects_total{reason=\"too_long\"}"),
            test: "forged_tokens",
        },
        Row {
            what: "hops that trusted forwarders may name",
            default: count(forwarded::HOPS_MAX as u64),
            key: None,
            beyond: "the client is the last one of these",
            metric: None,
            test: "a_long_chain_is_not_followed_to_its_end",
        },
        Row {
            what: "bits of an IPv4 address that are one client",
            default: count(u64::from(clients.prefix_v4)),
            key: Some("clients.prefix_v4"),
            beyond: "counted together",
            metric: None,
            test: "as_the_configuration_says",
        },
        Row {
            what: "bits of an IPv6 address that are one client",
            default: count(u64::from(clients.prefix_v6)),
            key: Some("clients.prefix_v6"),
            beyond: "counted together",
            metric: None,
            test: "as_the_configuration_says",
        },
        Row {
            what: "bytes fetched for one client beyond one and a half times what it takes; eight \
                   times as many can be saved up",
            default: bytes(clients.fill_burst.as_u64()),
            key: Some("clients.fill_burst"),
            beyond: "parts are passed as they are, fills stay a little ahead of their readers",
            metric: Some("edge_ranges_passed_total"),
            test: "small_ranges_of_cold_objects_are_passed_exactly",
        },
        Row {
            what: "ahead of a client that has spent that, in one fill",
            default: "16 KiB, then as far as it has come, 8 MiB".into(),
            key: None,
            beyond: "the fill waits; where nothing is taken for 10 s it stops",
            metric: Some("edge_fills_total{result=\"stopped\"}"),
            test: "a_fill_goes_as_far_ahead_as_its_client_has_come",
        },
        Row {
            what: "a fill without a reader, or one and a half times what was sent of it; nothing for who \
                   has spent its balance",
            default: bytes(CHUNK_SIZE as u64),
            key: None,
            beyond: "it stops; whole chunks stay",
            metric: Some("edge_fills_total{result=\"stopped\"}"),
            test: "a_fill_without_readers_stops_at_a_chunk",
        },
        Row {
            what: "clients whose balance is remembered",
            default: count(ACCOUNTS_MAX as u64),
            key: None,
            beyond: "those without debts are forgotten, then who comes new shares a balance",
            metric: None,
            test: "clients_are_bounded_and_debts_are_not_forgotten",
        },
        Row {
            what: "requests at once that hold a connection to an upstream, since they are not answered \
                   from the cache; one client has at most half of what the others leave",
            default: count(PASSING_MOST as u64),
            key: None,
            beyond: "waits for 1 s, then 503 with `Retry-After`",
            metric: Some("edge_shed_requests_total{reason=\"share\"}"),
            test: "one_client_leaves_room_for_others",
        },
        Row {
            what: "requests under way at once; some are refused from a half on, see overload",
            default: count(16_384_u64),
            key: Some("overload.requests"),
            beyond: "503 with `Retry-After`, then new connections are refused",
            metric: Some("edge_shed_requests_total{reason=\"share\"}"),
            test: "one_client_does_not_starve_the_others",
        },
        Row {
            what: "resident memory of the process; the same from nine tenths on",
            default: "`cache.memory`, a quarter of it, and 512 MiB".into(),
            key: Some("overload.memory"),
            beyond: "the same",
            metric: Some("edge_shed_requests_total{reason=\"cold\"}"),
            test: "what_each_grade_refuses",
        },
    ]
}
