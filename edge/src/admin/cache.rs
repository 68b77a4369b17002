//! How full the cache is, and what the rest of the admin API shares: bodies and URLs.

use std::sync::atomic::Ordering::Relaxed;

use futures::TryStreamExt;
use http::{StatusCode, Uri};
use weir_config_admin::{CacheStats, TierStats};
use weir_edge_http::RequestBody;

use super::Failure;
use crate::{admit, lookup, node::Node, record::Outcome};

/// Longest body the admin API reads.
const BODY_MAX: usize = 64 << 10;

pub(super) fn stats(node: &Node) -> CacheStats {
    let stats = node.engine.cache().stats();
    let count = |wanted: &[Outcome]| {
        node.metrics.totals(|_, outcome, code| code < 4 && wanted.contains(&outcome)).0
    };
    let fills = node.engine.counters();
    CacheStats {
        objects: stats.objects,
        disks: super::disks::tiers(node),
        memory: TierStats {
            bytes: stats.ram_used_bytes,
            limit: stats.ram_capacity_bytes,
            evictions: stats.ram.evictions,
            chunks: stats.ram_chunks,
            written_bytes: stats.ram_written_bytes,
            // RAM takes everything.
            refused_bytes: 0,
        },
        fills: node.engine.under_way() as u64,
        collapsed: fills.collapsed.load(Relaxed),
        hits_memory: count(&[Outcome::HitMem]),
        hits_disk: count(&[Outcome::HitDisk]),
        misses: count(&[Outcome::Miss, Outcome::Collapsed]),
        bypasses: count(&[Outcome::Bypass]),
        fill_bytes: fills.upstream_bytes.load(Relaxed),
        checksum_failures: stats.store.map_or(0, |store| store.checksum_failures),
        purge_epoch: node.engine.cache().purge_epoch(),
        pinned_objects: stats.objects_pinned,
        pinned_bytes: stats.pinned_bytes,
        pinned_limit: stats.pinned_bytes_max,
    }
}

/// A bounded body.
pub(super) async fn body(body: RequestBody) -> Result<Vec<u8>, Failure> {
    let refused =
        |why: String| Failure::new(StatusCode::BAD_REQUEST, "the body cannot be taken").why(why);
    let mut pieces = body.into_stream();
    let mut whole = Vec::new();
    while let Some(piece) = pieces.try_next().await.map_err(|error| refused(error.to_string()))? {
        if whole.len() + piece.len() > BODY_MAX {
            return Err(refused(format!("it is longer than {BODY_MAX} bytes")));
        }
        whole.extend_from_slice(&piece);
    }
    Ok(whole)
}

/// A URL that an operator asks about, and where it leads.
pub(super) struct Asked {
    pub(super) key: String,
}

impl Asked {
    pub(super) fn of(node: &Node, url: &str) -> Result<Self, Failure> {
        let bad = |why: String| {
            Failure::new(
                StatusCode::BAD_REQUEST,
                format!("not a URL: {}", weir_edge_token::redact(url)),
            )
            .why(why)
        };
        let uri: Uri =
            url.parse().map_err(|error: http::uri::InvalidUri| bad(error.to_string()))?;
        absolute(&uri).map_err(|why| bad(why.into()))?;
        let authority = uri.authority().ok_or_else(|| bad("it has no host".into()))?;
        let services = node.services.load();
        let admitted = admit::admit_url(&services, authority.as_str(), &uri)
            .map_err(|refusal| Failure::new(StatusCode::NOT_FOUND, refusal.to_string()))?;
        Ok(Self { key: lookup::key(&admitted) })
    }
}

/// A URL that could be a client's; `x` alone would be read as a host.
pub(super) fn absolute(uri: &Uri) -> Result<(), &'static str> {
    match uri.scheme_str() {
        Some("https" | "http") => Ok(()),
        _ => Err("it must begin with https:// or http:// and a host"),
    }
}

/// Percent-decoding of a query value.
pub(super) fn decode(text: &str) -> Result<String, Failure> {
    let bad = || Failure::new(StatusCode::BAD_REQUEST, "a query key is badly encoded");
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let digits = tail.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        let byte = digits.and_then(|two| u8::from_str_radix(two, 16).ok()).ok_or_else(bad)?;
        bytes.push(byte);
        rest = &tail[2..];
    }
    String::from_utf8(bytes).map_err(|_| bad())
}

pub(super) fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
