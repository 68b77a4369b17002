//! What is stored is brought up to date by each part that is joined to it (RFC 9111 §3.4): the
//! rest of a body that broke off, and chunks that were missing.

use std::sync::Arc;

use http::{HeaderMap, header};
use weir_edge_cache::{StoredObject, Ticket};
use weir_edge_freshness::{self as freshness, PassReason};

use crate::{
    ask::Ask,
    engine::Engine,
    judge,
    table::BodyFill,
    upstream::{UpstreamError, UpstreamResponse},
    variant,
};

/// What parts are joined to.
pub(crate) struct Whole {
    pub engine: Arc<Engine>,
    pub ask: Ask,
    pub fill: Arc<BodyFill>,
}

/// What a part means for the stored response that it completes.
pub(crate) enum Joining {
    /// The stored response with the fields of the part.
    Updated(Box<StoredObject>),
    /// Nothing of the representation may be kept any more.
    Forbidden(PassReason),
}

impl Whole {
    /// To be taken before a part is asked for: what is purged from then on is not brought back.
    pub(crate) fn begin(&self) -> (Ticket, u64) {
        (self.engine.cache.begin(), self.engine.clock.unix_millis())
    }

    /// Joins a part of the same representation.
    pub(crate) fn join(
        &self,
        request: &HeaderMap,
        (ticket, request_millis): (Ticket, u64),
        response: &UpstreamResponse,
    ) -> Result<(), UpstreamError> {
        let Self { engine, ask, fill } = self;
        let stored = engine.cache.object(&ask.id, &ask.key);
        // A response of another generation is not what this part completes, and one that was
        // asked for later knows better.
        let Some(stored) = stored.filter(|stored| {
            stored.generation == fill.generation && stored.request_millis <= request_millis
        }) else {
            return Ok(());
        };
        let times = (request_millis, engine.clock.unix_millis());
        match joined(ask, request, &stored, &response.headers, times) {
            Joining::Updated(mut object) => {
                object.epoch = ticket.epoch();
                engine.cache.replace_object(*object, still(&stored, request_millis));
                Ok(())
            }
            // What is here already was right to keep, and its rest may not join it: who asks
            // again is answered anew.
            Joining::Forbidden(reason) => Err(UpstreamError::Contradiction {
                upstream: ask.upstream.id().into(),
                reason: format!("a part that may not be kept ({reason}), of what might be"),
            }),
        }
    }
}

/// What brings `looked` up to date may take its place while that lies there, or a state of it
/// that was asked for no later: who purged or replaced it meanwhile knows better. Not by time
/// alone, since clocks are set back.
pub(crate) fn still(
    looked: &StoredObject,
    request_millis: u64,
) -> impl FnOnce(&StoredObject) -> bool {
    let (generation, asked) = (looked.generation, looked.request_millis);
    move |now| {
        let no_later = now.request_millis == asked || now.request_millis <= request_millis;
        now.generation == generation && no_later
    }
}

/// Fields of the request for a part of what is stored. Where that was stored for everybody
/// without leave to share what credentials bring (RFC 9111 §3.5), no credentials go along: the
/// part is everybody's too.
pub(crate) fn request_fields(ask: &Ask, stored: &StoredObject) -> HeaderMap {
    let mut fields = (*ask.headers).clone();
    let times = (stored.request_millis, stored.response_millis);
    let judged = judge::lifetime(ask, stored.status, &fields, &stored.headers(), times);
    if judged == Err(PassReason::Authorization) {
        fields.remove(header::AUTHORIZATION);
    }
    fields
}

/// RFC 9111 §3.4 [combine.update]
/// RFC 9111 §3 holds for the part, and for what comes of it, as it did for the first response.
pub(crate) fn joined(
    ask: &Ask,
    request: &HeaderMap,
    stored: &StoredObject,
    part: &HeaderMap,
    times: (u64, u64),
) -> Joining {
    let old = stored.headers();
    let mut headers = old.clone();
    freshness::update(&mut headers, part, times.1);
    if let Err(reason) = judge::lifetime(ask, stored.status, request, &headers, times) {
        return Joining::Forbidden(reason);
    }
    let mut object = judge::updated(ask, stored, part, times);
    if variant::names(ask, &headers) != variant::names(ask, &old) {
        // What now varies on other fields lies in another place: it answers nobody any more
        // without being asked about.
        object.lifetime_millis = 0;
    }
    Joining::Updated(Box::new(object))
}
