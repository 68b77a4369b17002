//! The port's calls, each handed to a thread that may block, and bodies on their way in.

use std::sync::Arc;

use bytes::Bytes;
use futures::{FutureExt, StreamExt, future::BoxFuture};

use super::{
    Directory, blocking,
    format::{Described, GRAIN, MAX_FIELD_BYTES, Record, time_of},
    uploads::{Folder, check_number},
    write::{ObjectWriter, hex},
};
use crate::{
    port::{
        Conditions, ETag, ListPage, Object, ObjectBody, ObjectMeta, ObjectStore, PutOptions,
        RangeSpec, StoreError,
    },
    uploads::{MultipartStore, Part, Upload},
};

impl Directory {
    /// Streams a body into a new file, a grain at a time.
    async fn receive(
        &self,
        key: &str,
        size: u64,
        mut body: ObjectBody,
    ) -> Result<ObjectWriter, StoreError> {
        self.0.check_size(size)?;
        let action = format!("store {key}");
        let wrong = move |source| StoreError::Io { action: action.clone(), source };
        let short = |got, reason: &str| {
            Err(StoreError::Truncated { got, expected: size, reason: reason.to_owned() })
        };
        let mut writer: Option<ObjectWriter> = None;
        let mut got = 0u64;
        let capacity = usize::try_from(size).unwrap_or(GRAIN).min(GRAIN);
        let mut buffer = Vec::with_capacity(capacity);
        loop {
            let piece = body.next().await.transpose()?;
            let last = piece.is_none();
            let mut piece = piece.unwrap_or_default();
            got = got.saturating_add(piece.len() as u64);
            if got > size {
                return short(got, "more bytes than declared");
            }
            while last || !piece.is_empty() {
                let now: Bytes = piece.split_to(piece.len().min(GRAIN - buffer.len()));
                buffer.extend_from_slice(&now);
                if buffer.len() < GRAIN && !last {
                    break;
                }
                if last && got < size {
                    return short(got, "the sender ended early");
                }
                let inner = Arc::clone(&self.0);
                let wrong = wrong.clone();
                let (full, was) = (std::mem::take(&mut buffer), writer.take());
                let (written, emptied) = blocking(move || {
                    let mut writer = match was {
                        Some(writer) => writer,
                        None => ObjectWriter::create(inner.disk.clone(), inner.temporary())
                            .map_err(&wrong)?,
                    };
                    writer.write(&full).map_err(&wrong)?;
                    Ok((writer, full))
                })
                .await?;
                if last {
                    return Ok(written);
                }
                writer = Some(written);
                buffer = emptied;
                buffer.clear();
            }
        }
    }
}

fn check_fields(described: &Described) -> Result<(), StoreError> {
    if described.bytes() > MAX_FIELD_BYTES {
        let limit = MAX_FIELD_BYTES as u64;
        return Err(StoreError::TooMuch { what: "the object's metadata", limit });
    }
    Ok(())
}

impl ObjectStore for Directory {
    fn get<'a>(
        &'a self,
        bucket: &'a str,
        key: &'a str,
        range: Option<RangeSpec>,
        conditions: Conditions,
    ) -> BoxFuture<'a, Result<Object, StoreError>> {
        let (inner, bucket, key) = (Arc::clone(&self.0), bucket.to_owned(), key.to_owned());
        blocking(move || {
            let file = Arc::new(inner.open_object(&bucket, &key)?);
            let size = file.size();
            let meta = file.record.clone().into_meta(size);
            conditions.check(&key, &meta.etag, meta.modified)?;
            let range = match range {
                None => 0..size,
                Some(range) => range
                    .resolve(size)
                    .ok_or_else(|| StoreError::RangeNotSatisfiable { key: key.clone(), size })?,
            };
            // Rot at the beginning is an answer of its own, not a broken body.
            let first = match range.is_empty() {
                true => Bytes::new(),
                false => file.first_of(&range).map_err(|fault| fault.of_object(&bucket, &key))?,
            };
            Ok(Object { meta, range: range.clone(), body: file.stream(range, first) })
        })
        .boxed()
    }

    fn head<'a>(
        &'a self,
        bucket: &'a str,
        key: &'a str,
        conditions: Conditions,
    ) -> BoxFuture<'a, Result<ObjectMeta, StoreError>> {
        let (inner, bucket, key) = (Arc::clone(&self.0), bucket.to_owned(), key.to_owned());
        blocking(move || {
            let file = inner.open_object(&bucket, &key)?;
            let size = file.size();
            let meta = file.record.into_meta(size);
            conditions.check(&key, &meta.etag, meta.modified)?;
            Ok(meta)
        })
        .boxed()
    }

    fn put<'a>(
        &'a self,
        bucket: &'a str,
        key: &'a str,
        size: u64,
        body: ObjectBody,
        options: PutOptions,
    ) -> BoxFuture<'a, Result<ObjectMeta, StoreError>> {
        async move {
            let inner = Arc::clone(&self.0);
            let (bucket, key) = (bucket.to_owned(), key.to_owned());
            let described = Described::from(options.clone());
            check_fields(&described)?;
            // Refused before the body travels where it can be; looked at again at the end.
            let (bucket, key, options) = blocking(move || {
                inner.object(&bucket, &key)?;
                inner.check_write(&bucket, &key, &options)?;
                Ok((bucket, key, options))
            })
            .await?;
            let writer = self.receive(&key, size, body).await?;
            let inner = Arc::clone(&self.0);
            blocking(move || {
                let etag = hex(&writer.digest());
                let record = Record { key, etag, modified: inner.clock.unix_seconds(), described };
                inner.publish(&bucket, writer, record, &options)
            })
            .await
        }
        .boxed()
    }

    fn delete<'a>(
        &'a self,
        bucket: &'a str,
        key: &'a str,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        let (inner, bucket, key) = (Arc::clone(&self.0), bucket.to_owned(), key.to_owned());
        blocking(move || inner.delete(&bucket, &key)).boxed()
    }

    fn list<'a>(
        &'a self,
        bucket: &'a str,
        prefix: &'a str,
        delimiter: Option<&'a str>,
        start_after: Option<&'a str>,
        limit: usize,
    ) -> BoxFuture<'a, Result<ListPage, StoreError>> {
        let (inner, bucket, prefix) = (Arc::clone(&self.0), bucket.to_owned(), prefix.to_owned());
        let delimiter = delimiter.map(str::to_owned);
        let after = start_after.map(str::to_owned);
        blocking(move || {
            inner.page(&bucket, &prefix, delimiter.as_deref(), after.as_deref(), limit)
        })
        .boxed()
    }
}

