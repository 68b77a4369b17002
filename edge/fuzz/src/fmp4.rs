//! Fragmented MP4 as encoders and other people's files bring it.

use weir_origin_media::fmp4::{BoxHeader, Fragment, Init};

/// As much of an init segment as a fragment's reading depends on.
fn init() -> Option<Init> {
    Init::parse(include_bytes!("../corpus/fmp4/init")).ok()
}

pub(crate) fn run(input: &[u8]) {
    if let Ok(Some(header)) = BoxHeader::parse(input) {
        assert!(header.size.is_none_or(|size| size >= header.header as u64));
    }
    let own = Init::parse(input).ok();
    for init in own.into_iter().chain(init()) {
        if let Ok(fragment) = Fragment::parse(&init, input) {
            assert!(!fragment.samples.is_empty());
            fragment.duration();
            fragment.payload();
            fragment.shown_from();
        }
    }
}
