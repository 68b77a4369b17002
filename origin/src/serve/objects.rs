//! The S3 operations over the store's port. What S3 asks becomes the port's words here, and
//! the port's answers become S3's; rules and disks are the store's.

mod fields;
mod listing;

use std::{sync::Arc, time::SystemTime};

use http::{HeaderMap, Method};
use s3s::{
    S3, S3Error, S3Request, S3Response, S3Result,
    dto::{self, CopySource, ETagCondition as Condition, Timestamp},
    s3_error,
};
use weir_origin_store::{
    Conditions, ETag, ETagCondition, MultipartStore, ObjectMeta, PutOptions, RangeSpec, StoreError,
};

use self::fields::{put_options, strong};
use super::{
    answer::refuse,
    digest::{checked, outgoing},
    grants::Grants,
    operation::Need,
};

/// Largest object of one PUT and largest part, as S3 has it.
const MAX_PUT_BYTES: u64 = 5 << 30;
/// Keys of one request that deletes many, as S3 has it.
const MAX_DELETES: usize = 1000;

/// S3 over a store.
pub(super) struct Objects {
    pub(super) store: Arc<dyn MultipartStore>,
    pub(super) grants: Arc<Grants>,
    pub(super) region: String,
}

fn ok<T>(output: T) -> S3Result<S3Response<T>> {
    Ok(S3Response::new(output))
}

/// The conditions of a read: from the fields themselves, because s3s reads one tag where
/// RFC 9110 §13.1 allows a list. A date that is none is no condition (§13.1.3).
fn conditions(headers: &HeaderMap, prefix: &str) -> Conditions {
    let text = |name: &str| headers.get(format!("{prefix}{name}"))?.to_str().ok();
    let time = |name: &str| httpdate::parse_http_date(text(name)?).ok();
    Conditions {
        if_match: text("if-match").map(|value| ETagCondition::parse(value, true)),
        if_none_match: text("if-none-match").map(|value| ETagCondition::parse(value, false)),
        if_modified_since: time("if-modified-since"),
        if_unmodified_since: time("if-unmodified-since"),
    }
}

/// The conditions of a write.
fn write_conditions(
    options: &mut PutOptions,
    if_match: Option<&Condition>,
    if_none_match: Option<&Condition>,
) -> S3Result<()> {
    options.if_match = match if_match {
        None => None,
        Some(Condition::ETag(dto::ETag::Strong(tag))) => Some(ETag(tag.clone())),
        Some(_) => {
            return Err(s3_error!(NotImplemented, "If-Match of a write takes one strong tag"));
        }
    };
    options.if_none_match_any = match if_none_match {
        None => false,
        Some(Condition::Any) => true,
        Some(_) => return Err(s3_error!(NotImplemented, "If-None-Match of a write takes *")),
    };
    Ok(())
}

/// How many bytes a body that is to be stored has.
fn declared(length: Option<i64>) -> S3Result<u64> {
    let length =
        length.ok_or_else(|| s3_error!(MissingContentLength, "Content-Length is needed"))?;
    match u64::try_from(length) {
        Ok(length) if length <= MAX_PUT_BYTES => Ok(length),
        _ => Err(s3_error!(EntityTooLarge, "one PUT takes at most 5 GiB; upload in parts")),
    }
}

fn range(range: dto::Range) -> RangeSpec {
    match range {
        dto::Range::Int { first, last: Some(last) } => RangeSpec::Closed { first, last },
        dto::Range::Int { first, last: None } => RangeSpec::From { first },
        dto::Range::Suffix { length } => RangeSpec::Suffix { length },
    }
}

/// Versions and single parts of finished objects are not kept.
fn whole(version: Option<&str>, part: Option<i32>) -> S3Result<()> {
    if version.is_some_and(|version| version != "null") {
        return Err(s3_error!(NoSuchVersion, "this store keeps one version of each object"));
    }
    if part.is_some() {
        return Err(s3_error!(NotImplemented, "partNumber of a finished object"));
    }
    Ok(())
}

fn part_number(number: i32) -> S3Result<u32> {
    u32::try_from(number).map_err(|_| s3_error!(InvalidArgument, "a part's number is positive"))
}

fn long(value: u64) -> Option<i64> {
    i64::try_from(value).ok()
}

fn tag(etag: ETag) -> dto::ETag {
    dto::ETag::Strong(etag.0)
}

fn stamp(time: SystemTime) -> Timestamp {
    Timestamp::from(time)
}

