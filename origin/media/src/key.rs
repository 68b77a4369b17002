//! Names in the store.
//!
//! ```text
//! <title>/current.json                          which version is published; short-lived
//! <title>/<version>/master.m3u8                 HLS multivariant playlist
//! <title>/<version>/manifest.mpd                DASH
//! <title>/<version>/SHA256SUMS                  every other object of the version
//! <title>/<version>/<rendition>/index.m3u8      HLS media playlist
//! <title>/<version>/<rendition>/init.mp4
//! <title>/<version>/<rendition>/seg-<n>.m4s     from 1
//! ```
//!
//! A version is a digest of the source, the settings and the encoder, so that its objects
//! never change: all of them may be cached for ever. Packaging the same film again with the
//! same settings and encoder finds the version there and has nothing to do.

use std::fmt;

use serde::Serialize;

/// Cached for ever: nothing under a version prefix changes (RFC 8246).
pub const IMMUTABLE: &str = "public, max-age=31536000, immutable";
/// The pointer moves when a new version is published.
pub const SHORT_LIVED: &str = "public, max-age=5";

/// Which title: a name of its own in the store.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TitleId(String);

/// Why a text names no title.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} cannot name a title: use 1 to 64 of a-z, 0-9, '-', '_' and '.', starting with a \
     letter or digit and without '..', such as night-train"
)]
pub struct TitleError {
    text: String,
}

impl TitleId {
    /// Takes the text as it stands.
    pub fn parse(text: &str) -> Result<Self, TitleError> {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        let fits = (1..=64).contains(&text.len())
            && text.bytes().all(|b| plain(b) || matches!(b, b'-' | b'_' | b'.'))
            && text.bytes().next().is_some_and(plain)
            && !text.contains("..");
        if fits { Ok(Self(text.into())) } else { Err(TitleError { text: text.into() }) }
    }

    /// Makes a title of a file's name without its extension: `Night Train (2024)` becomes
    /// `night-train-2024`.
    pub fn from_stem(stem: &str) -> Result<Self, TitleError> {
        let mut id = String::new();
        for c in stem.chars().flat_map(char::to_lowercase) {
            match c {
                'a'..='z' | '0'..='9' | '_' => id.push(c),
                _ if id.is_empty() || id.ends_with('-') => {}
                _ => id.push('-'),
            }
        }
        id.truncate(64);
        Self::parse(id.trim_end_matches('-').trim_start_matches('_'))
            .map_err(|_| TitleError { text: stem.into() })
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Key of the object that says which version is published.
    pub fn pointer_key(&self) -> String {
        format!("{}/current.json", self.0)
    }
}

impl fmt::Display for TitleId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

/// Which making of a title: 20 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Version(String);

impl Version {
    /// From the first 80 bits of a SHA-256 digest over source, settings and encoder.
    pub fn from_digest(digest: &[u8; 32]) -> Self {
        Self(digest[..10].iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Version {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

/// Name of a rendition's init segment, beside its segments.
pub const INIT: &str = "init.mp4";
/// Name of a rendition's HLS media playlist.
pub const MEDIA_PLAYLIST: &str = "index.m3u8";
/// Name of the HLS multivariant playlist.
pub const MULTIVARIANT: &str = "master.m3u8";
/// Name of the DASH manifest.
pub const MPD: &str = "manifest.mpd";
/// Name of the list of checksums.
pub const SUMS: &str = "SHA256SUMS";

/// Name of a segment, from 1.
pub fn segment_name(number: usize) -> String {
    format!("seg-{number}.m4s")
}

/// Keys of one version of one title.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keys {
    /// Title.
    pub title: TitleId,
    /// Version.
    pub version: Version,
}

impl Keys {
    /// What all of the version's keys start with, with a slash at its end.
    pub fn prefix(&self) -> String {
        format!("{}/{}/", self.title, self.version)
    }

    /// Key of a file of the version, by its path below the prefix.
    pub fn of(&self, path: &str) -> String {
        format!("{}/{}/{path}", self.title, self.version)
    }
}

/// Media type of an object, by its name.
pub fn content_type(path: &str, audio: bool) -> &'static str {
    let extension = path.rsplit_once('.').map_or("", |(_, extension)| extension);
    match (extension, audio) {
        ("m3u8", _) => "application/vnd.apple.mpegurl",
        ("mpd", _) => "application/dash+xml",
        ("json", _) => "application/json",
        ("mp4" | "m4s", false) => "video/mp4",
        ("mp4" | "m4s", true) => "audio/mp4",
        _ => "text/plain; charset=utf-8",
    }
}

/// The object that publishes a version.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Pointer {
    /// `weir-title/v1`.
    pub schema: &'static str,
    /// Title.
    pub title: String,
    /// Version.
    pub version: String,
    /// HLS, relative to the pointer.
    pub hls: String,
    /// DASH, relative to the pointer.
    pub dash: String,
    /// Length.
    pub duration_seconds: f64,
}

impl Pointer {
    /// The pointer to a version whose film lasts that long.
    pub fn to(keys: &Keys, duration_micros: u64) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "milliseconds of a film fit 52 bits")]
        let duration_seconds = (duration_micros / 1000) as f64 / 1000.0;
        Self {
            schema: "weir-title/v1",
            title: keys.title.to_string(),
            version: keys.version.to_string(),
            hls: format!("{}/{MULTIVARIANT}", keys.version),
            dash: format!("{}/{MPD}", keys.version),
            duration_seconds,
        }
    }
}
