//! DASH manifests, ISO/IEC 23009-1: periods, adaptation sets, representations, and the four
//! ways in which a representation says where its segments are.

mod addressing;
mod level;
mod template;
mod timeline;
mod tree;

use std::borrow::Cow;

use crate::{
    Ladder, Listing, PlaylistError, Why,
    listing::{Collector, is_sound},
    uri,
};
use addressing::Addressing;
use level::Level;
use tree::Element;

/// A period, as its representations need it.
pub(crate) struct Period<'e> {
    element: &'e Element,
    /// None where only a clock tells its end.
    millis: Option<u64>,
}

pub(crate) fn read(text: &str, url: &str, ladder: Ladder) -> Result<Listing, PlaylistError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let root = tree::read(text)?;
    if &*root.name != "MPD" {
        return Err(PlaylistError::Xml { at: 0, what: "its root element is not MPD".into() });
    }
    let mut found = Collector::default();
    found.listing.live = root.attribute("type") == Some("dynamic");
    let base = base_of(&root, url, &mut found)?;
    for period in periods(&root) {
        // ISO/IEC 23009-1 §5.5: what lies elsewhere may be of anybody.
        if let Some(remote) = period.element.remote() {
            found.skip(remote, Why::Remote);
        }
        let base = base_of(period.element, &base, &mut found)?;
        let above = Level::of(period.element);
        let sets: Vec<&Element> = period.element.all("AdaptationSet").collect();
        let top = top_picture(&sets);
        for set in sets {
            if let Some(remote) = set.remote() {
                found.skip(remote, Why::Remote);
            }
            let base = base_of(set, &base, &mut found)?;
            let own = Level::of(set);
            for representation in wanted(set, ladder, top) {
                let base = base_of(representation, &base, &mut found)?;
                let innermost = Level::of(representation);
                let levels = [&innermost, &own, &above];
                Addressing::of(levels, representation, period.millis).list(&mut found, &base)?;
            }
        }
    }
    Ok(found.listing)
}

/// The periods, each with its length (ISO/IEC 23009-1 §5.3.2.1).
fn periods(root: &Element) -> Vec<Period<'_>> {
    let whole = root.attribute("mediaPresentationDuration").and_then(timeline::millis);
    let all: Vec<&Element> = root.all("Period").collect();
    let start = |period: &Element| period.attribute("start").and_then(timeline::millis);
    let mut at = Some(0);
    let mut found = Vec::with_capacity(all.len());
    for (index, element) in all.iter().enumerate() {
        at = start(element).or(at);
        let told = element.attribute("duration").and_then(timeline::millis);
        let next = match all.get(index + 1) {
            Some(next) => start(next),
            None => whole,
        };
        let till = || next?.checked_sub(at?);
        let millis = told.or_else(till);
        at = at.zip(millis).and_then(|(at, millis)| at.checked_add(millis));
        found.push(Period { element, millis });
    }
    found
}

/// The base of what an element holds: its first `BaseURL`, the others name the same elsewhere.
fn base_of<'u>(
    element: &Element,
    base: &'u str,
    found: &mut Collector,
) -> Result<Cow<'u, str>, PlaylistError> {
    match element.child("BaseURL").map(|inner| &*inner.text) {
        Some(reference) if is_sound(reference) => {
            found.work(base.len() + reference.len())?;
            Ok(uri::resolve(base, reference).into())
        }
        _ => Ok(base.into()),
    }
}

/// What a set is for; where it does not say so, its media type does.
fn is_of(set: &Element, kind: &str) -> bool {
    if let Some(said) = set.attribute("contentType") {
        return said == kind;
    }
    let own = set.attribute("mimeType");
    let inner = || set.child("Representation").and_then(|inner| inner.attribute("mimeType"));
    own.or_else(inner).is_some_and(|mime| mime.split('/').next() == Some(kind))
}

/// ISO/IEC 23009-4 and DASH-IF: pictures for winding, of which no rung is the top.
fn is_trick(set: &Element) -> bool {
    let trick = |property: &Element| {
        property.attribute("schemeIdUri").is_some_and(|scheme| scheme.contains("trickmode"))
    };
    set.all("EssentialProperty").any(trick)
}

fn bandwidth(representation: &Element) -> u64 {
    representation.number("bandwidth").unwrap_or(0)
}

/// The representation of the highest bandwidth of all sets of pictures; the first of equals.
fn top_picture<'e>(sets: &[&'e Element]) -> Option<&'e Element> {
    let pictures = sets.iter().filter(|set| is_of(set, "video") && !is_trick(set));
    let all: Vec<&Element> = pictures.flat_map(|set| set.all("Representation")).collect();
    all.into_iter().rev().max_by_key(|representation| bandwidth(representation))
}

fn wanted<'e>(set: &'e Element, ladder: Ladder, top: Option<&'e Element>) -> Vec<&'e Element> {
    let all: Vec<&Element> = set.all("Representation").collect();
    match ladder {
        Ladder::All => all,
        Ladder::Top if is_of(set, "video") => {
            let is_top = |representation: &&Element| {
                top.is_some_and(|top| std::ptr::eq(top, *representation))
            };
            all.into_iter().filter(is_top).collect()
        }
        // Of each language the best.
        Ladder::Top => all.into_iter().rev().max_by_key(|one| bandwidth(one)).into_iter().collect(),
    }
}
