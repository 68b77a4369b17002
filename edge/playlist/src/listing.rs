//! What was found, and the bounds on it.

use crate::{ITEMS_MAX, PlaylistError, SKIPPED_MAX, TEXT_MAX, URL_MAX, Variables, WORK_MAX, uri};

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum What {
    /// Another playlist.
    Playlist,
    /// What a decoder needs before the segments.
    Init,
    /// A segment, or a whole file of one rendition.
    Segment,
    /// A key that decrypts segments.
    Key,
}

/// Bytes `first` to `last`, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteRange {
    /// First byte.
    pub first: u64,
    /// Last byte.
    pub last: u64,
}

impl ByteRange {
    /// `length` bytes from `first`; none where there are none, or beyond all numbers.
    pub fn of(first: u64, length: u64) -> Option<Self> {
        let last = first.checked_add(length.checked_sub(1)?)?;
        Some(Self { first, last })
    }
}

/// Something that a player would ask for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Item {
    /// Absolute, `http` or `https`, without fragment.
    pub url: String,
    /// What it is.
    pub what: What,
    /// None is all of it.
    pub range: Option<ByteRange>,
}

/// Why an entry is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Why {
    /// Neither `http` nor `https`: `data:`, `skd:`.
    Scheme,
    /// Longer than [`URL_MAX`], empty, or holds what no URL holds.
    NoUrl,
    /// `EXT-X-PART`, `EXT-X-PRELOAD-HINT`: the segment has the same bytes.
    Part,
    /// `EXT-X-GAP`: the packager says that it is not there.
    Gap,
    /// `EXT-X-SESSION-DATA`, `EXT-X-CONTENT-STEERING`, `EXT-X-DATERANGE`: not of this film.
    Beside,
    /// `xlink:href`: a part of the manifest that lies elsewhere.
    Remote,
    /// A live template whose segments only a clock would tell.
    Clock,
    /// A template with an identifier that is not known.
    Template,
}

impl Why {
    /// In words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Scheme => "neither http nor https",
            Self::NoUrl => "not a URL",
            Self::Part => "a part of a segment, whose bytes the segment has",
            Self::Gap => "the playlist says that it is not there",
            Self::Beside => "no part of the film",
            Self::Remote => "a part of the manifest that lies elsewhere",
            Self::Clock => "a live template without a timeline lists nothing",
            Self::Template => "a template that is not understood",
        }
    }
}

/// An entry that is left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// As the playlist has it, cut when long.
    pub reference: String,
    /// Why.
    pub why: Why,
}

/// What a playlist lists, in its order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    /// What a player would ask for. The same may stand there twice.
    pub items: Vec<Item>,
    /// What is left out, the first [`SKIPPED_MAX`].
    pub skipped: Vec<Skipped>,
    /// All that is left out.
    pub skipped_count: u64,
    /// Whether more will be listed later.
    pub live: bool,
    /// What the playlists that it lists may import.
    pub variables: Variables,
}

/// Takes entries while there is room for them.
#[derive(Debug, Default)]
pub(crate) struct Collector {
    pub(crate) listing: Listing,
    text: usize,
    work: usize,
}

/// What an entry takes, however short its parts: bytes' worth.
const ENTRY: usize = 64;

impl Collector {
    /// Takes an entry whose reference is relative to `base`.
    pub(crate) fn take(
        &mut self,
        base: &str,
        reference: &str,
        what: What,
        range: Option<ByteRange>,
    ) -> Result<(), PlaylistError> {
        // What is left out takes its time, too.
        self.work(base.len() + reference.len())?;
        match uri::absolute(base, reference) {
            Ok(url) => {
                self.text += url.len();
                if self.text > TEXT_MAX || self.listing.items.len() >= ITEMS_MAX {
                    return Err(PlaylistError::TooMany);
                }
                self.listing.items.push(Item { url, what, range });
            }
            Err(why) => self.skip(reference, why),
        }
        Ok(())
    }

    /// Counts a step that looks at so many bytes, before it is taken.
    pub(crate) fn work(&mut self, bytes: usize) -> Result<(), PlaylistError> {
        self.work = self.work.saturating_add(bytes).saturating_add(ENTRY);
        if self.work > WORK_MAX { Err(PlaylistError::TooCostly) } else { Ok(()) }
    }

    /// Leaves an entry out.
    pub(crate) fn skip(&mut self, reference: &str, why: Why) {
        self.listing.skipped_count += 1;
        if self.listing.skipped.len() < SKIPPED_MAX {
            let reference = &reference[..reference.floor_char_boundary(200)];
            self.listing.skipped.push(Skipped { reference: reference.to_owned(), why });
        }
    }
}

/// Whether a URL is short enough and made of what URLs are made of. Characters beyond ASCII are
/// none of them (RFC 3986 §2), nor is a space.
pub(crate) fn is_sound(url: &str) -> bool {
    let plain = |byte: u8| {
        byte.is_ascii_graphic()
            && !matches!(byte, b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}')
    };
    !url.is_empty() && url.len() <= URL_MAX && url.bytes().all(plain)
}
