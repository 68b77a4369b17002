//! Bodies on their way in: what a client says of its bytes is checked before the store calls
//! them an object. s3s verifies the signature of a body but leaves its checksums to us.

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use http::HeaderMap;
use s3s::{
    StdError, TrailingHeaders,
    checksum::ChecksumHasher,
    crypto::{Checksum, Crc32, Crc32c, Crc64Nvme, Md5, Sha1, Sha256},
    dto::StreamingBlob,
};
use weir_origin_store::{ObjectBody, StoreError};

/// The algorithms by the fields that carry them, in a header or behind the body.
const FIELDS: [&str; 5] = [
    "x-amz-checksum-crc32",
    "x-amz-checksum-crc32c",
    "x-amz-checksum-crc64nvme",
    "x-amz-checksum-sha1",
    "x-amz-checksum-sha256",
];

/// What was promised, and what has been hashed of it so far.
struct Checking {
    body: StreamingBlob,
    /// By place in [`FIELDS`]; an empty promise is still to come behind the body.
    promised: [Option<String>; 5],
    md5: Option<(String, Md5)>,
    hasher: ChecksumHasher,
    behind: Option<TrailingHeaders>,
    got: u64,
    size: u64,
}

/// `body` with all that `headers` and the fields behind it promise checked at its end.
pub(super) fn checked(
    body: Option<StreamingBlob>,
    headers: &HeaderMap,
    behind: Option<TrailingHeaders>,
    size: u64,
) -> ObjectBody {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let announced = text("x-amz-trailer").unwrap_or_default().to_ascii_lowercase();
    let promised = FIELDS.map(|field| match text(field) {
        Some(value) => Some(value.to_owned()),
        None => announced.split(',').any(|name| name.trim() == field).then(String::new),
    });
    let wants = |at: usize| promised[at].is_some();
    let hasher = ChecksumHasher {
        crc32: wants(0).then(Crc32::new),
        crc32c: wants(1).then(Crc32c::new),
        crc64nvme: wants(2).then(Crc64Nvme::new),
        sha1: wants(3).then(Sha1::new),
        sha256: wants(4).then(Sha256::new),
    };
    let md5 = text("content-md5").map(|value| (value.to_owned(), Md5::new()));
    let body = body.unwrap_or_else(|| StreamingBlob::from(s3s::Body::empty()));
    let checking = Checking { body, promised, md5, hasher, behind, got: 0, size };
    stream::unfold(Some(checking), async |checking| {
        let mut checking = checking?;
        match checking.body.next().await {
            Some(Ok(piece)) => {
                checking.hasher.update(&piece);
                if let Some((_, md5)) = &mut checking.md5 {
                    md5.update(&piece);
                }
                checking.got += piece.len() as u64;
                Some((Ok(piece), Some(checking)))
            }
            Some(Err(error)) => {
                let error = broken(error.as_ref(), checking.got, checking.size);
                Some((Err(error), None))
            }
            None => checking.finish().err().map(|error| (Err(error), None)),
        }
    })
    .boxed()
}

impl Checking {
    fn finish(self) -> Result<(), StoreError> {
        if let Some((promised, md5)) = self.md5
            && STANDARD.encode(md5.finalize()) != promised
        {
            return Err(StoreError::BadDigest { algorithm: "Content-MD5" });
        }
        let found = self.hasher.finalize();
        let found = [
            found.checksum_crc32,
            found.checksum_crc32c,
            found.checksum_crc64nvme,
            found.checksum_sha1,
            found.checksum_sha256,
        ];
        let behind = self.behind.as_ref().and_then(TrailingHeaders::take).unwrap_or_default();
        for ((field, promised), found) in FIELDS.iter().zip(self.promised).zip(found) {
            let promised = promised.map(|promised| {
                let late = || behind.get(*field).and_then(|value| value.to_str().ok());
                if promised.is_empty() { late().unwrap_or_default().to_owned() } else { promised }
            });
            if promised != found {
                return Err(StoreError::BadDigest { algorithm: field });
            }
        }
        Ok(())
    }
}

/// Why a body broke off. The types of s3s's streams are private; their texts tell.
fn broken(error: &(dyn std::error::Error + 'static), got: u64, size: u64) -> StoreError {
    let text = error.to_string();
    if text.contains("Sha256Mismatch") {
        return StoreError::BadDigest { algorithm: "x-amz-content-sha256" };
    }
    if text.contains("SignatureMismatch") {
        let reason = "the signature of a piece does not match".to_owned();
        return StoreError::Denied { what: "the body".to_owned(), reason };
    }
    StoreError::Truncated { got, expected: size, reason: text }
}

/// A body of the store as s3s wants it.
pub(super) fn outgoing(body: ObjectBody) -> StreamingBlob {
    StreamingBlob::from(incoming(body))
}

/// Pieces as a body of s3s, which may be shared between threads and never is.
pub(super) fn incoming<E>(
    pieces: impl Stream<Item = Result<Bytes, E>> + Send + 'static,
) -> s3s::Body
where
    E: Send + 'static,
    StdError: From<E>,
{
    let frames = pieces.map(|piece| piece.map(http_body::Frame::data));
    s3s::Body::http_body_unsync(http_body_util::StreamBody::new(frames))
}

#[cfg(test)]
mod tests {
    use futures::TryStreamExt;

    use super::*;

    async fn check(headers: &[(&'static str, &str)], expected: Result<(), &str>) {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, value.parse().unwrap());
        }
        let pieces = stream::iter(["hel", "lo"].map(|piece| Ok::<_, StdError>(piece.into())));
        let body = StreamingBlob::from(incoming(pieces));
        let outcome: Result<Vec<Bytes>, _> = checked(Some(body), &map, None, 5).try_collect().await;
        match (outcome, expected) {
            (Ok(pieces), Ok(())) => assert_eq!(pieces.concat(), b"hello"),
            (Err(StoreError::BadDigest { algorithm }), Err(expected)) => {
                assert_eq!(algorithm, expected);
            }
            (outcome, expected) => panic!("{headers:?}: {outcome:?}, not {expected:?}"),
        }
    }

    #[tokio::test]
    async fn promises_are_kept() {
        check(&[], Ok(())).await;
        check(&[("content-md5", "XUFAKrxLKna5cZ2REBfFkg==")], Ok(())).await;
        check(&[("content-md5", "AAFAKrxLKna5cZ2REBfFkg==")], Err("Content-MD5")).await;
        check(&[("content-md5", "nonsense")], Err("Content-MD5")).await;
        check(&[("x-amz-checksum-crc32", "NhCmhg==")], Ok(())).await;
        check(&[("x-amz-checksum-crc32", "NhCmhQ==")], Err("x-amz-checksum-crc32")).await;
        check(&[("x-amz-checksum-sha1", "qvTGHdzF6KLavt4PO0gs2a6pQ00=")], Ok(())).await;
        check(&[("x-amz-checksum-sha256", "")], Err("x-amz-checksum-sha256")).await;
        check(&[("x-amz-trailer", "x-amz-checksum-crc32c")], Err("x-amz-checksum-crc32c")).await;
    }
}
