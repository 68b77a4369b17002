//! Objects one by one: listed, looked at, and their stored bytes.

use std::{sync::Arc, time::Duration};

use futures::stream;
use http::{HeaderValue, StatusCode, header};
use tokio::time::Instant;
use weir_config_admin::{
    ChunkCopy, ChunkState, ObjectPage, ObjectRow, ObjectShown, ObjectVerified, ObjectVerify, Pin,
};
use weir_edge_cache::{
    CHUNK_SIZE, Cursor, Filter, ObjectId, PAGE_MAX, Row, Selector, Sort, StoredObject,
    VARIANT_MARK, Verdict, primary_key,
};
use weir_edge_fill::variant;
use weir_edge_http::{BodyError, Response, ResponseBody};

use super::{
    Failure,
    cache::{Asked, decode, signed},
};
use crate::node::Node;

/// Chunks that are looked for on behalf of one page; about a tenth of a second.
const LOOKS: u32 = 1 << 16;
/// A command waits 2 s for its answer.
const STEP: Duration = Duration::from_secs(1);

/// A page of what the cache holds.
pub(super) async fn list(node: &Arc<Node>, query: &str) -> Result<ObjectPage, Failure> {
    let bad = |what: &str| Failure::new(StatusCode::BAD_REQUEST, what.to_owned());
    let prefixes = match value(query, "prefix")? {
        Some(prefix) => beginnings(node, &prefix)?,
        None => Vec::new(),
    };
    let pinned = value(query, "pinned")?.is_some();
    let order = match value(query, "sort")?.as_deref() {
        None | Some("key") => Sort::Key,
        Some("any") => Sort::Any,
        Some("reads") => Sort::MostRead,
        Some("unread") => Sort::LongestUnread,
        Some("size") => Sort::Largest,
        Some("age") => Sort::Newest,
        Some(_) => return Err(bad("`sort` is any, key, reads, unread, size or age")),
    };
    let limit = match value(query, "limit")? {
        None => PAGE_MAX,
        Some(limit) => limit.parse().map_err(|_| bad("the query key `limit` is no number"))?,
    };
    let cursor = value(query, "cursor")?.map(|cursor| cursor.parse::<Cursor>()).transpose();
    let cursor = cursor.map_err(|error| bad(&error.to_string()))?;
    let (node, filter) = (Arc::clone(node), Filter { prefixes, pinned });
    // A second of looking at 10^7 objects holds up nobody there.
    let listed = tokio::task::spawn_blocking(move || {
        let cache = node.engine.cache();
        let page = cache.list(&filter, order, cursor.as_ref(), limit);
        let mut looks = LOOKS;
        let objects = page.rows.iter().map(|found| row(&node, found, &mut looks)).collect();
        let next = page.next.map(|next| next.to_string());
        ObjectPage { objects, next, loading: cache.is_loading() }
    });
    listed.await.map_err(|_| Failure::new(StatusCode::SERVICE_UNAVAILABLE, "the node is stopping"))
}

/// The beginnings of keys that are meant by the beginning of a URL, or of a key.
fn beginnings(node: &Node, prefix: &str) -> Result<Vec<Box<str>>, Failure> {
    if !prefix.starts_with("http://") && !prefix.starts_with("https://") {
        if !prefix.contains('|') {
            let shown = weir_edge_token::redact(prefix);
            let what = format!("not the beginning of a URL or of a cache key: {shown}");
            return Err(Failure::new(StatusCode::BAD_REQUEST, what)
                .why("a URL begins with https:// or http:// and a host, a key with `SERVICE|`"));
        }
        return Ok(vec![prefix.into()]);
    }
    let selectors = super::purge::prefixes(node, prefix)?;
    let text = |selector| match selector {
        Selector::Prefix(text) => Some(Box::from(&*text)),
        _ => None,
    };
    Ok(selectors.into_iter().filter_map(text).collect())
}

/// An object as operators see it.
fn row(node: &Node, found: &Row, looks: &mut u32) -> ObjectRow {
    let object = &found.object;
    let now = node.clock.unix_millis();
    let age = weir_edge_fill::age_millis(object, now) / 1000;
    let ttl = signed(weir_edge_fill::lifetime_millis(object) / 1000) - signed(age);
    let chunks = looks.checked_sub(object.chunks()).map(|left| {
        *looks = left;
        super::explain::places::places(node, object).0
    });
    ObjectRow {
        key: primary_key(&object.key).to_owned(),
        variant: variant_of(&object.key),
        selects: variant::is_record(object),
        id: format!("{:032x}", object.id.0),
        service: object.service.to_string(),
        status: object.status.as_u16(),
        size: object.size,
        age_s: age,
        ttl_s: ttl,
        reads: Some(found.reads),
        read_unix_s: found.read_seconds,
        pin: found.pin.map(|pin| Pin { until_unix_s: pin.until_seconds() }),
        chunks,
    }
}

