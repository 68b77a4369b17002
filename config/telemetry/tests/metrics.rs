//! The tables of metric families, and what a scrape looks like.

use std::collections::HashSet;

use expect_test::expect;
use weir_config_telemetry::{
    Family, Kind, Metrics,
    families::{edge, origin, steering},
    metrics::lint,
};

fn listed(all: &[&Family]) -> String {
    let line = |family: &&Family| format!("{} {:?}\n", family.name, family.labels);
    all.iter().map(line).collect()
}

#[test]
fn every_family_follows_the_rules() {
    let all: Vec<_> = edge::ALL.iter().chain(origin::ALL).chain(steering::ALL).collect();
    let found: Vec<_> = all.iter().flat_map(|family| lint(family)).collect();
    assert_eq!(found, Vec::<String>::new());
    assert_eq!(all.iter().map(|family| family.name).collect::<HashSet<_>>().len(), all.len());
}

#[test]
fn lint_finds_what_is_wrong() {
    let family = Family {
        name: "Edge_wait_ms",
        help: "no sentence",
        kind: Kind::Counter,
        labels: &["session"],
    };
    expect![[r#"
        Edge_wait_ms: lower case, digits and `_` only
        Edge_wait_ms: counters, and only they, end with `_total`
        Edge_wait_ms: base units only, not `_ms`
        Edge_wait_ms: its help is no sentence
        Edge_wait_ms: label `session` may not be"#]]
    .assert_eq(&lint(&family).join("\n"));
}

#[test]
fn names_of_the_edge() {
    expect![[r#"
        edge_requests_total ["proto", "class", "result", "code"]
        edge_sent_bytes_total ["proto", "result"]
        edge_ttfb_seconds ["result"]
        edge_ttlb_seconds ["result"]
        edge_request_errors_total ["reason"]
        edge_aborted_by_client_total []
        edge_origin_received_bytes_total ["origin"]
        edge_origin_requests_total ["origin", "code"]
        edge_origin_withheld_total ["origin"]
        edge_origin_hedges_total ["origin", "winner"]
        edge_origin_circuit ["origin"]
        edge_origin_ttfb_seconds ["origin"]
        edge_coalesced_requests_total []
        edge_connections ["proto"]
        edge_inflight_requests []
        edge_shed_requests_total ["reason"]
        edge_overload_grade []
        edge_load_ratio ["input"]
        edge_health_ratio []
        edge_ranges_passed_total []
        edge_clients_over_budget []
        edge_http_malformed_total ["reason"]
        edge_http2_floods_total ["kind"]
        edge_http3_malformed_total ["reason"]
        edge_connections_refused_total ["reason"]
        edge_quic_retries_total []
        edge_quic_handshakes []
        edge_http3_excess_total ["reason"]
        edge_cache_bytes ["tier"]
        edge_cache_objects []
        edge_cache_pinned_objects []
        edge_cache_pinned_bytes []
        edge_cache_evictions_total ["tier", "reason"]
        edge_cache_checksum_failures_total ["disk"]
        edge_cache_recovery_seconds []
        edge_disk_online ["disk"]
        edge_disk_full ["disk"]
        edge_disk_bytes ["disk"]
        edge_disk_read_bytes_total ["disk"]
        edge_disk_reads_total ["disk"]
        edge_disk_part_reads_total ["disk"]
        edge_disk_device_read_bytes_total ["disk"]
        edge_disk_index_bytes ["disk"]
        edge_disk_errors_total ["disk", "op"]
        edge_disk_written_bytes_total ["disk"]
        edge_scrub_bytes_total ["disk"]
        edge_scrub_damaged_total ["disk"]
        edge_admitted_bytes_total []
        edge_refused_bytes_total []
        edge_not_admitted_bytes_total []
        edge_fill_bytes_total []
        edge_fills_total ["result"]
        edge_stale_served_total ["why"]
        edge_left_behind_total []
        edge_variants_total []
        edge_warm_jobs []
        edge_warm_objects_total ["result"]
        edge_warm_bytes_total []
        edge_purges_total ["mode"]
        edge_purge_epoch []
        edge_purge_reclaimed_epoch []
        edge_purges_standing []
        edge_purge_objects_total ["mode"]
        edge_purge_reclaimed_bytes_total []
        edge_token_rejects_total ["reason"]
        edge_access_log_dropped_lines_total []
        edge_trace_spans_total ["outcome"]
        edge_config_reloads_total ["outcome"]
        edge_config_revision []
        edge_config_restart_keys []
        edge_config_refused []
        edge_verdict []
        edge_start_time_seconds []
        edge_clock_seconds []
        edge_fleet_reports_total ["result"]
        edge_certificate_not_after_seconds ["certificate"]
        edge_resident_bytes []
        edge_memory_budget_bytes []
        edge_saturation_ratio ["resource"]
        edge_page_followers []
        edge_metrics_other_total ["label"]
        edge_build_info ["version"]
    "#]]
    .assert_eq(&listed(edge::ALL));
}

#[test]
fn names_of_the_origin() {
    expect![[r#"
        origin_requests_total ["operation", "code"]
        origin_sent_bytes_total []
        origin_received_bytes_total []
        origin_ttfb_seconds ["operation"]
        origin_auth_failures_total ["reason"]
        origin_build_info ["version"]
    "#]]
    .assert_eq(&listed(origin::ALL));
}

/// All families of a process together, as main registers them.
#[test]
fn every_family_can_be_registered() {
    let metrics = Metrics::new();
    for family in edge::ALL.iter().chain(origin::ALL).chain(steering::ALL) {
        match (family.kind, family.labels.is_empty()) {
            (Kind::Counter, true) => drop(metrics.counter(family)),
            (Kind::Counter, false) => drop(metrics.counters(family)),
            (Kind::Gauge, true) => drop(metrics.gauge(family)),
            (Kind::Gauge, false) => drop(metrics.gauges(family)),
            (Kind::Ratio, true) => drop(metrics.ratio(family)),
            (Kind::Ratio, false) => drop(metrics.ratios(family)),
            (Kind::Histogram(_), true) => drop(metrics.histogram(family)),
            (Kind::Histogram(_), false) => drop(metrics.histograms(family)),
        }
    }
}

#[test]
fn a_scrape() {
    let metrics = Metrics::new();
    metrics.counters(&edge::TOKEN_REJECTS).with_label_values(&["expired"]).inc_by(3);
    metrics.gauge(&edge::CACHE_OBJECTS).set(7);
    expect![[r#"
        # HELP edge_cache_objects Objects whose headers are known.
        # TYPE edge_cache_objects gauge
        edge_cache_objects 7
        # HELP edge_token_rejects_total Requests refused for their token.
        # TYPE edge_token_rejects_total counter
        edge_token_rejects_total{reason="expired"} 3
    "#]]
    .assert_eq(&metrics.encode());
}

#[test]
#[should_panic(expected = "edge_cache_objects")]
fn a_family_is_taken_once() {
    let metrics = Metrics::new();
    let _first = metrics.gauge(&edge::CACHE_OBJECTS);
    let _second = metrics.gauge(&edge::CACHE_OBJECTS);
}
