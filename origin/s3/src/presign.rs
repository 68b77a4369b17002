//! URLs that carry their own permission.

use std::time::{Duration, SystemTime};

use aws_sdk_s3::presigning::PresigningConfig;
use weir_origin_store::StoreError;

use crate::{
    failure::{self, Asked},
    store::{S3Store, check},
};

impl S3Store {
    /// A URL that lets whoever has it read one object for `lifetime` from `now`, at most 7 days.
    ///
    /// # Errors
    /// When bucket or key cannot be names, the lifetime is too long, or no credentials are to be
    /// had.
    pub async fn presign_get(
        &self,
        bucket: &str,
        key: &str,
        now: SystemTime,
        lifetime: Duration,
    ) -> Result<String, StoreError> {
        check(Asked { bucket, key })?;
        let request = self.sdk().get_object().bucket(bucket).key(key);
        let signed = request.presigned(validity(now, lifetime)?).await;
        match signed {
            Ok(signed) => Ok(signed.uri().to_owned()),
            Err(error) => Err(failure::of_operation(&error, Asked { bucket, key })),
        }
    }

    /// A URL that lets whoever has it write one object of exactly `size` bytes.
    ///
    /// # Errors
    /// As [`Self::presign_get`].
    pub async fn presign_put(
        &self,
        bucket: &str,
        key: &str,
        size: u64,
        now: SystemTime,
        lifetime: Duration,
    ) -> Result<String, StoreError> {
        check(Asked { bucket, key })?;
        let length = i64::try_from(size)
            .map_err(|_| StoreError::TooMuch { what: "the object", limit: i64::MAX as u64 })?;
        let request = self.sdk().put_object().bucket(bucket).key(key).content_length(length);
        let signed = request.presigned(validity(now, lifetime)?).await;
        match signed {
            Ok(signed) => Ok(signed.uri().to_owned()),
            Err(error) => Err(failure::of_operation(&error, Asked { bucket, key })),
        }
    }
}

fn validity(now: SystemTime, lifetime: Duration) -> Result<PresigningConfig, StoreError> {
    // What S3 allows.
    const LONGEST: Duration = Duration::from_secs(7 * 24 * 60 * 60);
    PresigningConfig::builder().start_time(now).expires_in(lifetime).build().map_err(|_| {
        StoreError::TooMuch { what: "the lifetime of the URL in seconds", limit: LONGEST.as_secs() }
    })
}
