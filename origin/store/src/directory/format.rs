//! How an object lies in its file, so that body, metadata and checksums become visible by one
//! rename and rot is seen wherever it falls:
//!
//! ```text
//! body                                  as it was sent, at offset 0
//! table   8 bytes for each grain        CRC-64/NVME of each 256 KiB of the body
//! record  JSON                          key, entity tag, time, fields
//! footer  40 bytes, integers little-endian
//!         magic 8 | body length 8 | grain 4 | record length 4 | CRC of record 8 | CRC of footer 8
//! ```

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use crate::port::{ETag, ObjectMeta, PutOptions};

/// Bytes under one checksum: what a read of one byte must fetch, and what a stream holds.
pub(super) const GRAIN: usize = 256 * 1024;
pub(super) const FOOTER: usize = 40;
/// A record holds one key and [`MAX_FIELD_BYTES`] of fields, escaped by JSON at worst sixfold.
pub(super) const MAX_RECORD: usize = 64 * 1024;
/// Bytes of all metadata fields of one object together. S3 allows 2 KiB of its own and counts
/// the standard fields apart.
pub(super) const MAX_FIELD_BYTES: usize = 8 * 1024;
const MAGIC: &[u8; 8] = b"WEIRobj1";

pub(super) fn crc(bytes: &[u8]) -> u64 {
    crc_fast::checksum(crc_fast::CrcAlgorithm::Crc64Nvme, bytes)
}

/// What is stored beside the bytes.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) key: String,
    pub(super) etag: String,
    /// Seconds since the Unix epoch.
    pub(super) modified: u64,
    #[serde(flatten)]
    pub(super) described: Described,
}

/// The part of a record that the writer of an object chooses.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Described {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    content_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cache_control: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    fields: Vec<(String, String)>,
}

impl Described {
    pub(super) fn bytes(&self) -> usize {
        let fields = self.fields.iter().map(|(name, value)| name.len() + value.len());
        let text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        fields.sum::<usize>() + text(&self.content_type) + text(&self.cache_control)
    }
}

impl From<PutOptions> for Described {
    fn from(options: PutOptions) -> Self {
        let PutOptions { content_type, cache_control, fields, .. } = options;
        Self { content_type, cache_control, fields }
    }
}

impl Record {
    pub(super) fn into_meta(self, size: u64) -> ObjectMeta {
        ObjectMeta {
            key: self.key,
            size,
            etag: ETag(self.etag),
            modified: time_of(self.modified),
            content_type: self.described.content_type,
            cache_control: self.described.cache_control,
            fields: self.described.fields,
        }
    }
}

pub(super) fn time_of(unix_seconds: u64) -> SystemTime {
    // Beyond what the platform can express it is as old as can be: a record is read, not
    // trusted.
    SystemTime::UNIX_EPOCH
        .checked_add(Duration::from_secs(unix_seconds))
        .unwrap_or(SystemTime::UNIX_EPOCH)
}

/// Where the parts of a file lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) body: u64,
    pub(super) record: u64,
}

impl Layout {
    pub(super) fn grains(&self) -> u64 {
        self.body.div_ceil(GRAIN as u64)
    }

    pub(super) fn record_at(&self) -> u64 {
        self.body + 8 * self.grains()
    }

    /// The 40 bytes at the end of the file, given the record.
    pub(super) fn footer(body: u64, record: &[u8]) -> [u8; FOOTER] {
        let length = u32::try_from(record.len()).expect("records are bounded to 64 KiB");
        let mut footer = [0; FOOTER];
        footer[..8].copy_from_slice(MAGIC);
        footer[8..16].copy_from_slice(&body.to_le_bytes());
        footer[16..20].copy_from_slice(&(GRAIN as u32).to_le_bytes());
        footer[20..24].copy_from_slice(&length.to_le_bytes());
        footer[24..32].copy_from_slice(&crc(record).to_le_bytes());
        let own = crc(&footer[..32]);
        footer[32..].copy_from_slice(&own.to_le_bytes());
        footer
    }

    /// Reads a footer with the checksum of its record; none unless every byte agrees with a
    /// file of `length` bytes.
    pub(super) fn parse(footer: &[u8; FOOTER], length: u64) -> Option<(Self, u64)> {
        let long = |at: usize| footer[at..].first_chunk().map(|bytes| u64::from_le_bytes(*bytes));
        let short = |at: usize| footer[at..].first_chunk().map(|bytes| u32::from_le_bytes(*bytes));
        let layout = Self { body: long(8)?, record: u64::from(short(20)?) };
        let table = layout.grains().checked_mul(8)?;
        let expected =
            layout.body.checked_add(table)?.checked_add(layout.record)?.checked_add(FOOTER as u64);
        let sound = &footer[..8] == MAGIC
            && long(32)? == crc(&footer[..32])
            && short(16)? == GRAIN as u32
            && layout.record <= MAX_RECORD as u64
            && expected == Some(length);
        sound.then_some((layout, long(24)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_footer_agrees_with_its_file_only() {
        let record = br#"{"key":"k"}"#;
        for body in [0, 1, GRAIN as u64, GRAIN as u64 + 1] {
            let footer = Layout::footer(body, record);
            let layout = Layout { body, record: record.len() as u64 };
            let length = layout.record_at() + layout.record + FOOTER as u64;
            assert_eq!(Layout::parse(&footer, length), Some((layout, crc(record))));
            assert_eq!(Layout::parse(&footer, length + 1), None);
            for at in 0..FOOTER {
                let mut rotten = footer;
                rotten[at] ^= 1;
                assert_eq!(Layout::parse(&rotten, length), None, "byte {at}");
            }
        }
        let huge = Layout::footer(u64::MAX, record);
        assert_eq!(Layout::parse(&huge, u64::MAX), None);
    }
}
