//! Where the segments of a representation are: `SegmentTemplate`, `SegmentList`, `SegmentBase`,
//! or one file (ISO/IEC 23009-1 §5.3.9).

use super::{
    Period,
    template::{Values, expand, tells_apart},
    timeline::times,
    tree::Element,
};
use crate::{
    ITEMS_MAX, PlaylistError, What, Why,
    listing::{ByteRange, Collector},
};

/// One representation with what it inherits, innermost first.
pub(super) struct Addressing<'e> {
    levels: [&'e Element; 3],
    representation: &'e Element,
    period_millis: Option<u64>,
}

/// One of the three elements, on all levels that have it.
struct Told<'e>(Vec<&'e Element>);

impl<'e> Told<'e> {
    /// An attribute of the innermost level that has it.
    fn attribute(&self, name: &str) -> Option<&'e str> {
        self.0.iter().find_map(|level| level.attribute(name))
    }

    fn number(&self, name: &str) -> Option<u64> {
        self.0.iter().find_map(|level| level.number(name))
    }

    fn child(&self, name: &str) -> Option<&'e Element> {
        self.0.iter().find_map(|level| level.child(name))
    }
}

impl<'e> Addressing<'e> {
    pub(super) fn of(period: &Period<'e>, set: &'e Element, representation: &'e Element) -> Self {
        let levels = [representation, set, period.element];
        Self { levels, representation, period_millis: period.millis }
    }

    /// The way that the innermost level names which names any.
    pub(super) fn list(&self, found: &mut Collector, base: &str) -> Result<(), PlaylistError> {
        for level in self.levels {
            for name in ["SegmentTemplate", "SegmentList", "SegmentBase"] {
                if level.child(name).is_none() {
                    continue;
                }
                let told = Told(self.levels.iter().filter_map(|level| level.child(name)).collect());
                return match name {
                    "SegmentTemplate" => self.template(&told, found, base),
                    "SegmentList" => list(&told, found, base),
                    // Its index and everything else lie inside of the file.
                    _ => self.file(found, base),
                };
            }
        }
        self.file(found, base)
    }

    /// All of it is one file, which a `BaseURL` names.
    fn file(&self, found: &mut Collector, base: &str) -> Result<(), PlaylistError> {
        match self.levels.iter().any(|level| level.child("BaseURL").is_some()) {
            true => found.take(base, base, What::Segment, None),
            // Nothing names it.
            false => Ok(()),
        }
    }

    fn template(
        &self,
        told: &Told<'_>,
        found: &mut Collector,
        base: &str,
    ) -> Result<(), PlaylistError> {
        let values = Values {
            id: self.representation.attribute("id").unwrap_or_default(),
            bandwidth: self.representation.number("bandwidth").unwrap_or(0),
            number: 0,
            time: 0,
        };
        let take = |found: &mut Collector, template: &str, values: &Values<'_>, what| match expand(
            template, values,
        ) {
            Some(reference) => found.take(base, &reference, what, None),
            None => {
                found.skip(template, Why::Template);
                Ok(())
            }
        };
        if let Some(template) = told.attribute("initialization") {
            take(found, template, &values, What::Init)?;
        } else if let Some(element) = told.child("Initialization") {
            initialization(element, found, base)?;
        }
        let Some(template) = told.attribute("media") else { return Ok(()) };
        if expand(template, &values).is_none() {
            found.skip(template, Why::Template);
            return Ok(());
        }
        let start = told.number("startNumber").unwrap_or(1);
        let scale = told.number("timescale").filter(|scale| *scale > 0).unwrap_or(1);
        let offset = told.number("presentationTimeOffset").unwrap_or(0);
        let times = match (told.child("SegmentTimeline"), told.number("duration")) {
            (Some(timeline), _) => {
                let end = self.period_millis.map(|millis| units(millis, scale));
                times(timeline, end.map(|end| end.saturating_add(offset)))
            }
            (None, Some(lasts)) if lasts > 0 => {
                let count = match (told.number("endNumber"), self.period_millis) {
                    (Some(end), _) => end.saturating_add(1).saturating_sub(start),
                    (None, Some(millis)) => units(millis, scale).div_ceil(lasts),
                    (None, None) => {
                        found.skip(template, Why::Clock);
                        return Ok(());
                    }
                };
                // One past the bound, so that too many are noticed.
                let count = count.min(ITEMS_MAX as u64 + 1);
                (0..count).map(|at| at.saturating_mul(lasts).saturating_add(offset)).collect()
            }
            // A single segment, which needs no time.
            _ => vec![offset],
        };
        // Several of one name are none that a player could tell apart.
        if times.len() > 1 && !tells_apart(template) {
            found.skip(template, Why::Template);
            return Ok(());
        }
        for (at, time) in times.into_iter().enumerate() {
            let number = start.saturating_add(at as u64);
            if told.number("endNumber").is_some_and(|end| number > end) {
                break;
            }
            take(found, template, &Values { number, time, ..values }, What::Segment)?;
        }
        Ok(())
    }
}

/// `SegmentList`: each segment by name, by range, or both.
fn list(told: &Told<'_>, found: &mut Collector, base: &str) -> Result<(), PlaylistError> {
    if let Some(element) = told.child("Initialization") {
        initialization(element, found, base)?;
    }
    let Some(level) = told.0.iter().find(|level| level.child("SegmentURL").is_some()) else {
        return Ok(());
    };
    for segment in level.all("SegmentURL") {
        let range = segment.attribute("mediaRange").and_then(byte_range);
        found.take(base, segment.attribute("media").unwrap_or(base), What::Segment, range)?;
    }
    Ok(())
}

fn initialization(
    element: &Element,
    found: &mut Collector,
    base: &str,
) -> Result<(), PlaylistError> {
    let range = element.attribute("range").and_then(byte_range);
    found.take(base, element.attribute("sourceURL").unwrap_or(base), What::Init, range)
}

/// `first-last`, RFC 9110 §14.1.2 without its unit.
fn byte_range(text: &str) -> Option<ByteRange> {
    let (first, last) = text.trim().split_once('-')?;
    let range = ByteRange { first: first.parse().ok()?, last: last.parse().ok()? };
    (range.first <= range.last).then_some(range)
}

/// Milliseconds in units of a timescale, rounded up.
fn units(millis: u64, scale: u64) -> u64 {
    let units = (u128::from(millis) * u128::from(scale)).div_ceil(1000);
    u64::try_from(units).unwrap_or(u64::MAX)
}
