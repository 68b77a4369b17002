//! S3 over the network: the object-store port on aws-sdk-s3.
