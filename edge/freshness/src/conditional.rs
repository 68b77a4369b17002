//! Conditional requests answered from a stored response (RFC 9110 §13, RFC 9111 §4.3.2).

use http::{HeaderMap, Method, StatusCode, header};

use crate::{
    date,
    validator::{EntityTag, any_matches},
};

/// What the conditions say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precondition {
    /// Answer as if there were none.
    Pass,
    /// Answer 304.
    NotModified,
    /// Answer 412.
    PreconditionFailed,
}

/// Evaluates the conditions of a request against a stored response, in the order of
/// RFC 9110 §13.2.2. `If-Range` is the last of them and has its own function.
// RFC 9111 §4.3.2 [conditional.evaluate]
pub fn evaluate(
    method: &Method,
    request: &HeaderMap,
    status: StatusCode,
    stored: &HeaderMap,
) -> Precondition {
    // §13.2.1: only where the answer would be a success otherwise.
    if !status.is_success() {
        return Precondition::Pass;
    }
    let reading = matches!(*method, Method::GET | Method::HEAD);
    let modified = date::field(stored, &header::LAST_MODIFIED);

    // 1. and 2.
    if request.contains_key(header::IF_MATCH) {
        // §13.1.1: strong comparison.
        let tag = EntityTag::of(stored);
        let matches = any_matches(request, &header::IF_MATCH, |wanted| {
            tag.is_some_and(|tag| tag.strong_eq(wanted))
        });
        if !matches {
            return Precondition::PreconditionFailed;
        }
    } else if let (Some(since), Some(modified)) =
        (date::field(request, &header::IF_UNMODIFIED_SINCE), modified)
    {
        // §13.1.4: ignored without a modification date, or when it is no date.
        if modified > since {
            return Precondition::PreconditionFailed;
        }
    }

    // 3. and 4.
    if request.contains_key(header::IF_NONE_MATCH) {
        // §13.1.2: weak comparison.
        let tag = EntityTag::of(stored);
        let matches = any_matches(request, &header::IF_NONE_MATCH, |known| {
            tag.is_some_and(|tag| tag.weak_eq(known))
        });
        return match (matches, reading) {
            (false, _) => Precondition::Pass,
            (true, true) => Precondition::NotModified,
            (true, false) => Precondition::PreconditionFailed,
        };
    }
    // §13.1.3: only GET and HEAD.
    // RFC 9111 §4.3.2 [conditional.date]: which every stored response has, be it from us.
    let modified = modified.or_else(|| date::field(stored, &header::DATE));
    match (date::field(request, &header::IF_MODIFIED_SINCE), modified) {
        (Some(since), Some(modified)) if reading && modified <= since => Precondition::NotModified,
        _ => Precondition::Pass,
    }
}

/// RFC 9110 §13.1.5 and §13.2.2 step 5: whether `Range` is to be honoured. True without
/// `If-Range`.
pub fn if_range_holds(request: &HeaderMap, stored: &HeaderMap) -> bool {
    let Some(value) = request.get(header::IF_RANGE) else { return true };
    let value = value.as_bytes();
    if let Some(wanted) = EntityTag::parse(value) {
        return EntityTag::of(stored).is_some_and(|tag| tag.strong_eq(&wanted));
    }
    // A date must be the very one, and strong by §8.8.2.2: the response was made at least a
    // second later (the RFC names 60 where the clocks differ).
    let (Some(wanted), Some(modified)) =
        (date::parse(value), date::field(stored, &header::LAST_MODIFIED))
    else {
        return false;
    };
    let strong = date::field(stored, &header::DATE).is_some_and(|made| made > modified);
    wanted == modified && strong
}
