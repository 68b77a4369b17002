//! Pages: of objects in both versions of the protocol, of parts, of uploads.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use s3s::{S3Result, dto, s3_error};
use weir_origin_store::{ListPage, MultipartStore};

use super::{long, stamp, tag};
use crate::serve::answer::refuse;

/// Entries of one page, as S3 has it.
const MAX_PAGE: i32 = 1000;

/// How many entries are asked for.
fn limit(asked: Option<i32>) -> S3Result<i32> {
    match asked.unwrap_or(MAX_PAGE) {
        asked @ 0.. => Ok(asked.min(MAX_PAGE)),
        _ => Err(s3_error!(InvalidArgument, "a page has no fewer than 0 entries")),
    }
}

fn count(limit: i32) -> usize {
    usize::try_from(limit).expect("limits are checked to be 0 or more")
}

/// Names as the client wants them: XML cannot hold every character of a key, so clients ask
/// for percent-encoding.
#[derive(Clone, Copy)]
struct Names {
    encode: bool,
}

impl Names {
    fn asked(encoding: Option<&dto::EncodingType>) -> S3Result<Self> {
        match encoding.map(dto::EncodingType::as_str) {
            None => Ok(Self { encode: false }),
            Some(dto::EncodingType::URL) => Ok(Self { encode: true }),
            Some(_) => Err(s3_error!(InvalidArgument, "encoding-type can only be url")),
        }
    }

    fn of(self, name: String) -> String {
        if self.encode { encoded(&name) } else { name }
    }

    fn contents(self, page: &mut ListPage) -> Vec<dto::Object> {
        let objects = std::mem::take(&mut page.objects).into_iter();
        objects
            .map(|object| dto::Object {
                key: Some(self.of(object.key)),
                size: long(object.size),
                e_tag: Some(tag(object.etag)),
                last_modified: Some(stamp(object.modified)),
                storage_class: Some(dto::ObjectStorageClass::STANDARD.to_owned().into()),
                ..Default::default()
            })
            .collect()
    }

    fn prefixes(self, page: &mut ListPage) -> Vec<dto::CommonPrefix> {
        let prefixes = std::mem::take(&mut page.prefixes).into_iter();
        prefixes.map(|prefix| dto::CommonPrefix { prefix: Some(self.of(prefix)) }).collect()
    }
}

