//! S3 over the network: the object-store port on aws-sdk-s3. The SDK signs, addresses and
//! parses; its requests travel over `weir-edge-http`, which knows where an answer ends.
//! Retries, resuming and failover are the caller's: the SDK's own are off.

mod body;
mod config;
mod failure;
mod presign;
mod store;
mod translate;
mod wire;

pub use config::{S3Config, S3ConfigError, S3Credentials};
pub use store::S3Store;
