//! What one element says of the segments below it, looked up once: a period may have children by
//! the hundred thousand, and as many representations that inherit from it.

use super::{
    timeline::{Run, runs},
    tree::Element,
};

/// The ways to say where segments are, the first one counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    Template,
    List,
    Base,
}

pub(super) const WAYS: [Way; 3] = [Way::Template, Way::List, Way::Base];

/// A period, an adaptation set or a representation.
#[derive(Debug, Default)]
pub(super) struct Level<'e> {
    told: [Option<Told<'e>>; 3],
    /// Whether it has a `BaseURL`.
    pub(super) has_base: bool,
}

/// One of the three elements; of its children the first of each name.
#[derive(Debug)]
pub(super) struct Told<'e> {
    pub(super) element: &'e Element,
    pub(super) initialization: Option<&'e Element>,
    pub(super) timeline: Option<Vec<Run>>,
    /// `SegmentURL`, all of them.
    pub(super) segments: Vec<&'e Element>,
}

impl<'e> Level<'e> {
    pub(super) fn of(element: &'e Element) -> Self {
        let mut found = Self::default();
        for child in &element.children {
            let way = match &*child.name {
                "SegmentTemplate" => Way::Template,
                "SegmentList" => Way::List,
                "SegmentBase" => Way::Base,
                "BaseURL" => {
                    found.has_base = true;
                    continue;
                }
                _ => continue,
            };
            found.told[way as usize].get_or_insert_with(|| Told::of(child));
        }
        found
    }

    pub(super) fn told(&self, way: Way) -> Option<&Told<'e>> {
        self.told[way as usize].as_ref()
    }
}

impl<'e> Told<'e> {
    fn of(element: &'e Element) -> Self {
        Self {
            element,
            initialization: element.child("Initialization"),
            timeline: element.child("SegmentTimeline").map(runs),
            segments: element.all("SegmentURL").collect(),
        }
    }
}
