//! HLS: RFC 8216, and of draft-pantos-hls-rfc8216bis what says where bytes lie.
//!
//! Read line by line, once. A tag that says nothing of bytes is passed over; one that does and
//! cannot be understood ends the reading, since a player would stop there, too.

mod attributes;
mod media;
mod multivariant;
mod variables;

pub use variables::Variables;

use crate::{Ladder, Listing, PlaylistError, Why, listing::Collector};
use attributes::Attributes;
use media::Media;
use multivariant::Multivariant;
use variables::Room;

/// One line that means something.
enum Line<'a> {
    /// Name without `#`, and what follows the colon.
    Tag(&'a str, &'a str),
    Uri(&'a str),
}

pub(crate) fn read(
    text: &str,
    url: &str,
    ladder: Ladder,
    inherited: &Variables,
) -> Result<Listing, PlaylistError> {
    // RFC 8216 §4: "Playlist files MUST NOT contain any Byte Order Mark".
    if text.starts_with('\u{feff}') {
        return Err(PlaylistError::ByteOrderMark);
    }
    let mut found = Collector::default();
    let mut variables = Variables::default();
    let room = Room::default();
    let mut master = Multivariant::default();
    let mut media = Media::default();
    let mut lines = text.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line));
    if lines.next().map(str::trim_end) != Some("#EXTM3U") {
        return Err(PlaylistError::NoHeader);
    }
    for (at, line) in lines.enumerate() {
        let wrong = |what| PlaylistError::Tag { line: at + 2, what };
        match meaning(line) {
            None => {}
            Some(Line::Uri(uri)) => {
                let uri = variables.replaced(uri, &room).map_err(wrong)?;
                if !master.uri(&uri) {
                    media.segment(&mut found, url, &uri, wrong)?;
                }
            }
            Some(Line::Tag("EXT-X-DEFINE", value)) => {
                let attributes = Attributes::read(value, None).map_err(wrong)?;
                variables.define(&attributes, url, inherited).map_err(wrong)?;
            }
            Some(Line::Tag(name, value)) => {
                let attributes =
                    || Attributes::read(value, Some((&variables, &room))).map_err(wrong);
                let mut beside = |key: &str, why: Why| -> Result<(), PlaylistError> {
                    if let Some(uri) = attributes()?.text(key) {
                        found.skip(uri, why);
                    }
                    Ok(())
                };
                match name {
                    "EXT-X-SESSION-DATA" => beside("URI", Why::Beside)?,
                    "EXT-X-CONTENT-STEERING" => beside("SERVER-URI", Why::Beside)?,
                    "EXT-X-DATERANGE" => {
                        beside("X-ASSET-URI", Why::Beside)?;
                        beside("X-ASSET-LIST", Why::Beside)?;
                    }
                    "EXT-X-PART" | "EXT-X-PRELOAD-HINT" => beside("URI", Why::Part)?,
                    _ => {
                        let taken = master.tag(&mut found, url, name, &attributes, wrong)?;
                        if !taken {
                            media.tag(&mut found, url, (name, value), &attributes, wrong)?;
                        }
                    }
                }
            }
        }
    }
    // RFC 8216 §4.1: tags of both make a playlist that must not be parsed.
    if master.any && media.any {
        return Err(PlaylistError::Mixed);
    }
    found.listing.live = media.any && !media.ended;
    master.list(&mut found, url, ladder)?;
    found.listing.variables = variables;
    Ok(found.listing)
}

/// RFC 8216 §4.1: blank lines and comments mean nothing.
fn meaning(line: &str) -> Option<Line<'_>> {
    let line = line.trim_matches([' ', '\t']);
    match line.strip_prefix('#') {
        None if line.is_empty() => None,
        None => Some(Line::Uri(line)),
        Some(tag) if tag.starts_with("EXT") => {
            let (name, value) = tag.split_once(':').unwrap_or((tag, ""));
            Some(Line::Tag(name, value))
        }
        Some(_) => None,
    }
}