impl MultipartStore for Directory {
    fn begin_upload<'a>(
        &'a self,
        bucket: &'a str,
        key: &'a str,
        options: PutOptions,
    ) -> BoxFuture<'a, Result<String, StoreError>> {
        let (inner, bucket, key) = (Arc::clone(&self.0), bucket.to_owned(), key.to_owned());
        blocking(move || {
            inner.object(&bucket, &key)?;
            let described = Described::from(options);
            check_fields(&described)?;
            inner.begin(&bucket, &key, described)
        })
        .boxed()
    }

    fn put_part<'a>(
        &'a self,
        bucket: &'a str,
        key: &'a str,
        upload: &'a str,
        number: u32,
        size: u64,
        body: ObjectBody,
    ) -> BoxFuture<'a, Result<Part, StoreError>> {
        async move {
            check_number(number)?;
            let folder = self.folder(bucket, key, upload).await?;
            let mut writer = self.receive(key, size, body).await?;
            let (inner, key) = (Arc::clone(&self.0), key.to_owned());
            blocking(move || {
                let record = Record {
                    etag: hex(&writer.digest()),
                    modified: inner.clock.unix_seconds(),
                    described: Described::default(),
                    key,
                };
                let part = Part {
                    number,
                    etag: ETag(record.etag.clone()),
                    size,
                    modified: time_of(record.modified),
                };
                writer.seal(&record).map_err(|source| StoreError::Io {
                    action: format!("store part {number} of {}", record.key),
                    source,
                })?;
                inner.publish_part(&folder, number, writer)?;
                Ok(part)
            })
            .await
        }
        .boxed()
    }

    fn parts<'a>(
        &'a self,
        bucket: &'a str,
        key: &'a str,
        upload: &'a str,
        after: u32,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Part>, StoreError>> {
        async move {
            let folder = self.folder(bucket, key, upload).await?;
            let inner = Arc::clone(&self.0);
            blocking(move || inner.list_parts(&folder, after, limit)).await
        }
        .boxed()
    }

    fn uploads<'a>(&'a self, bucket: &'a str) -> BoxFuture<'a, Result<Vec<Upload>, StoreError>> {
        let (inner, bucket) = (Arc::clone(&self.0), bucket.to_owned());
        blocking(move || {
            inner.bucket(&bucket)?;
            inner.list_uploads(&bucket)
        })
        .boxed()
    }

    fn complete_upload<'a>(
        &'a self,
        bucket: &'a str,
        key: &'a str,
        upload: &'a str,
        parts: Vec<(u32, ETag)>,
        options: PutOptions,
    ) -> BoxFuture<'a, Result<ObjectMeta, StoreError>> {
        async move {
            let folder = self.folder(bucket, key, upload).await?;
            let (inner, bucket) = (Arc::clone(&self.0), bucket.to_owned());
            blocking(move || inner.complete(&bucket, &folder, &parts, &options)).await
        }
        .boxed()
    }

    fn abort_upload<'a>(
        &'a self,
        bucket: &'a str,
        key: &'a str,
        upload: &'a str,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        async move {
            let folder = self.folder(bucket, key, upload).await?;
            let inner = Arc::clone(&self.0);
            blocking(move || {
                let path = folder.path().display().to_string();
                inner.remove_upload(&folder).map_err(|source| StoreError::Io {
                    action: format!("clear the upload in {path}"),
                    source,
                })
            })
            .await
        }
        .boxed()
    }

    fn buckets(&self) -> Vec<String> {
        self.0.buckets.clone()
    }
}

impl Directory {
    async fn folder(&self, bucket: &str, key: &str, upload: &str) -> Result<Folder, StoreError> {
        let inner = Arc::clone(&self.0);
        let (bucket, key, upload) = (bucket.to_owned(), key.to_owned(), upload.to_owned());
        blocking(move || {
            inner.object(&bucket, &key)?;
            inner.upload(&bucket, &key, &upload)
        })
        .await
    }
}
