//! Variants of a URL (RFC 9111 §4.1). A response with `Vary` does not lie under the key of its
//! URL. There lies a *record* without a body, which says which request fields select; the
//! response lies under the record's key, the record's generation and the values of these
//! fields. Whoever takes away the record has made every variant unreachable.

use std::{borrow::Cow, sync::Arc};

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use weir_edge_cache::{Fields, ObjectId, StoredObject, VARIANT_MARK};
use weir_edge_freshness::{
    PassReason,
    vary::{Selecting, selected_by, selecting},
};

use crate::{
    ask::{Ask, Place},
    engine::Engine,
};

/// Marks a record; the flags of the rules are at the other end.
const RECORD: u32 = 1 << 31;
/// Marks the answer to a HEAD: fields, and no body to be had.
const HEAD: u32 = 1 << 30;
/// Variants of one URL. The oldest goes when there are more: whoever can choose a field's value
/// must not fill the cache.
pub const VARIANTS_MAX: usize = 64;
/// Longest text of selecting fields. What is longer is one client's.
const SELECTED_MAX: usize = 1024;
/// In a record: the id of a variant, oldest first.
static VARIANT: HeaderName = HeaderName::from_static("x-variant");

/// Fields that are one person's, whose values must not be written down in keys, and that would
/// select one variant for each of them.
const PERSONAL: [HeaderName; 3] =
    [header::AUTHORIZATION, header::COOKIE, header::PROXY_AUTHORIZATION];

/// Whether an object is no response but says what selects those of its URL.
pub fn is_record(object: &StoredObject) -> bool {
    object.flags & RECORD != 0
}

/// Whether an object is the answer to a HEAD: it has no body, and its size is what its
/// `Content-Length` says, if there is one.
pub fn is_head(object: &StoredObject) -> bool {
    object.flags & HEAD != 0
}

/// The mark of what an ask brings.
pub(crate) fn mark(ask: &Ask) -> u32 {
    if ask.method() == Method::HEAD { HEAD } else { 0 }
}

/// The names by which a record selects, and how many variants it knows.
pub fn selects(record: &StoredObject) -> (Vec<HeaderName>, usize) {
    let headers = record.headers();
    let names = match selecting(&headers) {
        Selecting::Fields(names) => names,
        Selecting::Nothing | Selecting::Any => Vec::new(),
    };
    (names, headers.get_all(&VARIANT).iter().count())
}

/// Ids of the variants that a record knows.
pub fn variants(record: &StoredObject) -> Vec<ObjectId> {
    let headers = record.headers();
    let id = |value: &HeaderValue| u128::from_str_radix(value.to_str().ok()?, 16).ok();
    headers.get_all(&VARIANT).iter().filter_map(id).map(ObjectId).collect()
}

/// What selects this response among those of its URL; nothing where no field of a client goes
/// to the upstream.
pub(crate) fn names(ask: &Ask, response: &HeaderMap) -> Result<Vec<HeaderName>, PassReason> {
    let names = match selecting(response) {
        Selecting::Nothing => return Ok(Vec::new()),
        Selecting::Any => return Err(PassReason::VaryAny),
        Selecting::Fields(_) if ask.headers.is_empty() => return Ok(Vec::new()),
        Selecting::Fields(names) => names,
    };
    let long = || selected_by(&ask.headers, &names).len() > SELECTED_MAX;
    if names.iter().any(|name| PERSONAL.contains(name)) || long() {
        return Err(PassReason::Vary);
    }
    Ok(names)
}

/// The ask for a URL as the ask for the variant it selects.
pub(crate) struct Placed<'a> {
    pub ask: Cow<'a, Ask>,
    /// What lies there.
    pub stored: Option<Arc<StoredObject>>,
    /// Whether the URL has variants.
    pub varies: bool,
}

/// Finds the place of an ask for a URL. `None` where its fields select nothing that is kept.
// RFC 9111 §4 [reuse.vary]
pub(crate) fn place<'a>(engine: &Engine, ask: &'a Ask) -> Option<Placed<'a>> {
    let stored = engine.cache.object(&ask.id, &ask.key);
    let Some(record) = stored.as_ref().filter(|object| is_record(object)) else {
        return Some(Placed { ask: Cow::Borrowed(ask), stored, varies: false });
    };
    let (names, _) = selects(record);
    let text = selected_by(&ask.headers, &names);
    if text.len() > SELECTED_MAX {
        return None;
    }
    let place = place_of(&ask.key, record.generation, &text);
    let stored = engine.cache.object(&place.id, &place.key);
    Some(Placed { ask: Cow::Owned(ask.at_variant(place)), stored, varies: true })
}

