//! What the cache holds, why a URL is served as it is, and its removal.

use std::sync::atomic::Ordering::Relaxed;

use futures::TryStreamExt;
use http::{HeaderName, StatusCode, Uri};
use weir_config_admin::{CacheStats, CacheVerdict, ChunkCount, Explain, Tier, TierStats};
use weir_edge_cache::{ObjectId, StoredObject, Tier as CacheTier};
use weir_edge_fill::variant;
use weir_edge_freshness::RequestControl;
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
    }
}

pub(super) fn explain(node: &Node, query: &str) -> Result<Explain, Failure> {
    let url = query
        .split('&')
        .find_map(|pair| pair.strip_prefix("url="))
        .ok_or_else(|| Failure::new(StatusCode::BAD_REQUEST, "the query key `url` is missing"))?;
    let url = decode(url)?;
    let asked = Asked::of(node, &url)?;
    let cache = node.engine.cache();
    let order = cache.inspect(&asked.id, &asked.key).and_then(|(_, order)| order);
    let order = order.as_ref().map(super::purge::shown);
    let Some(object) = cache.object(&asked.id, &asked.key) else {
        let nothing = ChunkCount::default();
        let why = match &order {
            Some(_) => "what is stored was purged: the next request asks the upstream",
            None => "nothing is stored under this key: the next request asks the upstream",
        };
        let found = asked.explain(None, Tier::None, nothing, CacheVerdict::Miss, why.into());
        return Ok(Explain { purge: order, ..found });
    };
    if variant::is_record(&object) {
        let (names, variants) = variant::selects(&object);
        let names = names.iter().map(HeaderName::as_str).collect::<Vec<_>>().join(", ");
        let why = format!(
            "responses vary on {names}: {variants} of at most {} variants are stored, and each \
             request is answered by the one its own fields select",
            variant::VARIANTS_MAX
        );
        let nothing = ChunkCount::default();
        return Ok(asked.explain(Some(&object), Tier::None, nothing, CacheVerdict::Hit, why));
    }
    let now = node.clock.unix_millis();
    let fresh = weir_edge_fill::usable(&object, &RequestControl::default(), now);
    let age = weir_edge_fill::age_millis(&object, now);
    let ttl = signed(weir_edge_fill::lifetime_millis(&object) / 1000) - signed(age / 1000);
    let (chunks, tier) = places(node, &object);
    let (verdict, why) = match (fresh, tier) {
        (true, Tier::Memory | Tier::Disk) => {
            (CacheVerdict::Hit, format!("every byte is here, and it is fresh for {ttl} s more"))
        }
        (true, _) => {
            (CacheVerdict::Miss, format!("it is fresh for {ttl} s more, but chunks are missing"))
        }
        (false, _) => {
            (CacheVerdict::Stale, "the upstream is asked whether it still holds".to_owned())
        }
    };
    let mut found = asked.explain(Some(&object), tier, chunks, verdict, why);
    found.age_s = Some(age / 1000);
    found.ttl_s = Some(ttl);
    found.purge = order;
    Ok(found)
}

fn places(node: &Node, object: &StoredObject) -> (ChunkCount, Tier) {
    let total = u64::from(object.chunks());
    let (mut ram, mut disk) = (0, 0);
    for index in 0..object.chunks() {
        match node.engine.cache().has_chunk(&object.chunk_key(index)) {
            Some(CacheTier::Ram) => ram += 1,
            Some(CacheTier::Disk) => disk += 1,
            None => {}
        }
    }
    let tier = match (ram, disk) {
        _ if ram == total => Tier::Memory,
        _ if ram + disk == total => Tier::Disk,
        (0, 0) => Tier::None,
        _ => Tier::Partial,
    };
    (ChunkCount { total, ram, disk }, tier)
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
    url: String,
    pub(super) key: String,
    id: ObjectId,
    dropped: Vec<String>,
    service: String,
    rule: String,
    upstream: String,
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
        let authority = uri.authority().ok_or_else(|| bad("it has no host".into()))?;
        let services = node.services.load();
        let admitted = admit::admit_url(&services, authority.as_str(), &uri)
            .map_err(|refusal| Failure::new(StatusCode::NOT_FOUND, refusal.to_string()))?;
        let key = lookup::key(&admitted);
        Ok(Self {
            url: weir_edge_token::redact(url).into_owned(),
            id: ObjectId::of(&key),
            dropped: lookup::dropped_query(&admitted),
            service: admitted.service.id.to_string(),
            rule: admitted.service.rule.clone(),
            upstream: admitted.service.upstream.id().to_owned(),
            key,
        })
    }

    fn explain(
        self,
        object: Option<&StoredObject>,
        tier: Tier,
        chunks: ChunkCount,
        verdict: CacheVerdict,
        why: String,
    ) -> Explain {
        let headers = object.map(StoredObject::headers).unwrap_or_default();
        let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into();
        Explain {
            url: self.url,
            key: self.key,
            dropped_query: self.dropped,
            service: Some(self.service),
            rule: Some(self.rule),
            tier,
            size: object.map(|object| object.size),
            chunks,
            age_s: None,
            ttl_s: None,
            verdict,
            why,
            stored_headers: headers
                .iter()
                .map(|(name, value)| (name.to_string(), text(value)))
                .collect(),
            upstream: Some(self.upstream),
            purge: None,
        }
    }
}

/// Percent-decoding of a query value.
pub(super) fn decode(text: &str) -> Result<String, Failure> {
    let bad = || Failure::new(StatusCode::BAD_REQUEST, "the query key `url` is badly encoded");
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

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
