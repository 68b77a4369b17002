//! Multivariant playlists: variants, and the renditions that play with them.

use std::collections::BTreeSet;

use super::{Attributes, media::key};
use crate::{Ladder, PlaylistError, What, listing::Collector};

/// `EXT-X-STREAM-INF` with its URI.
#[derive(Debug)]
struct Variant {
    /// `BANDWIDTH`, and to tell equals apart `AVERAGE-BANDWIDTH`.
    bandwidth: (u64, u64),
    /// The groups it plays with.
    groups: Vec<(Kind, String)>,
    uri: String,
}

/// Kinds of renditions that have URIs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Audio,
    Video,
    Subtitles,
}

const KINDS: [(Kind, &str); 3] =
    [(Kind::Audio, "AUDIO"), (Kind::Video, "VIDEO"), (Kind::Subtitles, "SUBTITLES")];

/// `EXT-X-MEDIA` with a URI.
#[derive(Debug)]
struct Rendition {
    group: (Kind, String),
    uri: String,
}

/// What the lines so far said.
#[derive(Debug, Default)]
pub(super) struct Multivariant {
    /// Whether a tag of multivariant playlists was there.
    pub(super) any: bool,
    /// Its URI is on the next line that is one.
    pending: Option<Variant>,
    variants: Vec<Variant>,
    renditions: Vec<Rendition>,
    /// `EXT-X-I-FRAME-STREAM-INF`.
    pictures: Vec<String>,
}

impl Multivariant {
    /// Whether a line that is a URI belongs to a variant.
    pub(super) fn uri(&mut self, uri: &str) -> bool {
        let Some(variant) = self.pending.take() else { return false };
        self.variants.push(Variant { uri: uri.to_owned(), ..variant });
        true
    }

    /// Whether a tag is one of these.
    pub(super) fn tag<'a>(
        &mut self,
        found: &mut Collector,
        base: &str,
        name: &str,
        attributes: &dyn Fn() -> Result<Attributes<'a>, PlaylistError>,
        wrong: impl Fn(&'static str) -> PlaylistError,
    ) -> Result<bool, PlaylistError> {
        match name {
            "EXT-X-STREAM-INF" => {
                let attributes = attributes()?;
                let of = |(kind, name): &(Kind, &str)| {
                    attributes.text(name).map(|group| (*kind, group.to_owned()))
                };
                let number = |name| attributes.number(name).unwrap_or(0);
                self.pending = Some(Variant {
                    bandwidth: (number("BANDWIDTH"), number("AVERAGE-BANDWIDTH")),
                    groups: KINDS.iter().filter_map(of).collect(),
                    uri: String::new(),
                });
            }
            "EXT-X-MEDIA" => {
                let attributes = attributes()?;
                let kind = attributes.text("TYPE");
                let kind =
                    KINDS.iter().find(|(_, name)| Some(*name) == kind).map(|(kind, _)| *kind);
                // Without a URI it is inside of the variant (RFC 8216 §4.3.4.2.1).
                if let (Some(kind), Some(uri)) = (kind, attributes.text("URI")) {
                    let group = attributes.text("GROUP-ID");
                    let group = group.ok_or_else(|| wrong("a rendition without its group"))?;
                    let group = (kind, group.to_owned());
                    self.renditions.push(Rendition { group, uri: uri.to_owned() });
                }
            }
            "EXT-X-I-FRAME-STREAM-INF" => {
                let attributes = attributes()?;
                let uri = attributes.text("URI").ok_or_else(|| wrong("pictures without a URI"))?;
                self.pictures.push(uri.to_owned());
            }
            "EXT-X-SESSION-KEY" => key(found, base, &attributes()?)?,
            _ => return Ok(false),
        }
        self.any = true;
        Ok(true)
    }

    /// Lists what of it is wanted.
    pub(super) fn list(
        &self,
        found: &mut Collector,
        base: &str,
        ladder: Ladder,
    ) -> Result<(), PlaylistError> {
        let mut take = |uri: &str| found.take(base, uri, What::Playlist, None);
        match ladder {
            Ladder::All => {
                for variant in &self.variants {
                    take(&variant.uri)?;
                }
                for rendition in &self.renditions {
                    take(&rendition.uri)?;
                }
                for uri in &self.pictures {
                    take(uri)?;
                }
            }
            Ladder::Top => {
                // The first of equals: the others are what players fall back to.
                let top = self.variants.iter().rev().max_by_key(|variant| variant.bandwidth);
                let Some(top) = top else { return Ok(()) };
                take(&top.uri)?;
                let groups: BTreeSet<&(Kind, String)> = top.groups.iter().collect();
                for rendition in &self.renditions {
                    if groups.contains(&rendition.group) {
                        take(&rendition.uri)?;
                    }
                }
            }
        }
        Ok(())
    }
}