/// What selects a variant, behind the key of its URL and the number of their record.
fn variant_of(key: &str) -> Option<String> {
    let (_, selected) = key.split_once(VARIANT_MARK)?.1.split_once(VARIANT_MARK)?;
    Some(selected.split(VARIANT_MARK).collect::<Vec<_>>().join("; "))
}

/// A key as operators see it: of a variant that of its URL, and what selects it.
pub(super) fn named(key: &str) -> String {
    let url = primary_key(key);
    match (variant_of(key), url.len() == key.len()) {
        (Some(variant), _) => format!("{url}   variant {variant:?}"),
        (None, true) => url.to_owned(),
        // The answer to HEAD has a place of its own.
        (None, false) => format!("{url}   HEAD"),
    }
}

/// One object.
pub(super) async fn object(node: &Node, query: &str) -> Result<ObjectShown, Failure> {
    let object = find(node, query).await?;
    let pin = node.engine.cache().pin_of(&object.id);
    let found = Row { object: Arc::clone(&object), reads: 0, read_seconds: None, pin };
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into();
    let headers = object.headers();
    Ok(ObjectShown {
        row: ObjectRow { reads: None, ..row(node, &found, &mut u32::MAX.clone()) },
        generation: object.generation,
        headers: headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect(),
    })
}

async fn find(node: &Node, query: &str) -> Result<Arc<StoredObject>, Failure> {
    let (url, key) = (value(query, "url")?, value(query, "key")?);
    let (key, shown) = match (url, key) {
        (Some(url), None) => (Asked::of(node, &url)?.key, weir_edge_token::redact(&url).into()),
        (None, Some(key)) => (key.clone(), key),
        _ => {
            let what = "exactly one of the query keys `url` and `key` says what";
            return Err(Failure::new(StatusCode::BAD_REQUEST, what));
        }
    };
    let cache = node.engine.cache();
    let known = cache.known_as(&ObjectId::of(&key)).filter(|object| *object.key == *key);
    let known = known.ok_or_else(|| {
        Failure::new(StatusCode::NOT_FOUND, format!("{shown} is not in the cache"))
            .why(format!("nothing is stored under the key {key}"))
            .next("cachectl cache ls, or cachectl cache warm URL")
    })?;
    if !variant::is_record(&known) {
        return Ok(known);
    }
    let prefixes = vec![format!("{key}{VARIANT_MARK}").into()];
    let filter = Filter { prefixes, pinned: false };
    let cache = Arc::clone(cache);
    // It looks at every object there is, and the threads here fill for clients.
    let listed = move || cache.list(&filter, Sort::Key, None, PAGE_MAX).rows;
    let rows = tokio::task::spawn_blocking(listed).await;
    let stopping = |_| Failure::new(StatusCode::SERVICE_UNAVAILABLE, "the node is stopping");
    let rows = rows.map_err(stopping)?;
    let named = |row: &Row| (variant_of(&row.object.key).unwrap_or_default(), row.object.clone());
    let variants: Vec<_> = rows.iter().map(named).collect();
    let wanted = value(query, "variant")?;
    let found = variants.iter().find(|(name, _)| wanted.as_ref().is_some_and(|w| w == name));
    found.map(|(_, object)| Arc::clone(object)).ok_or_else(|| {
        let names: Vec<_> = variants.iter().map(|(name, _)| format!("{name:?}")).collect();
        let what = match wanted {
            Some(wanted) => format!("{shown} has no variant {wanted:?}"),
            None => format!("{shown} has {} variants: say which", variants.len()),
        };
        let status = if names.is_empty() { StatusCode::NOT_FOUND } else { StatusCode::BAD_REQUEST };
        Failure::new(status, what).why(names.join(" or ")).next("add --variant TEXT")
    })
}

