//! What a playlist lists: the URLs and byte ranges a player would ask for, of HLS playlists
//! (RFC 8216 and its successor's drafts) and DASH manifests (ISO/IEC 23009-1).
//!
//! Pure and bounded: text in, a list out. Durations, codecs and everything else that playing
//! needs is left to players; fetching, and what a URL means to this node, to who calls.

mod hls;
mod listing;
mod mpd;
pub mod uri;

pub use hls::Variables;
pub use listing::{ByteRange, Item, Listing, Skipped, What, Why};

/// Longest playlist that is read, bytes: a day in segments of two seconds has about 3 MiB.
pub const PLAYLIST_MAX: usize = 8 << 20;
/// Entries of one playlist.
pub const ITEMS_MAX: usize = 100_000;
/// Bytes of all URLs of one playlist: a short template makes many long ones.
pub const TEXT_MAX: usize = 24 << 20;
/// Bytes that are looked at to make the entries of one playlist, a second or two of it: a manifest
/// that repeats itself by inheritance can ask for work without end and list nothing. A day of
/// segments takes a hundredth of it.
pub const WORK_MAX: usize = 512 << 20;
/// Longest URL, bytes.
pub const URL_MAX: usize = 8 << 10;
/// Entries that are named among the skipped; more are counted.
pub const SKIPPED_MAX: usize = 1000;

/// Kind of playlist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// HLS: multivariant or media playlist.
    Hls,
    /// A DASH manifest.
    Dash,
}

/// Which renditions are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Ladder {
    /// All of them.
    #[default]
    All,
    /// The rung of the highest bandwidth, with what is heard and read beside it.
    Top,
}

/// Why a playlist cannot be read. Nothing of it is used then.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlaylistError {
    /// RFC 8216 §4, and what XML is without its declaration.
    #[error("it is not UTF-8")]
    NotUtf8,
    /// RFC 8216 §4.
    #[error("it begins with a byte order mark, which players refuse")]
    ByteOrderMark,
    /// RFC 8216 §4.3.1.1.
    #[error("its first line is not #EXTM3U")]
    NoHeader,
    /// Bytes of the playlist.
    #[error("it is longer than {PLAYLIST_MAX} bytes")]
    TooLong,
    /// Entries, or bytes of their URLs.
    #[error("it lists more than {ITEMS_MAX} entries, or more than {TEXT_MAX} bytes of URLs")]
    TooMany,
    /// What it says of its entries takes too long to follow.
    #[error("making its entries takes more than {WORK_MAX} bytes of reading")]
    TooCostly,
    /// RFC 8216 §4.1: a playlist is one or the other.
    #[error("it has tags of a multivariant and of a media playlist")]
    Mixed,
    /// A tag that cannot be understood.
    #[error("line {line}: {what}")]
    Tag {
        /// From 1.
        line: usize,
        /// What is wrong with it.
        what: &'static str,
    },
    /// XML that is none, or uses what is not taken.
    #[error("at byte {at}: {what}")]
    Xml {
        /// From 0.
        at: u64,
        /// What is wrong there.
        what: String,
    },
}

/// The kind of a playlist by what its server calls it, or else by how it begins.
pub fn format_of(content_type: Option<&str>, beginning: &[u8]) -> Option<Format> {
    let kind = content_type.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    let called = |names: &[&str]| names.iter().any(|name| kind.eq_ignore_ascii_case(name));
    // RFC 8216 §10 and what was used before it.
    const HLS: [&str; 4] = [
        "application/vnd.apple.mpegurl",
        "audio/mpegurl",
        "application/x-mpegurl",
        "audio/x-mpegurl",
    ];
    if called(&HLS) {
        return Some(Format::Hls);
    }
    if called(&["application/dash+xml"]) {
        return Some(Format::Dash);
    }
    if beginning.starts_with(b"#EXTM3U") {
        return Some(Format::Hls);
    }
    let text = beginning.trim_ascii_start();
    let root = beginning[..beginning.len().min(1024)].windows(5);
    let holds_root =
        || root.clone().any(|five| five[..4] == *b"<MPD" && !five[4].is_ascii_alphanumeric());
    (text.starts_with(b"<") && holds_root()).then_some(Format::Dash)
}

/// Reads a playlist that lies at `url`. `inherited` are the variables of the multivariant
/// playlist that listed it, where one did.
///
/// # Errors
/// When it is no playlist of that format, or too much of one.
pub fn read(
    format: Format,
    bytes: &[u8],
    url: &str,
    ladder: Ladder,
    inherited: &Variables,
) -> Result<Listing, PlaylistError> {
    if bytes.len() > PLAYLIST_MAX {
        return Err(PlaylistError::TooLong);
    }
    let text = std::str::from_utf8(bytes).map_err(|_| PlaylistError::NotUtf8)?;
    match format {
        Format::Hls => hls::read(text, url, ladder, inherited),
        Format::Dash => mpd::read(text, url, ladder),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats() {
        let check = |kind: Option<&str>, text: &str, expected| {
            assert_eq!(format_of(kind, text.as_bytes()), expected, "{kind:?} {text}");
        };
        check(Some("application/vnd.apple.mpegurl"), "", Some(Format::Hls));
        check(Some("Audio/MPEGURL; charset=utf-8"), "", Some(Format::Hls));
        check(Some("application/dash+xml"), "", Some(Format::Dash));
        check(Some("text/plain"), "#EXTM3U\n", Some(Format::Hls));
        check(None, "<?xml version=\"1.0\"?>\n<!-- a -->\n<MPD xmlns=\"", Some(Format::Dash));
        check(None, " \n<MPD>", Some(Format::Dash));
        check(Some("text/xml"), "<?xml version=\"1.0\"?><html>", None);
        check(None, "<MPDX>", None);
        check(Some("video/mp4"), "\0\0\0\x1cftyp", None);
        check(None, "", None);
    }
}
