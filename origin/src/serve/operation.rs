//! The S3 operations that are served, what each needs, and what a request is found to be.

use std::sync::Arc;

use parking_lot::Mutex;

/// What an operation does with its bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    /// Reads one object by its key: what public buckets give to anybody.
    Fetch,
    /// Reads anything.
    Read,
    /// Changes something, or looks at what is changing.
    Write,
}

/// Declares the operations by the names S3 gives them.
macro_rules! operations {
    ($($name:ident $need:ident)*) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum Operation {
            $($name,)*
        }

        impl Operation {
            pub(super) const ALL: &[Self] = &[$(Self::$name),*];

            pub(super) fn as_str(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)* }
            }

            pub(super) fn need(self) -> Need {
                match self { $(Self::$name => Need::$need,)* }
            }
        }
    };
}

operations! {
    GetObject Fetch
    HeadObject Fetch
    ListObjects Read
    ListObjectsV2 Read
    ListBuckets Read
    HeadBucket Read
    GetBucketLocation Read
    PutObject Write
    CopyObject Write
    DeleteObject Write
    DeleteObjects Write
    CreateMultipartUpload Write
    UploadPart Write
    ListParts Write
    ListMultipartUploads Write
    CompleteMultipartUpload Write
    AbortMultipartUpload Write
}

impl Operation {
    /// None for what is not served.
    pub(super) fn of(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|operation| operation.as_str() == name)
    }
}

/// What is learnt of a request on its way, for metrics and the access log.
#[derive(Debug, Clone, Default)]
pub(super) struct Trail(Arc<Mutex<Learnt>>);

#[derive(Debug, Clone, Default)]
pub(super) struct Learnt {
    /// None until the signature was found good, and for what is not served.
    pub(super) operation: Option<Operation>,
    /// Id of the access key.
    pub(super) key_id: Option<String>,
    /// Why it was refused at the door.
    pub(super) refusal: Option<&'static str>,
}

impl Trail {
    pub(super) fn note(&self, note: impl FnOnce(&mut Learnt)) {
        note(&mut self.0.lock());
    }

    pub(super) fn learnt(&self) -> Learnt {
        self.0.lock().clone()
    }
}
