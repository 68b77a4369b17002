//! What the next request for a URL would meet, and what decided that.

mod decided;
pub(super) mod places;
mod state;

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use weir_config_admin::{CacheVerdict, ChunkCount, Explain, ExplainVariant, Pin, Tier};
use weir_edge_cache::{ObjectId, StoredObject, VARIANT_MARK};
use weir_edge_fill::{Place, variant};
use weir_edge_freshness::{RequestControl, vary::selected_by};

use super::{
    Failure,
    cache::{decode, signed},
};
use crate::{admit::Admitted, lookup, node::Node};
use decided::Told;

/// Fields of a request that are explained.
const HEADERS_MAX: usize = 64;
/// Those by which upstreams tag their responses.
static TAGS: [HeaderName; 2] =
    [HeaderName::from_static("surrogate-key"), HeaderName::from_static("cache-tag")];

/// A request that nobody made.
struct Asked {
    url: String,
    admitted: Admitted,
    key: String,
    headers: HeaderMap,
    control: RequestControl,
    /// HEAD rather than GET.
    head: bool,
}

pub(super) fn explain(node: &Node, query: &str) -> Result<Explain, Failure> {
    let asked = asked(node, query)?;
    let cache = node.engine.cache();
    let id = ObjectId::of(&asked.key);
    let told = Told::of(node, &asked.admitted.service);
    let mut found = asked.nothing(&told);
    found.purge = cache
        .inspect(&id, &asked.key)
        .and_then(|(_, order)| order)
        .as_ref()
        .map(super::purge::shown);
    asked.stored(node, &id, &asked.key, &told, &mut found);
    if asked.head && found.verdict != CacheVerdict::Hit {
        asked.of_head(node, &told, &mut found);
    }
    // What is held is told all the same.
    let hit = found.verdict == CacheVerdict::Hit;
    if asked.control.only_if_cached && !hit {
        found.why = "the request says only-if-cached, and nothing here answers it: 504, and no \
                     upstream is asked"
            .into();
    } else if asked.control.no_store && !hit {
        found.verdict = CacheVerdict::Bypass;
        found.why = "the request says no-store: it goes to the upstream, and nothing of the \
                     answer is kept"
            .into();
    }
    Ok(found)
}

/// The request that the query describes.
fn asked(node: &Node, query: &str) -> Result<Asked, Failure> {
    let bad = |what: String| Failure::new(StatusCode::BAD_REQUEST, what);
    let (mut url, mut head) = (None, false);
    let mut headers = HeaderMap::new();
    for pair in query.split('&') {
        if let Some(method) = pair.strip_prefix("method=") {
            head = match method {
                "GET" => false,
                "HEAD" => true,
                _ => return Err(bad("GET and HEAD alone are explained".into())),
            };
        } else if let Some(value) = pair.strip_prefix("url=") {
            url = Some(decode(value)?);
        } else if let Some(value) = pair.strip_prefix("header=") {
            let text = decode(value)?;
            let (name, value) = text.split_once(':').unwrap_or((&text, ""));
            let field = HeaderName::try_from(name.trim()).ok();
            let field = field.zip(HeaderValue::try_from(value.trim()).ok());
            let (name, value) =
                field.ok_or_else(|| bad("a header that is none: write `Name: value`".into()))?;
            if headers.len() >= HEADERS_MAX {
                return Err(bad(format!("more than {HEADERS_MAX} headers")));
            }
            headers.append(name, value);
        }
    }
    let url = url.ok_or_else(|| bad("the query key `url` is missing".into()))?;
    let admitted = super::cache::admitted(node, &url)?;
    let shown = weir_edge_token::redact(&url).into_owned();
    let key = lookup::key(&admitted);
    let control = lookup::control(&admitted.service, &headers);
    Ok(Asked { url: shown, admitted, key, headers, control, head })
}

impl Asked {
    /// HEAD is answered by what GET stored; where that is of no use, by the answer to an earlier
    /// HEAD, which has a place of its own.
    fn of_head(&self, node: &Node, told: &Told, found: &mut Explain) {
        let ask = lookup::ask(&self.admitted, Place::of(self.key.as_str()), &self.headers).head();
        let of_get = std::mem::replace(found, self.nothing(told));
        self.stored(node, &ask.id, &ask.key, told, found);
        if found.id.is_none() {
            *found = of_get;
            return;
        }
        found.purge = of_get.purge;
        found.why = format!("an answer to HEAD is stored for itself: {}", found.why);
    }

    /// What is stored under a key, and what comes of it.
    fn stored(&self, node: &Node, id: &ObjectId, key: &str, told: &Told, found: &mut Explain) {
        let stored = node.engine.cache().object(id, key);
        let stored = match stored {
            Some(record) if variant::is_record(&record) => {
                let Some(chosen) = self.variants(node, &record, found) else { return };
                Some(chosen)
            }
            stored => stored,
        };
        match stored {
            Some(object) => self.of(node, &object, told, found),
            None => {
                if let Some(reason) = node.engine.is_passed(id) {
                    found.verdict = CacheVerdict::Bypass;
                    let why = reason.map_or("it is too large", |reason| reason.as_str());
                    found.why = format!(
                        "the last answer could not be shared ({why}): for ten seconds each request \
                         goes to the upstream by itself"
                    );
                } else {
                    found.why = match &found.purge {
                        Some(_) => "what was stored is purged: the next request asks the upstream",
                        None => {
                            "nothing is stored under this key: the next request asks the upstream"
                        }
                    }
                    .into();
                }
            }
        }
    }

