//! Every metric family of every process, in one table each: dashboards, alerts and the tests of
//! their names read it.

use crate::metrics::{Family, Kind};

/// Times to a byte, in seconds: from a RAM hit to a request at its deadline.
const LATENCY: &[f64] = &[
    0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0,
    10.0,
];

/// Declares the constants and the list of all of them.
macro_rules! families {
    ($($name:ident = $kind:expr, $metric:literal [$($label:literal),*] $help:literal;)*) => {
        $(
            #[doc = $help]
            pub const $name: Family =
                Family { name: $metric, help: $help, kind: $kind, labels: &[$($label),*] };
        )*

        /// All of them.
        pub const ALL: &[&Family] = &[$(&$name),*];
    };
}

/// Families of an edge server.
///
/// Label values: `proto` h1, h2, h3; `class` segment, manifest, init, key, other; `result` hit_mem,
/// hit_disk, revalidated, stale, collapsed, miss, bypass, own, error; `reason` of errors client,
/// upstream; `code` 2xx, 3xx, 4xx, 5xx; `tier` mem, disk; `mode` of purges hard, soft;
/// `origin` and `disk` ids of the configuration.
pub mod edge {
    use super::{Family, Kind, LATENCY};

    families! {
        REQUESTS = Kind::Counter, "edge_requests_total" ["proto", "class", "result", "code"]
            "Requests answered.";
        SENT_BYTES = Kind::Counter, "edge_sent_bytes_total" ["proto", "result"]
            "Body bytes sent to clients.";
        TTFB = Kind::Histogram(LATENCY), "edge_ttfb_seconds" ["result"]
            "From a request's last header byte to the first byte of its answer.";
        TTLB = Kind::Histogram(LATENCY), "edge_ttlb_seconds" ["result"]
            "From a request's last header byte to the last byte of its answer.";
        REQUEST_ERRORS = Kind::Counter, "edge_request_errors_total" ["reason"]
            "Requests that failed, by whose fault it was.";
        ABORTED = Kind::Counter, "edge_aborted_by_client_total" []
            "Responses whose client left before the end.";
        ORIGIN_RECEIVED_BYTES = Kind::Counter, "edge_origin_received_bytes_total" ["origin"]
            "Body bytes received from upstreams.";
        ORIGIN_REQUESTS = Kind::Counter, "edge_origin_requests_total" ["origin", "code"]
            "Requests sent to upstreams.";
        ORIGIN_WITHHELD = Kind::Counter, "edge_origin_withheld_total" ["origin"]
            "Requests that were not sent: the circuit was open, or too many were repeats.";
        ORIGIN_HEDGES = Kind::Counter, "edge_origin_hedges_total" ["origin", "winner"]
            "Requests that a second upstream was asked as well, because the first took long.";
        ORIGIN_CIRCUIT = Kind::Gauge, "edge_origin_circuit" ["origin"]
            "Circuit of an upstream: 0 closed, 1 recovering or half-open, 2 open.";
        ORIGIN_TTFB = Kind::Histogram(LATENCY), "edge_origin_ttfb_seconds" ["origin"]
            "From an upstream request to the headers of its answer.";
        COALESCED_REQUESTS = Kind::Counter, "edge_coalesced_requests_total" []
            "Requests that followed a fill somebody else started.";
        CONNECTIONS = Kind::Gauge, "edge_connections" ["proto"]
            "Open client connections.";
        INFLIGHT_REQUESTS = Kind::Gauge, "edge_inflight_requests" []
            "Requests being answered.";
        SHED_REQUESTS = Kind::Counter, "edge_shed_requests_total" ["reason"]
            "Connections and requests refused to protect the rest.";
        OVERLOAD_GRADE = Kind::Gauge, "edge_overload_grade" []
            "What is refused now: 0 nothing, 1 fetching ahead, 2 cold objects, 3 new connections.";
        LOAD = Kind::Ratio, "edge_load_ratio" ["input"]
            "How much of what the node bears it has to: 1 is all of it.";
        HEALTH = Kind::Ratio, "edge_health_ratio" []
            "How much is to spare of what is scarcest, from 1 to 0.";
        RANGES_PASSED = Kind::Counter, "edge_ranges_passed_total" []
            "Requests for parts that were answered with these alone, since their client had its share.";
        CLIENTS_SPENT = Kind::Gauge, "edge_clients_over_budget" []
            "Clients for whom nothing is fetched beyond what they take.";
        WIRE_FAULTS = Kind::Counter, "edge_http_malformed_total" ["reason"]
            "HTTP/1.1 and HTTP/2 connections not read any further because of what came on them.";
        HTTP2_FLOODS = Kind::Counter, "edge_http2_floods_total" ["kind"]
            "HTTP/2 connections ended because they sent too much of what is allowed.";
        MALFORMED = Kind::Counter, "edge_http3_malformed_total" ["reason"]
            "HTTP/3 messages and streams refused because RFC 9114 calls them malformed.";
        CONNECTIONS_REFUSED = Kind::Counter, "edge_connections_refused_total" ["reason"]
            "Connections that were not let in.";
        QUIC_RETRIES = Kind::Counter, "edge_quic_retries_total" []
            "QUIC clients that were told to prove their address first.";
        QUIC_HANDSHAKES = Kind::Gauge, "edge_quic_handshakes" []
            "QUIC handshakes under way.";
        HTTP3_EXCESS = Kind::Counter, "edge_http3_excess_total" ["reason"]
            "HTTP/3 connections closed because they did too much of what is allowed.";
        CACHE_BYTES = Kind::Gauge, "edge_cache_bytes" ["tier"]
            "Bytes held.";
        CACHE_OBJECTS = Kind::Gauge, "edge_cache_objects" []
            "Objects whose headers are known.";
        PINNED_OBJECTS = Kind::Gauge, "edge_cache_pinned_objects" []
            "Objects that are pinned.";
        PINNED_BYTES = Kind::Gauge, "edge_cache_pinned_bytes" []
            "Body bytes of the objects that are pinned.";
        CACHE_EVICTIONS = Kind::Counter, "edge_cache_evictions_total" ["tier", "reason"]
            "Chunks put out.";
        CACHE_CHECKSUM_FAILURES = Kind::Counter, "edge_cache_checksum_failures_total" ["disk"]
            "Chunks found damaged, refused and fetched again.";
        CACHE_RECOVERY = Kind::Ratio, "edge_cache_recovery_seconds" []
            "How long the cache took to open at the start.";
        DISK_ONLINE = Kind::Gauge, "edge_disk_online" ["disk"]
            "1 where a disk is in use, else 0.";
        DISK_FULL = Kind::Gauge, "edge_disk_full" ["disk"]
            "1 where a disk is read and not written for want of room, else 0.";
        DISK_BYTES = Kind::Gauge, "edge_disk_bytes" ["disk"]
            "Bytes held on disks, also of before the start.";
        DISK_READ_BYTES = Kind::Counter, "edge_disk_read_bytes_total" ["disk"]
            "Chunk bytes read from disks.";
        DISK_READS = Kind::Counter, "edge_disk_reads_total" ["disk"]
            "Chunks read from disks.";
        DISK_PART_READS = Kind::Counter, "edge_disk_part_reads_total" ["disk"]
            "Reads among these that brought a part of a chunk only.";
        DISK_DEVICE_READ_BYTES = Kind::Counter, "edge_disk_device_read_bytes_total" ["disk"]
            "Bytes that disks were read for them, heads and rounding included.";
        DISK_INDEX_BYTES = Kind::Gauge, "edge_disk_index_bytes" ["disk"]
            "RAM by which the chunks of disks are found; part of `cache.memory`.";
        DISK_ERRORS = Kind::Counter, "edge_disk_errors_total" ["disk", "op"]
            "Failures of disks: `op` call, overdue (a read given up), lost (a chunk not written).";
        DISK_WRITTEN_BYTES = Kind::Counter, "edge_disk_written_bytes_total" ["disk"]
            "Bytes written to disks.";
        SCRUB_BYTES = Kind::Counter, "edge_scrub_bytes_total" ["disk"]
            "Bytes read back from disks by scrubs.";
        SCRUB_DAMAGED = Kind::Counter, "edge_scrub_damaged_total" ["disk"]
            "Chunks that scrubs found damaged and dropped.";
        ADMITTED_BYTES = Kind::Counter, "edge_admitted_bytes_total" []
            "Bytes that were admitted to disks.";
        REFUSED_BYTES = Kind::Counter, "edge_refused_bytes_total" []
            "Bytes that disks could not take in time.";
        NOT_ADMITTED_BYTES = Kind::Counter, "edge_not_admitted_bytes_total" []
            "Bytes that were filled for the first time and kept in RAM only.";
        FILL_BYTES = Kind::Counter, "edge_fill_bytes_total" []
            "Bytes that fills brought.";
        FILLS = Kind::Counter, "edge_fills_total" ["result"]
            "Fills that ended, by how.";
        STALE_SERVED = Kind::Counter, "edge_stale_served_total" ["why"]
            "Stale responses served while they are revalidated, or instead of an error.";
        LEFT_BEHIND = Kind::Counter, "edge_left_behind_total" []
            "Times that a fill no longer waited for slow readers of what cannot be had again.";
        VARIANTS = Kind::Counter, "edge_variants_total" []
            "Responses stored beside others of their URL.";
        WARM_JOBS = Kind::Gauge, "edge_warm_jobs" []
            "Jobs under way that fetch ahead of demand.";
        WARM_OBJECTS = Kind::Counter, "edge_warm_objects_total" ["result"]
            "Objects of such jobs: `result` fetched, had, failed, skipped.";
        WARM_BYTES = Kind::Counter, "edge_warm_bytes_total" []
            "Bytes that such jobs fetched.";
        PURGES = Kind::Counter, "edge_purges_total" ["mode"]
            "Purges that were ordered.";
        PURGE_EPOCH = Kind::Gauge, "edge_purge_epoch" []
            "Number of the last purge ever; survives restarts.";
        PURGE_RECLAIMED_EPOCH = Kind::Gauge, "edge_purge_reclaimed_epoch" []
            "What was purged up to this number takes no place any more.";
        PURGES_STANDING = Kind::Gauge, "edge_purges_standing" []
            "Purges whose objects are being reclaimed, or might still come.";
        PURGED_OBJECTS = Kind::Counter, "edge_purge_objects_total" ["mode"]
            "Objects that purges removed or made stale.";
        PURGED_BYTES = Kind::Counter, "edge_purge_reclaimed_bytes_total" []
            "Body bytes of the objects that purges removed.";
        TOKEN_REJECTS = Kind::Counter, "edge_token_rejects_total" ["reason"]
            "Requests refused for their token.";
        ACCESS_LOG_DROPPED = Kind::Counter, "edge_access_log_dropped_lines_total" []
            "Access log lines that were not written.";
        TRACE_SPANS = Kind::Counter, "edge_trace_spans_total" ["outcome"]
            "Spans of traces, by what became of them: `outcome` exported, dropped (the queue was full) or \
             failed (the collector did not take them).";
        CONFIG_RELOADS = Kind::Counter, "edge_config_reloads_total" ["outcome"]
            "Reloads of the configuration: `outcome` applied, unchanged or refused.";
        CONFIG_REVISION = Kind::Gauge, "edge_config_revision" []
            "Number of the configuration that runs; counted over restarts.";
        CONFIG_RESTART_KEYS = Kind::Gauge, "edge_config_restart_keys" []
            "Keys whose change waits for a restart.";
        CONFIG_REFUSED = Kind::Gauge, "edge_config_refused" []
            "1 while the last reload was refused.";
        VERDICT = Kind::Gauge, "edge_verdict" []
            "What `cachectl status` says: 0 OK, 1 degraded, 2 down.";
        START_TIME = Kind::Gauge, "edge_start_time_seconds" []
            "When the process started, Unix seconds.";
        CLOCK = Kind::Gauge, "edge_clock_seconds" []
            "What the clock of the node says, Unix seconds.";
        FLEET_REPORTS = Kind::Counter, "edge_fleet_reports_total" ["result"]
            "Reports to the control plane, by what came of them.";
        CERTIFICATE_NOT_AFTER = Kind::Gauge, "edge_certificate_not_after_seconds" ["certificate"]
            "When a certificate that is served ends, Unix seconds; `certificate` is its first name.";
        RESIDENT_BYTES = Kind::Gauge, "edge_resident_bytes" []
            "Resident memory of the process.";
        MEMORY_BUDGET = Kind::Gauge, "edge_memory_budget_bytes" []
            "`cache.memory` of the configuration.";
        SATURATION = Kind::Ratio, "edge_saturation_ratio" ["resource"]
            "How far a resource is used: `resource` cpu, fills, files.";
        PAGE_FOLLOWERS = Kind::Gauge, "edge_page_followers" []
            "Pages on the management address that are open.";
        OTHER_NAMES = Kind::Counter, "edge_metrics_other_total" ["label"]
            "Names that were counted as `other`, since no more are kept apart.";
        BUILD_INFO = Kind::Gauge, "edge_build_info" ["version"]
            "Always 1.";
    }
}

