//! The object-store port and its local directory adapter.

pub mod directory;
pub mod port;
pub mod rules;
pub mod uploads;

pub use directory::{Directory, DirectoryOptions, OpenError};
pub use port::*;
pub use rules::{MAX_KEY_BYTES, check_bucket, check_key};
pub use uploads::{MAX_PART_NUMBER, MIN_PART_BYTES, MultipartStore, Part, Upload};