    /// Everything but what is stored.
    fn nothing(&self, told: &Told) -> Explain {
        let service = &self.admitted.service;
        Explain {
            url: self.url.clone(),
            key: self.key.clone(),
            dropped_query: lookup::dropped_query(&self.admitted),
            service: Some(service.id.to_string()),
            rule: Some(service.rule.clone()),
            tier: Tier::None,
            size: None,
            chunks: ChunkCount::default(),
            age_s: None,
            ttl_s: None,
            verdict: CacheVerdict::Miss,
            why: String::new(),
            purge: None,
            stored_headers: Vec::new(),
            upstream: Some(service.upstream.id().to_owned()),
            id: None,
            generation: None,
            status: None,
            pin: None,
            tags: Vec::new(),
            decided: told.of_requests(&self.admitted),
            runs: Vec::new(),
            vary: Vec::new(),
            variants: Vec::new(),
            verified: None,
        }
    }

    /// Lists the variants, and gives the one that the request selects. None where it selects
    /// none that is stored.
    // RFC 9111 §4.1
    fn variants(
        &self,
        node: &Node,
        record: &StoredObject,
        found: &mut Explain,
    ) -> Option<Arc<StoredObject>> {
        let cache = node.engine.cache();
        let (names, _) = variant::selects(record);
        let ask = lookup::ask(&self.admitted, Place::of(self.key.as_str()), &self.headers);
        let wanted = selected_by(&ask.headers, &names);
        let mut chosen = None;
        for id in variant::variants(record) {
            let Some(known) = cache.known_as(&id) else { continue };
            let Some(object) = cache.object(&id, &known.key) else { continue };
            let selects = object.key.splitn(3, VARIANT_MARK).nth(2).unwrap_or_default();
            let is_chosen = *selects == *wanted;
            let (chunks, _) = places::places(node, &object);
            let (age_s, ttl_s) = times(node, &object);
            let pair = |line: &str| match line.split_once('=') {
                Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
                None => (line.to_owned(), None),
            };
            found.variants.push(ExplainVariant {
                selects: selects.split(VARIANT_MARK).map(pair).collect(),
                id: format!("{:032x}", id.0),
                status: object.status.as_u16(),
                size: object.size,
                age_s,
                ttl_s,
                chunks,
                chosen: is_chosen,
            });
            if is_chosen {
                chosen = Some(object);
            }
        }
        found.vary = names.iter().map(|name| name.as_str().to_owned()).collect();
        if chosen.is_none() {
            let has: Vec<_> = wanted.split(VARIANT_MARK).map(|line| format!("{line:?}")).collect();
            found.why = format!(
                "responses vary, and no stored one answers a request with {}: it asks the upstream",
                has.join(" and ")
            );
        }
        chosen
    }

    /// What is stored, and what comes of it for this request.
    fn of(&self, node: &Node, object: &StoredObject, told: &Told, found: &mut Explain) {
        let headers = object.headers();
        let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let (chunks, tier) = places::places(node, object);
        let (age, ttl) = times(node, object);
        let policy = &self.admitted.service.policy;
        let state = state::State {
            object,
            headers: &headers,
            control: &self.control,
            tier,
            stale_if_error: policy.stale_if_error,
            now_millis: node.clock.unix_millis(),
        };
        (found.verdict, found.why) = state.verdict();
        found.decided.extend(told.of_stored(node, object, &headers, chunks));
        (found.size, found.chunks, found.tier) = (Some(object.size), chunks, tier);
        (found.age_s, found.ttl_s) = (Some(age), Some(ttl));
        found.id = Some(format!("{:032x}", object.id.0));
        found.generation = Some(object.generation);
        found.status = Some(object.status.as_u16());
        let pin = node.engine.cache().pin_of(&object.id);
        found.pin = pin.map(|pin| Pin { until_unix_s: pin.until_seconds() });
        found.runs = places::runs(node, object);
        found.tags = TAGS
            .iter()
            .flat_map(|name| headers.get_all(name))
            .flat_map(|value| {
                let tags = text(value);
                tags.split([' ', ','])
                    .filter(|tag| !tag.is_empty())
                    .map(str::to_owned)
                    .collect::<Vec<_>>()
            })
            .collect();
        // Whoever asks gets the cookies of the first; operators need not read them.
        let shown = |name: &HeaderName, value: &HeaderValue| match *name {
            header::SET_COOKIE => "(not shown)".to_owned(),
            _ => text(value),
        };
        found.stored_headers =
            headers.iter().map(|(name, value)| (name.to_string(), shown(name, value))).collect();
    }
}

/// Age, and freshness left, in seconds.
fn times(node: &Node, object: &StoredObject) -> (u64, i64) {
    let age = weir_edge_fill::age_millis(object, node.clock.unix_millis()) / 1000;
    (age, signed(weir_edge_fill::lifetime_millis(object) / 1000) - signed(age))
}
