//! Fragmented MP4 (ISO/IEC 14496-12), as much of it as packaging needs: what an init segment
//! declares, what a fragment holds, and writing a fragment anew.
//!
//! Bytes come from an encoder that may have broken off anywhere: every length is checked
//! against what is there, nothing is allocated on the word of a header, and nothing panics.

mod boxes;
mod fragment;
mod init;
mod write;

pub use boxes::{BoxHeader, Fourcc};
pub use fragment::{Fragment, Sample, starts_with_idr};
pub use init::{Init, Track};
pub use write::segment;

/// Why bytes are not the fragmented MP4 that was expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Mp4Error {
    /// A box or field goes past the end of what holds it.
    #[error("{0} is cut short")]
    Short(Fourcc),
    /// A box that must be there is not.
    #[error("there is no {0} box")]
    Missing(Fourcc),
    /// A field holds what it cannot.
    #[error("{0}: {1}")]
    Invalid(Fourcc, &'static str),
}
