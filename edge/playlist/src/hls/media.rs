//! Media playlists: segments, what initializes them, what encrypts them.

use super::Attributes;
use crate::{
    PlaylistError, What, Why,
    listing::{ByteRange, Collector},
    uri,
};

/// What the lines so far said of the next segment.
#[derive(Debug, Default)]
pub(super) struct Media {
    /// Whether a tag of media playlists was there.
    pub(super) any: bool,
    /// `EXT-X-ENDLIST`.
    pub(super) ended: bool,
    gap: bool,
    /// `EXT-X-BYTERANGE` of the next segment: length and place.
    range: Option<(u64, Option<u64>)>,
    /// Where the last byte range ended, and of what.
    last: Option<(String, u64)>,
}

impl Media {
    /// A line that is a URI.
    pub(super) fn segment(
        &mut self,
        found: &mut Collector,
        base: &str,
        reference: &str,
        wrong: impl Fn(&'static str) -> PlaylistError,
    ) -> Result<(), PlaylistError> {
        self.any = true;
        let gap = std::mem::take(&mut self.gap);
        let range = match self.range.take() {
            None => {
                self.last = None;
                None
            }
            Some((length, place)) => {
                found.work(base.len() + reference.len())?;
                let url = uri::resolve(base, reference);
                // RFC 8216 §4.3.2.2: without a place, it begins where the last one ended.
                let first = match (place, &self.last) {
                    (Some(first), _) => first,
                    (None, Some((last, end))) if *last == url => *end,
                    (None, _) => return Err(wrong("a byte range that follows none")),
                };
                let range = ByteRange::of(first, length).ok_or_else(|| wrong("no byte range"))?;
                self.last = Some((url, range.last.saturating_add(1)));
                Some(range)
            }
        };
        if gap {
            found.skip(reference, Why::Gap);
            return Ok(());
        }
        found.take(base, reference, What::Segment, range)
    }

    pub(super) fn tag<'a>(
        &mut self,
        found: &mut Collector,
        base: &str,
        (name, value): (&str, &str),
        attributes: &dyn Fn() -> Result<Attributes<'a>, PlaylistError>,
        wrong: impl Fn(&'static str) -> PlaylistError,
    ) -> Result<(), PlaylistError> {
        match name {
            "EXTINF" | "EXT-X-TARGETDURATION" | "EXT-X-MEDIA-SEQUENCE" | "EXT-X-PLAYLIST-TYPE" => {
                self.any = true;
            }
            "EXT-X-ENDLIST" => (self.any, self.ended) = (true, true),
            "EXT-X-GAP" => (self.any, self.gap) = (true, true),
            "EXT-X-BYTERANGE" => {
                let range = byte_range(value.trim_matches([' ', '\t']));
                self.range = Some(range.ok_or_else(|| wrong("no byte range"))?);
                self.any = true;
            }
            "EXT-X-MAP" => {
                self.any = true;
                let attributes = attributes()?;
                let uri = attributes.text("URI").ok_or_else(|| wrong("a map without its URI"))?;
                let range = match attributes.text("BYTERANGE") {
                    None => None,
                    Some(text) => {
                        let (length, first) =
                            byte_range(text).ok_or_else(|| wrong("no byte range"))?;
                        let range = ByteRange::of(first.unwrap_or(0), length);
                        Some(range.ok_or_else(|| wrong("no byte range"))?)
                    }
                };
                found.take(base, uri, What::Init, range)?;
            }
            "EXT-X-KEY" => {
                self.any = true;
                key(found, base, &attributes()?)?;
            }
            _ => {}
        }
        Ok(())
    }
}

/// `EXT-X-KEY` and `EXT-X-SESSION-KEY`.
pub(super) fn key(
    found: &mut Collector,
    base: &str,
    attributes: &Attributes<'_>,
) -> Result<(), PlaylistError> {
    match (attributes.text("METHOD"), attributes.text("URI")) {
        (Some("NONE"), _) | (_, None) => Ok(()),
        (_, Some(uri)) => found.take(base, uri, What::Key, None),
    }
}

/// `<n>[@<o>]`
fn byte_range(text: &str) -> Option<(u64, Option<u64>)> {
    let (length, place) = match text.split_once('@') {
        Some((length, place)) => (length, Some(place)),
        None => (text, None),
    };
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse().ok().filter(|_| digits)
    };
    let place = match place {
        Some(place) => Some(number(place)?),
        None => None,
    };
    Some((number(length)?, place))
}