impl Objects {
    /// Opens what a copy reads, if whoever asks may read it.
    async fn source(
        &self,
        source: &CopySource,
        key_id: Option<&str>,
        headers: &HeaderMap,
    ) -> S3Result<weir_origin_store::Object> {
        let CopySource::Bucket { bucket, key, version_id } = source else {
            return Err(s3_error!(NotImplemented, "only BUCKET/KEY can be copied"));
        };
        whole(version_id.as_deref(), None)?;
        if !self.grants.allow(key_id, Need::Fetch, bucket) {
            return Err(s3_error!(AccessDenied, "this access key may not read {bucket}"));
        }
        let conditions = conditions(headers, "x-amz-copy-source-");
        let found = self.store.get(bucket, key, None, conditions).await;
        found.map_err(|error| match error {
            // A copy that is not wanted is a failed condition: there is nothing to show.
            StoreError::NotModified { key, .. } => refuse(StoreError::PreconditionFailed { key }),
            error => refuse(error),
        })
    }

    fn check_bucket(&self, bucket: &str) -> S3Result<()> {
        if self.store.buckets().iter().any(|known| known == bucket) {
            return Ok(());
        }
        Err(refuse(StoreError::NoBucket(bucket.to_owned())))
    }
}

#[async_trait::async_trait]
impl S3 for Objects {
    async fn get_object(
        &self,
        request: S3Request<dto::GetObjectInput>,
    ) -> S3Result<S3Response<dto::GetObjectOutput>> {
        let input = request.input;
        whole(input.version_id.as_deref(), input.part_number)?;
        let conditions = conditions(&request.headers, "");
        // RFC 9110 §14.2: a range is for GET.
        let asked = input.range.filter(|_| request.method == Method::GET).map(range);
        let object = self.store.get(&input.bucket, &input.key, asked, conditions).await;
        let object = object.map_err(refuse)?;
        let ObjectMeta { size, etag, modified, content_type, cache_control, fields, .. } =
            object.meta;
        let described = fields::Described::from(fields);
        let part = object.range;
        ok(dto::GetObjectOutput {
            accept_ranges: Some("bytes".to_owned()),
            content_range: asked
                .map(|_| format!("bytes {}-{}/{size}", part.start, part.end.saturating_sub(1))),
            content_length: long(part.end - part.start),
            body: Some(outgoing(object.body)),
            e_tag: Some(tag(etag)),
            last_modified: Some(stamp(modified)),
            content_type,
            cache_control,
            content_disposition: described.disposition,
            content_encoding: described.encoding,
            content_language: described.language,
            expires: described.expires,
            metadata: described.metadata,
            ..Default::default()
        })
    }

    async fn head_object(
        &self,
        request: S3Request<dto::HeadObjectInput>,
    ) -> S3Result<S3Response<dto::HeadObjectOutput>> {
        let input = request.input;
        whole(input.version_id.as_deref(), input.part_number)?;
        let conditions = conditions(&request.headers, "");
        let meta = self.store.head(&input.bucket, &input.key, conditions).await.map_err(refuse)?;
        let described = fields::Described::from(meta.fields);
        ok(dto::HeadObjectOutput {
            accept_ranges: Some("bytes".to_owned()),
            content_length: long(meta.size),
            e_tag: Some(tag(meta.etag)),
            last_modified: Some(stamp(meta.modified)),
            content_type: meta.content_type,
            cache_control: meta.cache_control,
            content_disposition: described.disposition,
            content_encoding: described.encoding,
            content_language: described.language,
            expires: described.expires,
            metadata: described.metadata,
            ..Default::default()
        })
    }

    async fn put_object(
        &self,
        request: S3Request<dto::PutObjectInput>,
    ) -> S3Result<S3Response<dto::PutObjectOutput>> {
        let mut options = put_options(&request.headers);
        let input = request.input;
        write_conditions(&mut options, input.if_match.as_ref(), input.if_none_match.as_ref())?;
        let size = declared(input.content_length)?;
        let body = checked(input.body, &request.headers, request.trailing_headers, size);
        let written = self.store.put(&input.bucket, &input.key, size, body, options).await;
        let written = written.map_err(refuse)?;
        ok(dto::PutObjectOutput { e_tag: Some(tag(written.etag)), ..Default::default() })
    }