/// A key as a URL's path has it.
pub(super) fn encoded(key: &str) -> String {
    let mut text = String::with_capacity(key.len());
    for byte in key.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~/".contains(&byte) {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}

/// ListObjects, the first version.
pub(super) async fn first(
    store: &dyn MultipartStore,
    input: dto::ListObjectsInput,
) -> S3Result<dto::ListObjectsOutput> {
    let names = Names::asked(input.encoding_type.as_ref())?;
    let limit = limit(input.max_keys)?;
    let prefix = input.prefix.as_deref().unwrap_or_default();
    let (delimiter, after) = (input.delimiter.as_deref(), input.marker.as_deref());
    let page = store.list(&input.bucket, prefix, delimiter, after, count(limit)).await;
    let mut page = page.map_err(refuse)?;
    Ok(dto::ListObjectsOutput {
        contents: Some(names.contents(&mut page)),
        common_prefixes: Some(names.prefixes(&mut page)),
        is_truncated: Some(page.next.is_some()),
        next_marker: page.next.map(|next| names.of(next)),
        name: Some(input.bucket),
        prefix: Some(names.of(input.prefix.unwrap_or_default())),
        marker: Some(names.of(input.marker.unwrap_or_default())),
        delimiter: input.delimiter.map(|delimiter| names.of(delimiter)),
        max_keys: Some(limit),
        encoding_type: input.encoding_type,
        ..Default::default()
    })
}

/// ListObjectsV2. A token is the place where the next page starts, wrapped up.
pub(super) async fn second(
    store: &dyn MultipartStore,
    input: dto::ListObjectsV2Input,
) -> S3Result<dto::ListObjectsV2Output> {
    let names = Names::asked(input.encoding_type.as_ref())?;
    let limit = limit(input.max_keys)?;
    let prefix = input.prefix.as_deref().unwrap_or_default();
    let from_token = match &input.continuation_token {
        None => None,
        Some(token) => {
            let place = URL_SAFE_NO_PAD.decode(token).ok().and_then(|b| String::from_utf8(b).ok());
            let wrong = || s3_error!(InvalidArgument, "the continuation token is none of ours");
            Some(place.ok_or_else(wrong)?)
        }
    };
    let after = from_token.as_deref().or(input.start_after.as_deref());
    let delimiter = input.delimiter.as_deref();
    let page = store.list(&input.bucket, prefix, delimiter, after, count(limit)).await;
    let mut page = page.map_err(refuse)?;
    let entries = page.objects.len() + page.prefixes.len();
    Ok(dto::ListObjectsV2Output {
        contents: Some(names.contents(&mut page)),
        common_prefixes: Some(names.prefixes(&mut page)),
        is_truncated: Some(page.next.is_some()),
        next_continuation_token: page.next.map(|next| URL_SAFE_NO_PAD.encode(next)),
        key_count: i32::try_from(entries).ok(),
        name: Some(input.bucket),
        prefix: Some(names.of(input.prefix.unwrap_or_default())),
        delimiter: input.delimiter.map(|delimiter| names.of(delimiter)),
        start_after: input.start_after.map(|after| names.of(after)),
        continuation_token: input.continuation_token,
        max_keys: Some(limit),
        encoding_type: input.encoding_type,
        ..Default::default()
    })
}

/// ListParts.
pub(super) async fn parts(
    store: &dyn MultipartStore,
    input: dto::ListPartsInput,
) -> S3Result<dto::ListPartsOutput> {
    let limit = limit(input.max_parts)?;
    let after = u32::try_from(input.part_number_marker.unwrap_or(0)).unwrap_or(0);
    let (bucket, key, id) = (&input.bucket, &input.key, &input.upload_id);
    // One more than asked for tells whether there are more.
    let found = store.parts(bucket, key, id, after, count(limit) + 1).await.map_err(refuse)?;
    let more = found.len() > count(limit);
    let mut found = found;
    found.truncate(count(limit));
    let last = found.last().and_then(|part| i32::try_from(part.number).ok());
    let parts = found.into_iter().map(|part| dto::Part {
        part_number: i32::try_from(part.number).ok(),
        size: long(part.size),
        e_tag: Some(tag(part.etag)),
        last_modified: Some(stamp(part.modified)),
        ..Default::default()
    });
    Ok(dto::ListPartsOutput {
        parts: Some(parts.collect()),
        is_truncated: Some(more),
        next_part_number_marker: last.filter(|_| more),
        part_number_marker: input.part_number_marker,
        max_parts: Some(limit),
        bucket: Some(input.bucket),
        key: Some(input.key),
        upload_id: Some(input.upload_id),
        ..Default::default()
    })
}

/// ListMultipartUploads, with its prefix and markers; it folds nothing.
pub(super) async fn uploads(
    store: &dyn MultipartStore,
    input: dto::ListMultipartUploadsInput,
) -> S3Result<dto::ListMultipartUploadsOutput> {
    let names = Names::asked(input.encoding_type.as_ref())?;
    let limit = limit(input.max_uploads)?;
    if input.delimiter.as_ref().is_some_and(|delimiter| !delimiter.is_empty()) {
        return Err(s3_error!(NotImplemented, "a delimiter in a list of uploads"));
    }
    let prefix = input.prefix.as_deref().unwrap_or_default();
    let key_marker = input.key_marker.as_deref().unwrap_or_default();
    let id_marker = input.upload_id_marker.as_deref().unwrap_or_default();
    let found = store.uploads(&input.bucket).await.map_err(refuse)?;
    let mut found: Vec<_> = found
        .into_iter()
        .filter(|upload| upload.key.starts_with(prefix))
        // Without the second marker all uploads of the marked key are passed over.
        .filter(|upload| match id_marker {
            "" => key_marker.is_empty() || upload.key.as_str() > key_marker,
            id => (upload.key.as_str(), upload.id.as_str()) > (key_marker, id),
        })
        .collect();
    let more = found.len() > count(limit);
    found.truncate(count(limit));
    let last = found.last().filter(|_| more).cloned();
    let uploads = found.into_iter().map(|upload| dto::MultipartUpload {
        key: Some(names.of(upload.key)),
        upload_id: Some(upload.id),
        initiated: Some(stamp(upload.begun)),
        ..Default::default()
    });
    Ok(dto::ListMultipartUploadsOutput {
        uploads: Some(uploads.collect()),
        is_truncated: Some(more),
        next_key_marker: last.as_ref().map(|last| names.of(last.key.clone())),
        next_upload_id_marker: last.map(|last| last.id),
        key_marker: input.key_marker.map(|marker| names.of(marker)),
        upload_id_marker: input.upload_id_marker,
        prefix: Some(names.of(input.prefix.unwrap_or_default())),
        max_uploads: Some(limit),
        bucket: Some(input.bucket),
        encoding_type: input.encoding_type,
        ..Default::default()
    })
}