/// The stored bytes of an object or of a part of it, each chunk checked before it leaves.
pub(super) async fn body(node: &Arc<Node>, query: &str) -> Result<Response, Failure> {
    let object = find(node, query).await?;
    let number = |name: &str| -> Result<Option<u64>, Failure> {
        let bad = |_| {
            let what = format!("the query key `{name}` is no number");
            Failure::new(StatusCode::BAD_REQUEST, what)
        };
        value(query, name)?.map(|text| text.parse().map_err(bad)).transpose()
    };
    if number("generation")?.is_some_and(|generation| generation != object.generation) {
        return Err(Failure::new(StatusCode::CONFLICT, "another version has taken its place")
            .next("run it again"));
    }
    let (from, to) = (number("from")?.unwrap_or(0), number("to")?.unwrap_or(object.size));
    if from > to || to > object.size {
        let what = format!("it has {} bytes", object.size);
        return Err(Failure::new(StatusCode::BAD_REQUEST, "no such range").why(what));
    }
    let cache = node.engine.cache();
    let chunks = from / CHUNK_SIZE as u64..to.div_ceil(CHUNK_SIZE as u64);
    let missing = chunks.clone().find(|index| {
        let key = object.chunk_key(u32::try_from(*index).unwrap_or(u32::MAX));
        from < to && cache.has_chunk(&key).is_none()
    });
    if let Some(missing) = missing {
        let what = format!("chunk {missing} of {} is not held", primary_key(&object.key));
        return Err(Failure::new(StatusCode::NOT_FOUND, what)
            .why("only a part of the object is in the cache")
            .next("cachectl cache warm URL brings the rest"));
    }
    let cache = Arc::clone(cache);
    let pieces = stream::try_unfold(from, move |at| {
        let (cache, object) = (Arc::clone(&cache), Arc::clone(&object));
        async move {
            if at >= to {
                return Ok(None);
            }
            let index = at / CHUNK_SIZE as u64;
            let key = object.chunk_key(u32::try_from(index).unwrap_or(u32::MAX));
            let start = index * CHUNK_SIZE as u64;
            let chunk = cache.stored_chunk(&key).await;
            let part = (at - start) as usize..(to - start).min(CHUNK_SIZE as u64) as usize;
            // It left meanwhile, or did not verify.
            let piece = chunk.filter(|chunk| chunk.data().len() >= part.end);
            let piece = piece.ok_or_else(|| BodyError(format!("chunk {index} is not held")))?;
            let piece = piece.data().slice(part);
            let next = at + piece.len() as u64;
            Ok(Some((piece, next)))
        }
    });
    let mut response = Response::new(ResponseBody::stream(pieces, Some(to - from)));
    let headers = response.headers_mut();
    let kind = HeaderValue::from_static("application/octet-stream");
    headers.insert(header::CONTENT_TYPE, kind);
    headers.insert(header::CONTENT_LENGTH, (to - from).into());
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// Reads chunks of an object back from every disk that has them, for a second.
pub(super) async fn verify(node: &Node, body: &[u8]) -> Result<ObjectVerified, Failure> {
    let bad = |why: String| {
        Failure::new(StatusCode::BAD_REQUEST, "the body is no request to verify").why(why)
    };
    let request: ObjectVerify =
        serde_json::from_slice(body).map_err(|error| bad(error.to_string()))?;
    let id = u128::from_str_radix(&request.id, 16).map_err(|error| bad(error.to_string()))?;
    let cache = node.engine.cache();
    let object = cache.known_as(&ObjectId(id));
    let object = object.filter(|object| object.generation == request.generation);
    let object = object.ok_or_else(|| {
        Failure::new(StatusCode::NOT_FOUND, "it is not in the cache any more").next("run it again")
    })?;
    let until = Instant::now() + STEP;
    let mut done = ObjectVerified::default();
    for chunk in request.from..request.to.min(object.chunks()) {
        if Instant::now() > until {
            done.next = Some(chunk);
            break;
        }
        let key = object.chunk_key(chunk);
        let mut copies = 0;
        if let Some(disks) = &node.disks {
            let views = disks.views();
            for index in disks.holders(&key) {
                let state = match disks.verify_on(index, key).await {
                    Some(Verdict::Sound { .. }) => ChunkState::Sound,
                    Some(Verdict::Rotten) => ChunkState::Damaged,
                    Some(Verdict::Absent) | None => continue,
                };
                let disk = views.get(index).map(|view| view.path.display().to_string());
                done.copies.push(ChunkCopy { chunk, disk, state });
                copies += 1;
            }
        }
        if copies == 0 {
            let state = match cache.has_chunk(&key) {
                Some(_) => ChunkState::Memory,
                None => ChunkState::Missing,
            };
            done.copies.push(ChunkCopy { chunk, disk: None, state });
        }
    }
    Ok(done)
}

/// The decoded value of a query key.
fn value(query: &str, name: &str) -> Result<Option<String>, Failure> {
    let pairs = query.split('&');
    let found = pairs.filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name);
    found.map(|(_, value)| decode(value)).transpose()
}

#[cfg(test)]
mod tests {
    use super::{named, variant_of};

    #[test]
    fn variants_are_readable() {
        let check = |key, expected: Option<&str>| {
            assert_eq!(variant_of(key).as_deref(), expected, "{key:?}");
        };
        check("site|h|/a", None);
        check("site|h|/a\n5f\naccept=gzip", Some("accept=gzip"));
        check("site|h|/a\n5f\naccept=b\norigin", Some("accept=b; origin"));
        check("site|h|/a\n5f\n", Some(""));
        check("site|h|/a\n5f", None);
    }

    #[test]
    fn no_key_is_shown_with_its_marks() {
        let check = |key, expected| assert_eq!(named(key), expected);
        check("site|h|/a", "site|h|/a");
        check("site|h|/a\n5f\naccept=gzip", "site|h|/a   variant \"accept=gzip\"");
        check("site|h|/a\n5f\naccept=b\norigin", "site|h|/a   variant \"accept=b; origin\"");
        check("site|h|/a\nhead", "site|h|/a   HEAD");
    }
}
