//! Where the segments of a representation are: `SegmentTemplate`, `SegmentList`, `SegmentBase`,
//! or one file (ISO/IEC 23009-1 §5.3.9).

use super::{
    level::{Level, Told, WAYS, Way},
    template::{Values, expand, tells_apart},
    timeline::times,
    tree::{Element, NUMBER},
};
use crate::{
    ITEMS_MAX, PlaylistError, URL_MAX, What, Why,
    listing::{ByteRange, Collector},
};

/// One representation with what it inherits, innermost first.
pub(super) struct Addressing<'l, 'e> {
    levels: [&'l Level<'e>; 3],
    representation: &'e Element,
    period_millis: Option<u64>,
}

/// One of the three elements, on all levels that have it.
struct Inherited<'l, 'e>(Vec<&'l Told<'e>>);

impl<'l, 'e> Inherited<'l, 'e> {
    /// What the innermost level says that says it.
    fn first<T>(&self, of: impl FnMut(&&'l Told<'e>) -> Option<T>) -> Option<T> {
        self.0.iter().find_map(of)
    }

    fn attribute(&self, name: &str) -> Option<&'e str> {
        self.first(|level| level.element.attribute(name))
    }

    fn number(&self, name: &str) -> Option<u64> {
        self.first(|level| level.element.number(name))
    }

    fn initialization(&self) -> Option<&'e Element> {
        self.first(|level| level.initialization)
    }
}

impl<'l, 'e> Addressing<'l, 'e> {
    pub(super) fn of(
        levels: [&'l Level<'e>; 3],
        representation: &'e Element,
        period_millis: Option<u64>,
    ) -> Self {
        Self { levels, representation, period_millis }
    }

    /// The way that the innermost level names which names any.
    pub(super) fn list(&self, found: &mut Collector, base: &str) -> Result<(), PlaylistError> {
        found.work(0)?;
        let way = |level: &&Level<'_>| WAYS.into_iter().find(|way| level.told(*way).is_some());
        let told =
            |way| Inherited(self.levels.iter().filter_map(|level| level.told(way)).collect());
        match self.levels.iter().find_map(way) {
            Some(Way::Template) => self.template(&told(Way::Template), found, base),
            Some(Way::List) => list(&told(Way::List), found, base),
            // Its index and everything else lie inside of the file.
            Some(Way::Base) | None => self.file(found, base),
        }
    }

    /// All of it is one file, which a `BaseURL` names.
    fn file(&self, found: &mut Collector, base: &str) -> Result<(), PlaylistError> {
        match self.levels.iter().any(|level| level.has_base) {
            true => found.take(base, base, What::Segment, None),
            // Nothing names it.
            false => Ok(()),
        }
    }

    fn template(
        &self,
        told: &Inherited<'_, '_>,
        found: &mut Collector,
        base: &str,
    ) -> Result<(), PlaylistError> {
        let values = Values {
            id: self.representation.attribute("id").unwrap_or_default(),
            bandwidth: self.representation.number("bandwidth").unwrap_or(0),
            number: 0,
            time: 0,
        };
        let take = |found: &mut Collector, template: &str, values: &Values<'_>, what| {
            if let Some(reference) = expand(template, values) {
                return found.take(base, &reference, what, None);
            }
            found.skip(template, Why::Template);
            found.work(template.len().min(URL_MAX))
        };
        if let Some(template) = told.attribute("initialization") {
            take(found, template, &values, What::Init)?;
        } else if let Some(element) = told.initialization() {
            initialization(element, found, base)?;
        }
        let Some(template) = told.attribute("media") else { return Ok(()) };
        if expand(template, &values).is_none() {
            found.skip(template, Why::Template);
            return Ok(());
        }
        let apart = tells_apart(template);
        let start = told.number("startNumber").unwrap_or(1);
        let last = told.number("endNumber");
        // One past the bound, so that too many are noticed; of those that have no name of their
        // own a second one is enough.
        let most = if apart { ITEMS_MAX + 1 } else { 2 };
        let named = last.map_or(u64::MAX, |last| last.saturating_add(1).saturating_sub(start));
        let most = usize::try_from(named).map_or(most, |named| named.min(most));
        let scale = told.number("timescale").filter(|scale| *scale > 0).unwrap_or(1);
        let offset = told.number("presentationTimeOffset").unwrap_or(0);
        let timeline = told.first(|level| level.timeline.as_deref());
        let times = match (timeline, told.number("duration")) {
            (Some(runs), _) => {
                found.work(size_of_val(runs))?;
                let end = self.period_millis.map(|millis| units(millis, scale));
                times(runs, end.map(|end| end.saturating_add(offset)), most)
            }
            (None, Some(lasts)) if lasts > 0 => {
                let count = match (last, self.period_millis) {
                    (Some(_), _) => named,
                    (None, Some(millis)) => units(millis, scale).div_ceil(lasts),
                    (None, None) => {
                        found.skip(template, Why::Clock);
                        return Ok(());
                    }
                };
                let count = count.min(most as u64);
                (0..count).map(|at| at.saturating_mul(lasts).saturating_add(offset)).collect()
            }
            // A single segment, which needs no time.
            _ => vec![offset],
        };
        // Several of one name are none that a player could tell apart.
        if times.len() > 1 && !apart {
            found.skip(template, Why::Template);
            return Ok(());
        }
        for (at, time) in times.into_iter().enumerate() {
            let number = start.saturating_add(at as u64);
            if last.is_some_and(|last| number > last) {
                break;
            }
            take(found, template, &Values { number, time, ..values }, What::Segment)?;
        }
        Ok(())
    }
}

/// `SegmentList`: each segment by name, by range, or both.
fn list(told: &Inherited<'_, '_>, found: &mut Collector, base: &str) -> Result<(), PlaylistError> {
    if let Some(element) = told.initialization() {
        initialization(element, found, base)?;
    }
    let level = told.0.iter().find(|level| !level.segments.is_empty());
    for segment in level.into_iter().flat_map(|level| &level.segments) {
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
    let text = Some(text).filter(|text| text.len() <= NUMBER)?;
    let (first, last) = text.trim().split_once('-')?;
    let range = ByteRange { first: first.parse().ok()?, last: last.parse().ok()? };
    (range.first <= range.last).then_some(range)
}

/// Milliseconds in units of a timescale, rounded up.
fn units(millis: u64, scale: u64) -> u64 {
    let units = (u128::from(millis) * u128::from(scale)).div_ceil(1000);
    u64::try_from(units).unwrap_or(u64::MAX)
}