fn place_of(url: &str, generation: u64, selected: &str) -> Place {
    Place::of(format!("{url}{VARIANT_MARK}{generation:x}{VARIANT_MARK}{selected}"))
}

/// Where a response goes.
pub(crate) struct Plan {
    pub ask: Ask,
    /// The record as it will be; none where it stays as it is.
    record: Option<StoredObject>,
    /// Variants that nobody finds any more.
    dropped: Vec<ObjectId>,
    /// The record under which the response was asked for is gone: it was purged meanwhile.
    pub lost: bool,
}

/// Plans where a response that varies on `names` goes. What is planned holds until
/// [`Plan::done`] under the engine's lock of variants.
pub(crate) fn plan(
    engine: &Engine,
    ask: &Ask,
    names: Vec<HeaderName>,
    object: &StoredObject,
) -> Plan {
    let url = ask.url();
    let known = engine.cache.object(&url.id, &url.key);
    let lost = ask.facet.url.is_some() && known.is_none();
    let record = known.filter(|object| is_record(object));
    let (mut known_names, mut ids) = (Vec::new(), Vec::new());
    if let Some(record) = &record {
        (known_names, ids) = (selects(record).0, variants(record));
    }
    // An error often comes from in front of what knows of variants and says nothing of them. One
    // client's must not be everybody's: it takes its place among its fellows.
    let among = record.is_some() && !object.status.is_success();
    if names.is_empty() && !among {
        return Plan { ask: ask.at_url(), record: None, dropped: ids, lost };
    }
    // A response that varies on less than its fellows is looked up by what they vary on: more
    // of them are stored than need be, and none is served to the wrong request.
    let mut all = names;
    all.append(&mut known_names.clone());
    all.sort_unstable_by(|a, b| a.as_str().cmp(b.as_str()));
    all.dedup();
    let same = record.filter(|_| all == known_names);
    let mut dropped = Vec::new();
    let generation = match &same {
        Some(record) => record.generation,
        None => {
            dropped = std::mem::take(&mut ids);
            engine.cache.next_generation()
        }
    };
    let selected = selected_by(&ask.headers, &all);
    let place = place_of(&url.key, generation, &selected);
    let lost = lost || selected.len() > SELECTED_MAX;
    let record = if ids.contains(&place.id) || lost {
        None
    } else {
        ids.push(place.id);
        while ids.len() > VARIANTS_MAX {
            dropped.push(ids.remove(0));
        }
        Some(record_of(&url, generation, &all, &ids, object))
    };
    Plan { ask: ask.at_variant(place), record, dropped, lost }
}

impl Plan {
    /// Makes the response reachable, now that it is there.
    pub(crate) fn done(self, engine: &Engine) {
        if self.lost {
            return;
        }
        if let Some(record) = self.record {
            engine.cache.put_object(record);
        }
        for id in self.dropped {
            engine.cache.remove_object(&id);
        }
    }
}

fn record_of(
    url: &Place,
    generation: u64,
    names: &[HeaderName],
    ids: &[ObjectId],
    object: &StoredObject,
) -> StoredObject {
    let mut headers = HeaderMap::with_capacity(ids.len() + 1);
    let names = names.iter().map(HeaderName::as_str).collect::<Vec<_>>().join(", ");
    headers.insert(header::VARY, names.parse().expect("names are a header value"));
    for id in ids {
        let hex = format!("{:032x}", id.0);
        headers.append(&VARIANT, hex.parse().expect("digits are a header value"));
    }
    StoredObject {
        id: url.id,
        key: (*url.key).into(),
        generation,
        service: Arc::clone(&object.service),
        status: StatusCode::OK,
        fields: Fields::encode(&headers),
        size: 0,
        request_millis: object.request_millis,
        response_millis: object.response_millis,
        initial_age_millis: 0,
        lifetime_millis: 0,
        flags: RECORD,
        // A purge by tag means responses, and those carry their own.
        tags: Box::default(),
        epoch: object.epoch,
    }
}