    async fn copy_object(
        &self,
        request: S3Request<dto::CopyObjectInput>,
    ) -> S3Result<S3Response<dto::CopyObjectOutput>> {
        let key_id = request.credentials.as_ref().map(|found| found.access_key.as_str());
        let input = request.input;
        let replace = match input.metadata_directive.as_ref().map(dto::MetadataDirective::as_str) {
            None | Some(dto::MetadataDirective::COPY) => false,
            Some(dto::MetadataDirective::REPLACE) => true,
            Some(_) => return Err(s3_error!(InvalidArgument, "x-amz-metadata-directive")),
        };
        if let CopySource::Bucket { bucket, key, .. } = &input.copy_source
            && (&**bucket, &**key) == (&input.bucket[..], &input.key[..])
            && !replace
        {
            return Err(s3_error!(InvalidRequest, "a copy onto itself must replace the metadata"));
        }
        let source = self.source(&input.copy_source, key_id, &request.headers).await?;
        let options = if replace {
            put_options(&request.headers)
        } else {
            let ObjectMeta { content_type, cache_control, fields, .. } = source.meta;
            PutOptions { content_type, cache_control, fields, ..PutOptions::default() }
        };
        let size = source.meta.size;
        let copied = self.store.put(&input.bucket, &input.key, size, source.body, options).await;
        let copied = copied.map_err(refuse)?;
        let result = dto::CopyObjectResult {
            e_tag: Some(tag(copied.etag)),
            last_modified: Some(stamp(copied.modified)),
            ..Default::default()
        };
        ok(dto::CopyObjectOutput { copy_object_result: Some(result), ..Default::default() })
    }

    async fn delete_object(
        &self,
        request: S3Request<dto::DeleteObjectInput>,
    ) -> S3Result<S3Response<dto::DeleteObjectOutput>> {
        let input = request.input;
        whole(input.version_id.as_deref(), None)?;
        if input.if_match.is_some() {
            return Err(s3_error!(NotImplemented, "If-Match of a delete"));
        }
        self.store.delete(&input.bucket, &input.key).await.map_err(refuse)?;
        ok(dto::DeleteObjectOutput::default())
    }

    async fn delete_objects(
        &self,
        request: S3Request<dto::DeleteObjectsInput>,
    ) -> S3Result<S3Response<dto::DeleteObjectsOutput>> {
        let input = request.input;
        self.check_bucket(&input.bucket)?;
        let dto::Delete { objects, quiet } = input.delete;
        if objects.is_empty() || objects.len() > MAX_DELETES {
            return Err(s3_error!(MalformedXML, "1 to 1000 objects can be deleted at once"));
        }
        let (mut deleted, mut errors) = (Vec::new(), Vec::new());
        for object in objects {
            let outcome = match whole(object.version_id.as_deref(), None) {
                Ok(()) => self.store.delete(&input.bucket, &object.key).await.map_err(refuse),
                Err(error) => Err(error),
            };
            match outcome {
                Ok(()) => {
                    deleted
                        .push(dto::DeletedObject { key: Some(object.key), ..Default::default() });
                }
                Err(error) => errors.push(dto::Error {
                    code: Some(error.code().as_str().to_owned()),
                    message: error.message().map(str::to_owned),
                    key: Some(object.key),
                    version_id: object.version_id,
                }),
            }
        }
        ok(dto::DeleteObjectsOutput {
            deleted: (quiet != Some(true)).then_some(deleted),
            errors: (!errors.is_empty()).then_some(errors),
            ..Default::default()
        })
    }

    async fn list_objects(
        &self,
        request: S3Request<dto::ListObjectsInput>,
    ) -> S3Result<S3Response<dto::ListObjectsOutput>> {
        ok(listing::first(&*self.store, request.input).await?)
    }

    async fn list_objects_v2(
        &self,
        request: S3Request<dto::ListObjectsV2Input>,
    ) -> S3Result<S3Response<dto::ListObjectsV2Output>> {
        ok(listing::second(&*self.store, request.input).await?)
    }

    async fn list_buckets(
        &self,
        request: S3Request<dto::ListBucketsInput>,
    ) -> S3Result<S3Response<dto::ListBucketsOutput>> {
        let key_id = request.credentials.as_ref().map(|found| found.access_key.as_str());
        let mine = self.store.buckets().into_iter();
        let mine = mine.filter(|bucket| self.grants.allow(key_id, Need::Read, bucket));
        let buckets =
            mine.map(|name| dto::Bucket { name: Some(name), ..Default::default() }).collect();
        ok(dto::ListBucketsOutput { buckets: Some(buckets), ..Default::default() })
    }

