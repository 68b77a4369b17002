//! Who may do what: access keys with a permission and buckets, and public buckets. What is not
//! granted is denied.

use std::{collections::HashMap, sync::Arc};

use s3s::{
    S3Error, S3ErrorCode, S3Result,
    access::{S3Access, S3AccessContext},
    auth::{S3Auth, SecretKey},
    path::S3Path,
    s3_error,
};
use weir_config::origin::{Allow, OriginConfig};

use super::operation::{Need, Operation, Trail};

/// All that is granted.
pub(super) struct Grants {
    keys: HashMap<String, Grant>,
    public: Vec<String>,
}

struct Grant {
    secret: SecretKey,
    allow: Allow,
    buckets: Vec<String>,
}

impl Grants {
    pub(super) fn new(config: &OriginConfig) -> Self {
        let keys = config.access_keys.iter().map(|key| {
            let secret = SecretKey::from(key.secret.expose());
            let grant = Grant { secret, allow: key.allow, buckets: key.buckets.clone() };
            (key.id.clone(), grant)
        });
        Self { keys: keys.collect(), public: config.store.public_buckets.clone() }
    }

    /// Whether `key_id` (none: anybody) may do with `bucket` what is needed.
    pub(super) fn allow(&self, key_id: Option<&str>, need: Need, bucket: &str) -> bool {
        let has = |buckets: &[String]| buckets.iter().any(|granted| granted == bucket);
        if need == Need::Fetch && has(&self.public) {
            return true;
        }
        let Some(grant) = key_id.and_then(|id| self.keys.get(id)) else { return false };
        has(&grant.buckets) && (need != Need::Write || grant.allow == Allow::Write)
    }
}

/// Answers s3s when it asks for secrets and permissions.
#[derive(Clone)]
pub(super) struct Door(pub(super) Arc<Grants>);

#[async_trait::async_trait]
impl S3Auth for Door {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        match self.0.keys.get(access_key) {
            Some(grant) => Ok(grant.secret.clone()),
            None => Err(s3_error!(InvalidAccessKeyId, "no access key has this id")),
        }
    }
}

#[async_trait::async_trait]
impl S3Access for Door {
    async fn check(&self, request: &mut S3AccessContext<'_>) -> S3Result<()> {
        let key_id = request.credentials().map(|found| found.access_key.clone());
        let name = request.s3_op().name();
        let operation = Operation::of(name);
        let verdict = self.judge(key_id.as_deref(), operation, name, request.s3_path());
        if let Some(trail) = request.extensions_mut().get::<Trail>() {
            trail.note(|learnt| {
                learnt.operation = operation;
                learnt.key_id = key_id;
                if verdict.as_ref().is_err_and(|error| *error.code() == S3ErrorCode::AccessDenied) {
                    learnt.refusal = Some("denied");
                }
            });
        }
        verdict
    }
}

impl Door {
    fn judge(
        &self,
        key_id: Option<&str>,
        operation: Option<Operation>,
        name: &str,
        path: &S3Path,
    ) -> Result<(), S3Error> {
        let Some(operation) = operation else {
            // Who has no key learns nothing about what is served.
            return Err(match key_id {
                None => s3_error!(AccessDenied, "this request needs a signature"),
                Some(_) => s3_error!(NotImplemented, "{name} is not served here"),
            });
        };
        let need = operation.need();
        match path.get_bucket_name() {
            // The list of buckets shows each key its own.
            None if key_id.is_some() => Ok(()),
            Some(bucket) if self.0.allow(key_id, need, bucket) => Ok(()),
            _ if key_id.is_none() => Err(s3_error!(AccessDenied, "this request needs a signature")),
            bucket => Err(s3_error!(
                AccessDenied,
                "this access key may not do {name} in bucket {}",
                bucket.unwrap_or_default()
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grants() -> Grants {
        let grant = |allow, buckets: &[&str]| Grant {
            secret: SecretKey::from("secret"),
            allow,
            buckets: buckets.iter().map(|bucket| (*bucket).to_owned()).collect(),
        };
        Grants {
            keys: HashMap::from([
                ("reader".to_owned(), grant(Allow::Read, &["films"])),
                ("writer".to_owned(), grant(Allow::Write, &["films", "news"])),
            ]),
            public: vec!["open".to_owned()],
        }
    }

    #[test]
    fn what_is_not_granted_is_denied() {
        let grants = grants();
        let check = |key: Option<&str>, need, bucket: &str, expected: bool| {
            assert_eq!(grants.allow(key, need, bucket), expected, "{key:?} {need:?} {bucket}");
        };
        use Need::{Fetch, Read, Write};
        check(Some("reader"), Fetch, "films", true);
        check(Some("reader"), Read, "films", true);
        check(Some("reader"), Write, "films", false);
        check(Some("reader"), Read, "news", false);
        check(Some("writer"), Write, "news", true);
        check(Some("writer"), Read, "films", true);
        check(Some("writer"), Write, "open", false);
        check(Some("writer"), Fetch, "open", true);
        check(None, Fetch, "open", true);
        check(None, Read, "open", false);
        check(None, Write, "open", false);
        check(None, Fetch, "films", false);
        check(Some("nobody"), Fetch, "films", false);
    }

    #[test]
    fn only_what_is_served_passes() {
        let door = Door(Arc::new(grants()));
        let check = |key: Option<&str>, name: &str, path: S3Path, expected: Option<S3ErrorCode>| {
            let verdict = door.judge(key, Operation::of(name), name, &path);
            assert_eq!(verdict.err().map(|error| error.code().clone()), expected, "{name}");
        };
        let denied = || Some(S3ErrorCode::AccessDenied);
        check(Some("writer"), "PutObject", S3Path::object("films", "k"), None);
        check(Some("reader"), "PutObject", S3Path::object("films", "k"), denied());
        check(Some("reader"), "ListBuckets", S3Path::root(), None);
        check(None, "ListBuckets", S3Path::root(), denied());
        check(None, "GetObject", S3Path::object("open", "k"), None);
        check(None, "ListObjectsV2", S3Path::bucket("open"), denied());
        let missing = Some(S3ErrorCode::NotImplemented);
        check(Some("writer"), "PutBucketPolicy", S3Path::bucket("films"), missing);
        check(None, "PutBucketPolicy", S3Path::bucket("open"), denied());
    }
}
