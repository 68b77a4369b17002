//! The fields of an object: from a request into the store, and back into an answer.

use http::HeaderMap;
use s3s::dto::{self, Timestamp, TimestampFormat};
use weir_origin_store::{ETag, PutOptions};

const USER: &str = "x-amz-meta-";
/// Kept beside the type and the caching rule, under their own names.
const KEPT: [&str; 4] = ["content-encoding", "content-disposition", "content-language", "expires"];

/// What a request says of the object it writes. Values that are no text are left out.
pub(super) fn put_options(headers: &HeaderMap) -> PutOptions {
    let text = |name: &str| Some(headers.get(name)?.to_str().ok()?.to_owned());
    let mut fields = Vec::new();
    for name in KEPT {
        let value = match text(name) {
            // The framing of the upload, which s3s took off.
            Some(value) if name == "content-encoding" => value
                .split(',')
                .map(str::trim)
                .filter(|coding| !coding.eq_ignore_ascii_case("aws-chunked") && !coding.is_empty())
                .collect::<Vec<_>>()
                .join(", "),
            Some(value) => value,
            None => continue,
        };
        if !value.is_empty() {
            fields.push((name.to_owned(), value));
        }
    }
    for (name, value) in headers {
        if name.as_str().starts_with(USER)
            && let Ok(value) = std::str::from_utf8(value.as_bytes())
        {
            fields.push((name.as_str().to_owned(), value.to_owned()));
        }
    }
    PutOptions {
        content_type: text("content-type"),
        cache_control: text("cache-control"),
        fields,
        ..PutOptions::default()
    }
}

/// Stored fields as an answer of s3s has them.
#[derive(Default)]
pub(super) struct Described {
    pub(super) disposition: Option<String>,
    pub(super) encoding: Option<String>,
    pub(super) language: Option<String>,
    pub(super) expires: Option<Timestamp>,
    pub(super) metadata: Option<dto::Metadata>,
}

impl From<Vec<(String, String)>> for Described {
    fn from(fields: Vec<(String, String)>) -> Self {
        let mut described = Self::default();
        for (name, value) in fields {
            match name.as_str() {
                "content-encoding" => described.encoding = Some(value),
                "content-disposition" => described.disposition = Some(value),
                "content-language" => described.language = Some(value),
                "expires" => {
                    described.expires = Timestamp::parse(TimestampFormat::HttpDate, &value).ok();
                }
                name => {
                    if let Some(name) = name.strip_prefix(USER) {
                        let metadata = described.metadata.get_or_insert_default();
                        metadata.insert(name.to_owned(), value);
                    }
                }
            }
        }
        described
    }
}

/// The tag of a part as a completion names it, quoted or not.
pub(super) fn strong(etag: &dto::ETag) -> ETag {
    ETag(etag.value().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_survive_the_way_through_the_store() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("content-type", "video/mp4"),
            ("cache-control", "no-store"),
            ("content-encoding", "aws-chunked, gzip"),
            ("content-language", "en"),
            ("expires", "Fri, 20 Nov 2026 09:45:01 GMT"),
            ("x-amz-meta-title", "x"),
            ("x-amz-date", "20261120T094501Z"),
            ("authorization", "secret"),
        ] {
            headers.insert(name, value.parse().unwrap());
        }
        let options = put_options(&headers);
        assert_eq!(options.content_type.as_deref(), Some("video/mp4"));
        assert_eq!(options.cache_control.as_deref(), Some("no-store"));
        let names: Vec<_> = options.fields.iter().map(|(name, _)| &name[..]).collect();
        assert_eq!(names, ["content-encoding", "content-language", "expires", "x-amz-meta-title"]);
        let described = Described::from(options.fields);
        assert_eq!(described.encoding.as_deref(), Some("gzip"));
        assert!(described.expires.is_some());
        assert_eq!(described.metadata.unwrap()["title"], "x");
        headers.insert("content-encoding", "aws-chunked".parse().unwrap());
        assert!(put_options(&headers).fields.iter().all(|(name, _)| name != "content-encoding"));
    }
}