    async fn head_bucket(
        &self,
        request: S3Request<dto::HeadBucketInput>,
    ) -> S3Result<S3Response<dto::HeadBucketOutput>> {
        self.check_bucket(&request.input.bucket)?;
        let bucket_region = Some(self.region.clone());
        ok(dto::HeadBucketOutput { bucket_region, ..Default::default() })
    }

    async fn get_bucket_location(
        &self,
        request: S3Request<dto::GetBucketLocationInput>,
    ) -> S3Result<S3Response<dto::GetBucketLocationOutput>> {
        self.check_bucket(&request.input.bucket)?;
        // S3 names its first region by saying nothing.
        let named = (self.region != "us-east-1").then(|| self.region.clone().into());
        ok(dto::GetBucketLocationOutput { location_constraint: named })
    }

    async fn create_multipart_upload(
        &self,
        request: S3Request<dto::CreateMultipartUploadInput>,
    ) -> S3Result<S3Response<dto::CreateMultipartUploadOutput>> {
        let options = put_options(&request.headers);
        let input = request.input;
        let begun = self.store.begin_upload(&input.bucket, &input.key, options).await;
        let upload_id = begun.map_err(|error| match error {
            StoreError::TooMuch { .. } => s3_error!(InvalidRequest, "{error}"),
            error => refuse(error),
        })?;
        ok(dto::CreateMultipartUploadOutput {
            bucket: Some(input.bucket),
            key: Some(input.key),
            upload_id: Some(upload_id),
            ..Default::default()
        })
    }

    async fn upload_part(
        &self,
        request: S3Request<dto::UploadPartInput>,
    ) -> S3Result<S3Response<dto::UploadPartOutput>> {
        let input = request.input;
        let size = declared(input.content_length)?;
        let number = part_number(input.part_number)?;
        let body = checked(input.body, &request.headers, request.trailing_headers, size);
        let (bucket, key, id) = (&input.bucket, &input.key, &input.upload_id);
        let part = self.store.put_part(bucket, key, id, number, size, body).await;
        let part = part.map_err(|error| match error {
            StoreError::BadPart { .. } => s3_error!(InvalidArgument, "{error}"),
            error => refuse(error),
        })?;
        ok(dto::UploadPartOutput { e_tag: Some(tag(part.etag)), ..Default::default() })
    }

    async fn list_parts(
        &self,
        request: S3Request<dto::ListPartsInput>,
    ) -> S3Result<S3Response<dto::ListPartsOutput>> {
        ok(listing::parts(&*self.store, request.input).await?)
    }

    async fn list_multipart_uploads(
        &self,
        request: S3Request<dto::ListMultipartUploadsInput>,
    ) -> S3Result<S3Response<dto::ListMultipartUploadsOutput>> {
        ok(listing::uploads(&*self.store, request.input).await?)
    }

    async fn complete_multipart_upload(
        &self,
        request: S3Request<dto::CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<dto::CompleteMultipartUploadOutput>> {
        let input = request.input;
        let mut options = PutOptions::default();
        write_conditions(&mut options, input.if_match.as_ref(), input.if_none_match.as_ref())?;
        let named = input.multipart_upload.and_then(|named| named.parts).unwrap_or_default();
        let parts = named.into_iter().map(|part| {
            let number = part.part_number.ok_or_else(|| missing("PartNumber"))?;
            let etag = part.e_tag.ok_or_else(|| missing("ETag"))?;
            Ok((part_number(number)?, strong(&etag)))
        });
        let parts = parts.collect::<S3Result<Vec<_>>>()?;
        let (bucket, key, id) = (&input.bucket, &input.key, &input.upload_id);
        let done = self.store.complete_upload(bucket, key, id, parts, options).await;
        let done = done.map_err(refuse)?;
        ok(dto::CompleteMultipartUploadOutput {
            location: Some(format!("/{bucket}/{}", listing::encoded(key))),
            e_tag: Some(tag(done.etag)),
            bucket: Some(input.bucket),
            key: Some(input.key),
            ..Default::default()
        })
    }

    async fn abort_multipart_upload(
        &self,
        request: S3Request<dto::AbortMultipartUploadInput>,
    ) -> S3Result<S3Response<dto::AbortMultipartUploadOutput>> {
        let input = request.input;
        let (bucket, key, id) = (&input.bucket, &input.key, &input.upload_id);
        self.store.abort_upload(bucket, key, id).await.map_err(refuse)?;
        ok(dto::AbortMultipartUploadOutput::default())
    }
}

fn missing(what: &str) -> S3Error {
    s3_error!(MalformedXML, "a part lacks its {what}")
}
