//! What a player says of itself when it asks: the pathways it has used and how fast they were.
//!
//! hls.js and Shaka send `_HLS_pathway` and `_HLS_throughput`, one value each; dash.js sends
//! `_DASH_pathway` and `_DASH_throughput`, each a quoted list. It is what a stranger claims:
//! whatever cannot be read is as if it were not there, and a question is answered all the same.

use crate::document::{PATHWAYS_MAX, is_pathway};

/// Of a longer query nothing is read.
pub const QUERY_MAX: usize = 4096;
/// Most pathways that are read of one question.
pub const ASKED_MAX: usize = PATHWAYS_MAX;
/// Faster than this nobody is, bits a second.
const FASTEST: u64 = 1_000_000_000_000;

/// A pathway that a player used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Its id, as the player says it. It may be none of ours.
    pub pathway: String,
    /// How fast it was, bits a second, where the player says something possible.
    pub throughput: Option<u64>,
}

/// What a question says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Asked {
    /// The pathways, the one in use last or alone.
    pub seen: Vec<Seen>,
    /// Something of it could not be read.
    pub garbled: bool,
}

impl Asked {
    /// Reads the query of a URL, without its question mark.
    pub fn parse(query: &str) -> Self {
        if query.len() > QUERY_MAX {
            return Self { seen: Vec::new(), garbled: true };
        }
        let (mut pathways, mut speeds) = (None, None);
        let mut garbled = false;
        for pair in query.split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let slot = match name {
                "_HLS_pathway" | "_DASH_pathway" => &mut pathways,
                "_HLS_throughput" | "_DASH_throughput" => &mut speeds,
                _ => continue,
            };
            // Of two values of one name the first counts.
            match decoded(value) {
                Some(value) if slot.is_none() => *slot = Some(value),
                _ => garbled = true,
            }
        }
        let members = |list: Option<String>| -> Vec<String> {
            let list = list.unwrap_or_default();
            let list = list.trim().trim_matches('"');
            list.split(',').map(|it| it.trim().trim_matches('"').to_owned()).collect()
        };
        let (pathways, speeds) = (members(pathways), members(speeds));
        garbled |= pathways.len() > ASKED_MAX;
        let mut seen: Vec<Seen> = Vec::new();
        for (at, pathway) in pathways.into_iter().take(ASKED_MAX).enumerate() {
            let told = speeds.get(at).map(String::as_str).filter(|told| !told.is_empty());
            let throughput = told.and_then(speed);
            garbled |= told.is_some() && throughput.is_none();
            if is_pathway(&pathway) {
                seen.push(Seen { pathway, throughput });
            } else {
                garbled |= !pathway.is_empty();
            }
        }
        Self { seen, garbled }
    }
}

/// A number of bits a second; players also say it with a fraction.
fn speed(text: &str) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(fraction) {
        return None;
    }
    whole.parse().ok().filter(|bits| *bits <= FASTEST)
}

/// Without percent-encoding; none where it is broken or no text.
fn decoded(value: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digit = |byte: u8| char::from(byte).to_digit(16);
                let (high, low) = (digit(rest.next()?)?, digit(rest.next()?)?);
                u8::try_from(high * 16 + low).ok()?
            }
            b'+' => b' ',
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}
