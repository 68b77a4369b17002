//! The port on the SDK's operations.

use std::{fmt, time::SystemTime};

use aws_sdk_s3::{
    Client as Sdk,
    primitives::{DateTime, DateTimeFormat},
};
use futures::future::BoxFuture;
use weir_edge_http::client::Client;
use weir_origin_store::{
    Conditions, ListPage, Object, ObjectBody, ObjectMeta, ObjectStore, PutOptions, RangeSpec,
    StoreError,
    rules::{check_bucket, check_key},
};

use crate::{
    S3Config, S3ConfigError, body,
    failure::{Asked, UNKNOWN, of_operation},
    translate::{
        META, Sent, extent, meta_of_get, meta_of_head, moment, passed, quoted, range_field, size,
        tag, verify,
    },
    wire::Wire,
};

/// Objects on an S3 server.
#[derive(Clone)]
pub struct S3Store {
    sdk: Sdk,
    /// For messages.
    place: String,
}

impl fmt::Debug for S3Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Store").field("place", &self.place).finish_non_exhaustive()
    }
}

impl S3Store {
    /// An adapter over `client`'s connections. Asks nobody yet.
    ///
    /// # Errors
    /// When the endpoint is no address, or credentials are to come from an environment that
    /// has none.
    pub fn new(config: &S3Config, client: Client) -> Result<Self, S3ConfigError> {
        let wire = Wire::new(client, config.deadlines);
        let sdk = Sdk::from_conf(config.sdk(wire)?);
        let place = config.endpoint.clone().unwrap_or_else(|| format!("AWS {}", config.region));
        Ok(Self { sdk, place })
    }

    pub(crate) fn sdk(&self) -> &Sdk {
        &self.sdk
    }

    async fn read(
        &self,
        asked: Asked<'_>,
        range: Option<RangeSpec>,
        conditions: Conditions,
    ) -> Result<Object, StoreError> {
        let Asked { bucket, key } = asked;
        check(asked)?;
        let sent = Sent::from(&conditions);
        let output = self
            .sdk
            .get_object()
            .bucket(bucket)
            .key(key)
            .set_range(range.map(range_field))
            .set_if_match(sent.if_match)
            .set_if_none_match(sent.if_none_match)
            .set_if_modified_since(sent.if_modified_since)
            .set_if_unmodified_since(sent.if_unmodified_since)
            .send()
            .await;
        let output = match output {
            Ok(output) => output,
            Err(error) => return Err(self.with_size(of_operation(&error, asked), asked).await),
        };
        let held = extent(output.content_length(), output.content_range(), range)?;
        let meta = meta_of_get(&output, key, held.size);
        verify(&conditions, &meta)?;
        let length = held.range.end - held.range.start;
        Ok(Object { meta, range: held.range, body: body::down(output.body, length) })
    }

    /// Not every server says in a 416 how large the object is.
    async fn with_size(&self, error: StoreError, asked: Asked<'_>) -> StoreError {
        match error {
            StoreError::RangeNotSatisfiable { key, size: UNKNOWN } => {
                match self.stat(asked, Conditions::default()).await {
                    Ok(meta) => StoreError::RangeNotSatisfiable { key, size: meta.size },
                    Err(error) => error,
                }
            }
            error => error,
        }
    }

    async fn stat(
        &self,
        asked: Asked<'_>,
        conditions: Conditions,
    ) -> Result<ObjectMeta, StoreError> {
        let Asked { bucket, key } = asked;
        check(asked)?;
        let sent = Sent::from(&conditions);
        let output = self
            .sdk
            .head_object()
            .bucket(bucket)
            .key(key)
            .set_if_match(sent.if_match)
            .set_if_none_match(sent.if_none_match)
            .set_if_modified_since(sent.if_modified_since)
            .set_if_unmodified_since(sent.if_unmodified_since)
            .send()
            .await
            .map_err(|error| of_operation(&error, asked))?;
        let meta = meta_of_head(&output, key, size(output.content_length())?);
        verify(&conditions, &meta)?;
        Ok(meta)
    }

