//! What a store's error is to an S3 client: whose fault, which code, which status.

use std::io;

use http::{HeaderMap, HeaderValue, StatusCode, header};
use s3s::{S3Error, S3ErrorCode};
use weir_origin_store::{MAX_KEY_BYTES, StoreError};

/// The answer for `error`. What is our fault is logged here, once, with its causes.
pub(super) fn refuse(error: StoreError) -> S3Error {
    let (code, ours) = code(&error);
    // Our own trouble is told to the operator, not to the client.
    let message = if ours { "the store could not do it".to_owned() } else { error.to_string() };
    let mut answer = S3Error::with_message(code, message);
    match &error {
        StoreError::NotModified { etag: Some(etag), .. } => {
            // RFC 9110 §15.4.5: a 304 names the tag that a 200 would have.
            if let Ok(value) = HeaderValue::from_str(&format!("\"{}\"", etag.0)) {
                answer.set_headers(HeaderMap::from_iter([(header::ETAG, value)]));
            }
        }
        StoreError::RangeNotSatisfiable { size, .. } => {
            // RFC 9110 §15.5.17.
            let value = HeaderValue::from_str(&format!("bytes */{size}"));
            let value = value.expect("digits are a field's value");
            let xml = HeaderValue::from_static("application/xml");
            answer.set_headers(HeaderMap::from_iter([
                (header::CONTENT_RANGE, value),
                (header::CONTENT_TYPE, xml),
            ]));
        }
        StoreError::Io { source, .. } if is_full(source) => {
            answer.set_status_code(StatusCode::INSUFFICIENT_STORAGE);
        }
        _ => {}
    }
    if ours {
        tracing::error!(error = chain(&error), "the store failed");
        answer.set_source(Box::new(error));
    }
    answer
}

/// The code S3 has for it, and whether it is our fault.
fn code(error: &StoreError) -> (S3ErrorCode, bool) {
    let code = match error {
        StoreError::NotFound { .. } => S3ErrorCode::NoSuchKey,
        StoreError::NoBucket(_) => S3ErrorCode::NoSuchBucket,
        StoreError::NoUpload(_) => S3ErrorCode::NoSuchUpload,
        StoreError::PreconditionFailed { .. } => S3ErrorCode::PreconditionFailed,
        StoreError::NotModified { .. } => S3ErrorCode::NotModified,
        StoreError::RangeNotSatisfiable { .. } => S3ErrorCode::InvalidRange,
        StoreError::BadName(name, _) if name.len() > MAX_KEY_BYTES => S3ErrorCode::KeyTooLongError,
        StoreError::BadName(..) => S3ErrorCode::InvalidArgument,
        StoreError::BadPart { .. } => S3ErrorCode::InvalidPart,
        StoreError::PartOrder { .. } => S3ErrorCode::InvalidPartOrder,
        StoreError::PartTooSmall { .. } => S3ErrorCode::EntityTooSmall,
        StoreError::TooMuch { .. } => S3ErrorCode::EntityTooLarge,
        StoreError::BadDigest { .. } => S3ErrorCode::BadDigest,
        StoreError::Denied { .. } => S3ErrorCode::AccessDenied,
        StoreError::Truncated { .. } => S3ErrorCode::IncompleteBody,
        StoreError::Silent(_) | StoreError::Unreachable(_) => {
            return (S3ErrorCode::ServiceUnavailable, true);
        }
        StoreError::Io { source, .. } if is_full(source) => {
            return (S3ErrorCode::Custom("InsufficientStorage".into()), true);
        }
        StoreError::Corrupt { .. }
        | StoreError::Answered { .. }
        | StoreError::Untrusted(_)
        | StoreError::Io { .. } => {
            return (S3ErrorCode::InternalError, true);
        }
    };
    (code, false)
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// An error with all its causes in one line.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_error_has_its_status() {
        fn check(error: StoreError, status: u16, code: &str) {
            let answer = refuse(error);
            assert_eq!(answer.code().as_str(), code);
            assert_eq!(answer.status_code().map(|status| status.as_u16()), Some(status), "{code}");
        }
        let key = || "k".to_owned();
        check(StoreError::NotFound { bucket: key(), key: key() }, 404, "NoSuchKey");
        check(StoreError::NoBucket(key()), 404, "NoSuchBucket");
        check(StoreError::PreconditionFailed { key: key() }, 412, "PreconditionFailed");
        check(StoreError::NotModified { key: key(), etag: None }, 304, "NotModified");
        check(StoreError::RangeNotSatisfiable { key: key(), size: 1 }, 416, "InvalidRange");
        check(StoreError::Corrupt { key: key() }, 500, "InternalError");
        check(StoreError::BadDigest { algorithm: "x" }, 400, "BadDigest");
        let full = io::Error::from(io::ErrorKind::StorageFull);
        let full = StoreError::Io { action: key(), source: full };
        check(full, 507, "InsufficientStorage");
        let answer = refuse(StoreError::RangeNotSatisfiable { key: key(), size: 7 });
        assert_eq!(answer.headers().unwrap()[header::CONTENT_RANGE], "bytes */7");
        let answer = refuse(StoreError::Corrupt { key: "secret/key".to_owned() });
        assert_eq!(answer.message(), Some("the store could not do it"));
    }
}
