//! What a film becomes: ladders, segments, object keys, HLS and DASH.
//!
//! Pure: everything here is a function of its arguments. Child processes, files and the
//! store are `weir-origin`'s.

pub mod dash;
pub mod fmp4;
pub mod grid;
pub mod hls;
pub mod key;
pub mod ladder;
pub mod presentation;
pub mod probe;
pub mod rate;

pub use key::{Keys, TitleId, Version};
pub use ladder::{AudioRung, Plan, Settings, VideoRung};
pub use presentation::{Presentation, Rendition, RenditionKind, SegmentFacts};
pub use probe::Source;
pub use rate::FrameRate;