    async fn write(
        &self,
        asked: Asked<'_>,
        size: u64,
        body: ObjectBody,
        options: PutOptions,
    ) -> Result<ObjectMeta, StoreError> {
        let Asked { bucket, key } = asked;
        check(asked)?;
        let declared = i64::try_from(size)
            .map_err(|_| StoreError::TooMuch { what: "the object", limit: i64::MAX as u64 })?;
        let (stream, cause) = body::up(body, size).await?;
        let mut request = self
            .sdk
            .put_object()
            .bucket(bucket)
            .key(key)
            .content_length(declared)
            .body(stream)
            .set_content_type(options.content_type.clone())
            .set_cache_control(options.cache_control.clone())
            .set_if_match(options.if_match.as_ref().map(quoted))
            .set_if_none_match(options.if_none_match_any.then(|| "*".to_owned()));
        for (name, value) in &options.fields {
            request = match name.as_str() {
                "content-encoding" => request.content_encoding(value),
                "content-disposition" => request.content_disposition(value),
                "content-language" => request.content_language(value),
                // The SDK takes a time; the port keeps what was written.
                "expires" => match DateTime::from_str(value, DateTimeFormat::HttpDate) {
                    Ok(time) => request.expires(time),
                    Err(_) => request,
                },
                name => match name.strip_prefix(META) {
                    Some(name) => request.metadata(name, value),
                    None => request,
                },
            };
        }
        let output = match request.send().await {
            Ok(output) => output,
            Err(error) => {
                let error = of_operation(&error, asked);
                return Err(cause.lock().take().unwrap_or(error));
            }
        };
        let etag = tag(output.e_tag());
        // The answer to a write does not say when it happened. Should another write have come
        // between, this one was still done, at a time that nobody can tell any more.
        let modified = match self.stat(asked, Conditions::default()).await {
            Ok(meta) if meta.etag == etag => meta.modified,
            Ok(_) | Err(_) => SystemTime::UNIX_EPOCH,
        };
        Ok(ObjectMeta {
            key: key.to_owned(),
            size,
            etag,
            modified,
            content_type: options.content_type,
            cache_control: options.cache_control,
            fields: options.fields,
        })
    }

    async fn remove(&self, asked: Asked<'_>) -> Result<(), StoreError> {
        check(asked)?;
        let request = self.sdk.delete_object().bucket(asked.bucket).key(asked.key);
        match request.send().await.map_err(|error| of_operation(&error, asked)) {
            Ok(_) | Err(StoreError::NotFound { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn page(
        &self,
        bucket: &str,
        prefix: &str,
        delimiter: Option<&str>,
        start_after: Option<&str>,
        limit: usize,
    ) -> Result<ListPage, StoreError> {
        check_bucket(bucket)?;
        let asked = Asked { bucket, key: prefix };
        let output = self
            .sdk
            .list_objects_v2()
            .bucket(bucket)
            .prefix(prefix)
            .set_delimiter(delimiter.map(str::to_owned))
            .set_start_after(start_after.map(|after| passed(after, delimiter)))
            .max_keys(i32::try_from(limit.min(1000)).unwrap_or(1000))
            .send()
            .await
            .map_err(|error| of_operation(&error, asked))?;
        let prefixes: Vec<String> = output
            .common_prefixes()
            .iter()
            .filter_map(|folded| folded.prefix().map(str::to_owned))
            .collect();
        let mut objects = Vec::with_capacity(output.contents().len());
        for entry in output.contents() {
            let Some(key) = entry.key() else {
                return Err(StoreError::Untrusted("an entry of a listing has no key".into()));
            };
            objects.push(ObjectMeta {
                key: key.to_owned(),
                size: size(entry.size())?,
                etag: tag(entry.e_tag()),
                modified: moment(entry.last_modified()),
                content_type: None,
                cache_control: None,
                fields: Vec::new(),
            });
        }
        let last = objects.last().map(|object| &object.key).max(prefixes.last());
        let next = if output.is_truncated() == Some(true) { last.cloned() } else { None };
        Ok(ListPage { objects, prefixes, next })
    }
}

impl ObjectStore for S3Store {
    fn get<'a>(
        &'a self,
        bucket: &'a str,
        key: &'a str,
        range: Option<RangeSpec>,
        conditions: Conditions,
    ) -> BoxFuture<'a, Result<Object, StoreError>> {
        Box::pin(self.read(Asked { bucket, key }, range, conditions))
    }

    fn head<'a>(
        &'a self,
        bucket: &'a str,
        key: &'a str,
        conditions: Conditions,
    ) -> BoxFuture<'a, Result<ObjectMeta, StoreError>> {
        Box::pin(self.stat(Asked { bucket, key }, conditions))
    }

    fn put<'a>(
        &'a self,
        bucket: &'a str,
        key: &'a str,
        size: u64,
        body: ObjectBody,
        options: PutOptions,
    ) -> BoxFuture<'a, Result<ObjectMeta, StoreError>> {
        Box::pin(self.write(Asked { bucket, key }, size, body, options))
    }

    fn delete<'a>(
        &'a self,
        bucket: &'a str,
        key: &'a str,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(self.remove(Asked { bucket, key }))
    }

    fn list<'a>(
        &'a self,
        bucket: &'a str,
        prefix: &'a str,
        delimiter: Option<&'a str>,
        start_after: Option<&'a str>,
        limit: usize,
    ) -> BoxFuture<'a, Result<ListPage, StoreError>> {
        Box::pin(self.page(bucket, prefix, delimiter, start_after, limit))
    }
}

/// Names that no store could have are not asked for.
pub(crate) fn check(asked: Asked<'_>) -> Result<(), StoreError> {
    check_bucket(asked.bucket)?;
    check_key(asked.key)
}
