//! Objects of the shape that a media cache mostly holds.

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use crate::{chunk::ObjectId, fields::Fields, object::StoredObject};

/// Segment `number` of some rendition: a key of about 80 characters in a folder of 900, and
/// the fields an S3 origin sends.
pub(crate) fn media(number: u64) -> StoredObject {
    let (folder, segment) = (number / 900, number % 900);
    let key = format!(
        "vod|media.example.net|/vod/title-{:08x}/2f9c41d07be3/video-1080p/seg-{segment:05}.m4s",
        folder.wrapping_mul(0x9e37_79b9) as u32,
    );
    let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let size = 400_000 + mixed % 600_000;
    let seconds = 1_790_000_000 + folder * 60;
    let date = std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
    let fields = [
        ("content-type", "video/mp4".to_owned()),
        ("content-length", size.to_string()),
        ("etag", format!("\"{mixed:016x}{:016x}\"", mixed.rotate_left(32))),
        ("last-modified", httpdate::fmt_http_date(date)),
        ("cache-control", "public, max-age=31536000, immutable".to_owned()),
        ("accept-ranges", "bytes".to_owned()),
        ("server", "weir-origin".to_owned()),
    ];
    let headers: HeaderMap = fields
        .into_iter()
        .map(|(name, value)| {
            (HeaderName::from_static(name), HeaderValue::try_from(value).expect("a field"))
        })
        .collect();
    let request_millis = 1_795_000_000_000 + number * 7;
    StoredObject {
        id: ObjectId::of(&key),
        key: key.into(),
        generation: 1_795_000_000_000_000_000 + number,
        service: "vod".into(),
        status: StatusCode::OK,
        fields: Fields::encode(&headers),
        size,
        request_millis,
        response_millis: request_millis + mixed % 90,
        initial_age_millis: mixed % 90,
        lifetime_millis: 31_536_000_000,
        flags: 5,
        tags: Box::default(),
        epoch: 12,
    }
}
