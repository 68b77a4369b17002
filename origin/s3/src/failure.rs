//! The SDK's errors in the words of the port.

use std::error::Error;

use aws_sdk_s3::{
    config::http::HttpResponse,
    error::{ProvideErrorMetadata, SdkError},
    primitives::ByteStreamError,
};
use weir_edge_http::client::ClientError;
use weir_origin_store::{ETag, StoreError};

/// What was asked for; errors name it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) bucket: &'a str,
    pub(crate) key: &'a str,
}

/// Translates the failure of one operation.
pub(crate) fn of_operation<E>(error: &SdkError<E, HttpResponse>, asked: Asked<'_>) -> StoreError
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
{
    let reason = chain(error);
    if error.raw_response().is_none() && reason.to_ascii_lowercase().contains("credential") {
        // They are fetched with the first request that needs them. Whatever went wrong there,
        // it was not the store.
        return StoreError::Denied { what: asked.bucket.to_owned(), reason };
    }
    if let Some(client) = cause::<ClientError>(error) {
        return of_client(client, 0, 0);
    }
    match error {
        // A success that the SDK can make nothing of.
        SdkError::ServiceError(answer) if answer.raw().status().is_success() => {
            StoreError::Untrusted(reason)
        }
        SdkError::ServiceError(answer) => {
            let failure = answer.err();
            of_answer(answer.raw(), failure.code(), failure.message(), asked)
        }
        SdkError::ResponseError(answer) => {
            let status = answer.raw().status().as_u16();
            // An error without a document (any answer to HEAD) fails to parse as well.
            if status >= 300 {
                return of_answer(answer.raw(), None, None, asked);
            }
            StoreError::Untrusted(format!("status {status} with {reason}"))
        }
        _ => StoreError::Unreachable(reason),
    }
}

/// Translates a status that is no success.
fn of_answer(
    raw: &HttpResponse,
    code: Option<&str>,
    message: Option<&str>,
    asked: Asked<'_>,
) -> StoreError {
    let key = || asked.key.to_owned();
    let bucket = || asked.bucket.to_owned();
    let status = raw.status().as_u16();
    match (status, code) {
        (304, _) => StoreError::NotModified { key: key(), etag: etag(raw.headers().get("etag")) },
        (404, Some("NoSuchBucket")) => StoreError::NoBucket(bucket()),
        (404, _) => StoreError::NotFound { bucket: bucket(), key: key() },
        (412, _) => StoreError::PreconditionFailed { key: key() },
        (416, _) => {
            let size = raw.headers().get("content-range").and_then(unsatisfied).unwrap_or(UNKNOWN);
            StoreError::RangeNotSatisfiable { key: key(), size }
        }
        (401 | 403, _) => {
            let what = format!("{}/{}", asked.bucket, asked.key);
            let reason = match (code, message) {
                (Some(code), Some(message)) => format!("{code}: {message}"),
                (Some(text), None) | (None, Some(text)) => text.to_owned(),
                (None, None) => format!("status {status}"),
            };
            StoreError::Denied { what, reason }
        }
        _ => StoreError::Answered {
            status,
            code: code.unwrap_or_default().to_owned(),
            message: message.or(code).unwrap_or("no reason given").to_owned(),
        },
    }
}

/// Size of an object that the store did not tell; the adapter asks for it.
pub(crate) const UNKNOWN: u64 = u64::MAX;

/// RFC 9110 §14.4: `bytes */SIZE`.
fn unsatisfied(value: &str) -> Option<u64> {
    value.strip_prefix("bytes */")?.trim().parse().ok()
}

/// A strong tag without its quotes; none where there is none or a weak one, which no range
/// may rely on.
pub(crate) fn etag(value: Option<&str>) -> Option<ETag> {
    let tag = value?.trim();
    if tag.starts_with("W/") {
        return None;
    }
    let tag = tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"')).unwrap_or(tag);
    (!tag.is_empty()).then(|| ETag(tag.to_owned()))
}

/// Translates a failure while an object's bytes came.
pub(crate) fn in_body(error: &ByteStreamError, got: u64, expected: u64) -> StoreError {
    match cause::<ClientError>(error) {
        Some(client) => of_client(client, got, expected),
        None => StoreError::Truncated { got, expected, reason: chain(error) },
    }
}

fn of_client(error: &ClientError, got: u64, expected: u64) -> StoreError {
    match error {
        ClientError::Silent { after, .. } => StoreError::Silent(*after),
        ClientError::Truncated { reason, .. } => {
            StoreError::Truncated { got, expected, reason: reason.clone() }
        }
        ClientError::Overlong { .. }
        | ClientError::Contradiction { .. }
        | ClientError::Protocol { .. } => StoreError::Untrusted(error.to_string()),
        ClientError::Connect { .. }
        | ClientError::Crowded { .. }
        | ClientError::Closed { .. }
        | ClientError::Upload { .. }
        | ClientError::Request { .. } => StoreError::Unreachable(error.to_string()),
    }
}

/// The first error of a type among the causes.
fn cause<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

/// The error with its causes in one line, without what repeats itself.
fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = String::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let part = error.to_string();
        if !text.contains(&part) {
            if !text.is_empty() {
                text.push_str(": ");
            }
            text.push_str(&part);
        }
        next = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags() {
        let check = |value: Option<&str>, expected: Option<&str>| {
            assert_eq!(etag(value), expected.map(|tag| ETag(tag.to_owned())), "{value:?}");
        };
        check(Some("\"abc-2\""), Some("abc-2"));
        check(Some("abc"), Some("abc"));
        check(Some("W/\"abc\""), None);
        check(Some("\"\""), None);
        check(None, None);
    }

    #[test]
    fn sizes_of_unsatisfied_ranges() {
        let check = |value: &str, expected: Option<u64>| {
            assert_eq!(unsatisfied(value), expected, "{value}");
        };
        check("bytes */10", Some(10));
        check("bytes 0-1/10", None);
        check("bytes */*", None);
        check("items */10", None);
    }
}
