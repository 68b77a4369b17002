//! Metadata of objects as a large library of films has it, for tables of any size.

use std::time::{Duration, UNIX_EPOCH};

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use weir_edge_cache::{Fields, ObjectId, StoredObject};

/// Segments of one rendition: objects that share a folder.
const IN_FOLDER: u64 = 900;

/// The key of the object of that number.
pub fn key(number: u64) -> String {
    let (folder, segment) = (number / IN_FOLDER, number % IN_FOLDER);
    let title = (folder as u32).wrapping_mul(0x9e37_79b9);
    format!(
        "vod|media.example.net|/vod/title-{title:08x}/2f9c41d07be3/video-1080p/seg-{segment:05}.m4s"
    )
}

/// A segment as an S3 origin gives it.
pub fn object(number: u64, generation: u64) -> StoredObject {
    let key = key(number);
    let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let size = 400_000 + mixed % 600_000;
    // A rendition is written within seconds.
    let seconds = 1_790_000_000 + number / IN_FOLDER * 60 + number % 17;
    let date = UNIX_EPOCH + Duration::from_secs(seconds);
    let fields = [
        ("etag", format!("\"{mixed:016x}{:016x}\"", mixed.rotate_left(32))),
        ("last-modified", httpdate::fmt_http_date(date)),
        ("content-type", "video/mp4".to_owned()),
        ("content-length", size.to_string()),
        ("cache-control", "public, max-age=31536000, immutable".to_owned()),
        ("accept-ranges", "bytes".to_owned()),
        ("server", "AmazonS3".to_owned()),
    ];
    let headers: HeaderMap = fields
        .into_iter()
        .map(|(name, value)| {
            let value = HeaderValue::try_from(value).expect("written here, and plain");
            (HeaderName::from_static(name), value)
        })
        .collect();
    let request_millis = 1_795_000_000_000 + number * 7;
    StoredObject {
        id: ObjectId::of(&key),
        key: key.into(),
        generation,
        service: "vod".into(),
        status: StatusCode::OK,
        fields: Fields::encode(&headers),
        size,
        request_millis,
        response_millis: request_millis + mixed % 90,
        initial_age_millis: mixed % 90,
        lifetime_millis: 31_536_000_000,
        flags: 0,
        tags: Box::default(),
        epoch: 0,
    }
}