/// Families of an origin server.
///
/// Label values: `operation` names of S3 operations; `code` 2xx, 3xx, 4xx, 5xx.
pub mod origin {
    use super::{Family, Kind, LATENCY};

    families! {
        REQUESTS = Kind::Counter, "origin_requests_total" ["operation", "code"]
            "S3 requests answered.";
        SENT_BYTES = Kind::Counter, "origin_sent_bytes_total" []
            "Body bytes sent.";
        RECEIVED_BYTES = Kind::Counter, "origin_received_bytes_total" []
            "Body bytes received.";
        TTFB = Kind::Histogram(LATENCY), "origin_ttfb_seconds" ["operation"]
            "From a request's last header byte to the headers of its answer.";
        AUTH_FAILURES = Kind::Counter, "origin_auth_failures_total" ["reason"]
            "Requests refused for their signature or rights.";
        BUILD_INFO = Kind::Gauge, "origin_build_info" ["version"]
            "Always 1.";
    }
}

/// Families of a control plane.
///
/// Label values: `code` of refusals as `weir-steering-api` lists them; `presence` present, late,
/// gone, unheard; `kind` of messages snapshot, keys, revocations, purges, intent.
pub mod steering {
    use super::{Family, Kind};

    families! {
        REPORTS = Kind::Counter, "steering_reports_total" []
            "Health reports that were believed.";
        REFUSED = Kind::Counter, "steering_refused_total" ["code"]
            "What nodes and operators asked for and did not get, reports that were not believed included.";
        JOINED = Kind::Counter, "steering_joined_total" []
            "Nodes that joined, again or for the first time.";
        RENEWED = Kind::Counter, "steering_renewed_total" []
            "Certificates that followed others.";
        EVENTS_LOST = Kind::Counter, "steering_events_lost_total" []
            "Events of nodes that the database never got.";
        NODES = Kind::Gauge, "steering_nodes" ["presence"]
            "Nodes, by whether they are heard of.";
        CLOCKS_WRONG = Kind::Gauge, "steering_nodes_clock_wrong" []
            "Nodes whose clock is off by more than 30 s.";
        BEHIND = Kind::Gauge, "steering_nodes_behind" ["kind"]
            "Nodes that have not put the newest message of a kind into effect.";
        CERTIFICATE_LEFT = Kind::Gauge, "steering_certificate_left_seconds" []
            "Until the first certificate of a node ends; negative: it has ended.";
        DATABASE_UP = Kind::Gauge, "steering_database_up" []
            "Whether the database answers.";
        BUILD_INFO = Kind::Gauge, "steering_build_info" ["version"]
            "Always 1.";
    }
}
