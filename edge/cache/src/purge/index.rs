//! Which orders mean an object: the newest of each mode for each selector, found by a few
//! lookups however many there are.

use std::{
    collections::{BTreeMap, HashMap, hash_map},
    ops::Bound,
    sync::Arc,
};

use super::{Mode, Order, Selector, Standing, Subject, tag_hash};
use crate::{chunk::ObjectId, object::primary_key};

/// Newest order of each mode; epoch 0 is none.
#[derive(Debug, Clone, Copy, Default)]
struct Marks {
    hard: u64,
    soft: u64,
    soft_millis: u64,
}

/// Orders by what they select.
#[derive(Debug, Default)]
pub(super) struct Index {
    all: Marks,
    services: HashMap<Arc<str>, Marks>,
    tags: HashMap<u64, Marks>,
    keys: HashMap<ObjectId, Marks>,
    prefixes: BTreeMap<Arc<[u8]>, Marks>,
}

impl Index {
    /// Takes an order in. Gives the epochs of those that it makes superfluous: older ones of
    /// the same selector, by a hard order those of both modes.
    pub(super) fn set(&mut self, order: &Order) -> impl Iterator<Item = u64> + use<> {
        let marks = self.marks(&order.selector);
        let superfluous = match order.mode {
            Mode::Hard => {
                let old = [marks.hard, marks.soft];
                *marks = Marks { hard: order.epoch, ..Marks::default() };
                old
            }
            Mode::Soft => {
                let old = [marks.soft, 0];
                (marks.soft, marks.soft_millis) = (order.epoch, order.at_millis);
                old
            }
        };
        superfluous.into_iter().filter(|epoch| *epoch > 0)
    }

    /// Takes an order out, where it still stands.
    pub(super) fn unset(&mut self, order: &Order) {
        let marks = self.marks(&order.selector);
        match order.mode {
            Mode::Hard if marks.hard == order.epoch => marks.hard = 0,
            Mode::Soft if marks.soft == order.epoch => marks.soft = 0,
            _ => {}
        }
        let empty = marks.hard == 0 && marks.soft == 0;
        match &order.selector {
            _ if !empty => {}
            Selector::Key(key) => drop(self.keys.remove(&ObjectId::of(key))),
            Selector::Prefix(prefix) => drop(self.prefixes.remove(prefix.as_bytes())),
            Selector::Tag(tag) => drop(self.tags.remove(&tag_hash(tag.as_bytes()))),
            Selector::Service(service) => drop(self.services.remove(service)),
            Selector::All => {}
        }
    }

    fn marks(&mut self, selector: &Selector) -> &mut Marks {
        match selector {
            Selector::Key(key) => self.keys.entry(ObjectId::of(key)).or_default(),
            Selector::Prefix(prefix) => self.prefixes.entry(prefix.as_bytes().into()).or_default(),
            Selector::Tag(tag) => self.tags.entry(tag_hash(tag.as_bytes())).or_default(),
            Selector::Service(service) => match self.services.entry(service.clone()) {
                hash_map::Entry::Occupied(place) => place.into_mut(),
                hash_map::Entry::Vacant(place) => place.insert(Marks::default()),
            },
            Selector::All => &mut self.all,
        }
    }

    /// Whether an order of this very selector and mode stands already.
    pub(super) fn has(&self, selector: &Selector, mode: Mode) -> bool {
        let marks = match selector {
            Selector::Key(key) => self.keys.get(&ObjectId::of(key)),
            Selector::Prefix(prefix) => self.prefixes.get(prefix.as_bytes()),
            Selector::Tag(tag) => self.tags.get(&tag_hash(tag.as_bytes())),
            Selector::Service(service) => self.services.get(service),
            Selector::All => Some(&self.all),
        };
        marks.is_some_and(|marks| match mode {
            Mode::Hard => marks.hard > 0,
            Mode::Soft => marks.soft > 0,
        })
    }

    pub(super) fn judge(&self, subject: &Subject<'_>) -> Standing {
        let mut standing = Standing::Valid;
        self.each(subject, |marks| {
            standing = match standing {
                Standing::Gone => Standing::Gone,
                _ if marks.hard > subject.epoch => Standing::Gone,
                Standing::Valid if marks.soft > subject.epoch => {
                    Standing::Stale { since_millis: marks.soft_millis }
                }
                Standing::Stale { since_millis } if marks.soft > subject.epoch => {
                    Standing::Stale { since_millis: since_millis.min(marks.soft_millis) }
                }
                same => same,
            };
        });
        standing
    }

    /// The order that decides over an object: the newest hard one that means it, else the
    /// newest soft one.
    pub(super) fn decisive(&self, subject: &Subject<'_>) -> Option<u64> {
        let (mut hard, mut soft) = (0, 0);
        self.each(subject, |marks| {
            hard = hard.max(marks.hard);
            soft = soft.max(marks.soft);
        });
        [hard, soft].into_iter().find(|epoch| *epoch > subject.epoch)
    }

    /// Whether a newer and wider order does all that this one does.
    pub(super) fn covers(&self, order: &Order) -> bool {
        let nobody = ObjectId(0);
        let (key, id, service) = match &order.selector {
            Selector::Key(key) => (&**key, ObjectId::of(key), service_of(key)),
            Selector::Prefix(prefix) => (&**prefix, nobody, service_of(prefix)),
            // Nothing but everything covers what may be anywhere.
            Selector::Tag(_) | Selector::Service(_) | Selector::All => ("", nobody, ""),
        };
        let subject = Subject { key, id, service, tags: &[], epoch: order.epoch };
        let mut covered = false;
        self.each(&subject, |marks| {
            covered |= marks.hard > order.epoch;
            covered |= order.mode == Mode::Soft && marks.soft > order.epoch;
        });
        covered
    }

    fn each(&self, subject: &Subject<'_>, mut found: impl FnMut(&Marks)) {
        found(&self.all);
        if !self.services.is_empty() {
            self.services.get(subject.service).into_iter().for_each(&mut found);
        }
        if !self.keys.is_empty() {
            self.keys.get(&subject.id).into_iter().for_each(&mut found);
            let primary = primary_key(subject.key);
            if primary.len() < subject.key.len() {
                self.keys.get(&ObjectId::of(primary)).into_iter().for_each(&mut found);
            }
        }
        if !self.tags.is_empty() {
            subject.tags.iter().filter_map(|tag| self.tags.get(tag)).for_each(&mut found);
        }
        if !self.prefixes.is_empty() {
            self.each_prefix(subject.key.as_bytes(), found);
        }
    }

    /// Every prefix of `key` that is in the map, longest first. The greatest entry that is not
    /// behind the bound is a prefix of the key, or else all shorter prefixes of the key lie
    /// within what the two have in common: the bound falls to there, so that each step but
    /// those that find something shortens it.
    fn each_prefix(&self, key: &[u8], mut found: impl FnMut(&Marks)) {
        let mut bound = Bound::Included(key);
        while let Some((entry, marks)) =
            self.prefixes.range::<[u8], _>((Bound::Unbounded, bound)).next_back()
        {
            let common = entry.iter().zip(key).take_while(|(a, b)| a == b).count();
            if common == entry.len() {
                found(marks);
                bound = Bound::Excluded(&key[..common]);
            } else {
                bound = Bound::Included(&key[..common]);
            }
        }
    }
}

/// A cache key begins with its service; one that is cut within it names none.
fn service_of(key: &str) -> &str {
    key.split_once('|').map_or("", |(service, _)| service)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn order(epoch: u64, mode: Mode, selector: Selector) -> Order {
        Order { epoch, at_millis: epoch * 10, mode, selector }
    }

    fn selector(text: &'static str) -> Selector {
        match text.split_once(' ') {
            Some(("key", key)) => Selector::Key(key.into()),
            Some(("prefix", prefix)) => Selector::Prefix(prefix.into()),
            Some(("tag", tag)) => Selector::Tag(tag.into()),
            Some(("service", service)) => Selector::Service(service.into()),
            _ => Selector::All,
        }
    }

    const GONE: Standing = Standing::Gone;
    const VALID: Standing = Standing::Valid;

    #[test]
    fn each_selector_takes_its_own() {
        let check = |text: &'static str, standing: Standing| {
            let mut index = Index::default();
            let order = order(5, Mode::Hard, selector(text));
            assert_eq!(index.set(&order).count(), 0);
            let (key, tags) = ("film|h|/vod/a.m4s", [tag_hash(b"title:1"), tag_hash(b"b")]);
            let subject =
                |epoch| Subject { key, id: ObjectId::of(key), service: "film", tags: &tags, epoch };
            assert_eq!(index.judge(&subject(4)), standing, "{text}");
            assert_eq!(index.judge(&subject(5)), VALID, "{text}, asked for after it");
            assert_eq!(selector(text).takes(&subject(9)), standing == GONE, "{text}");
            index.unset(&order);
            assert_eq!(index.judge(&subject(4)), VALID, "{text}, let go");
        };
        check("key film|h|/vod/a.m4s", GONE);
        check("key film|h|/vod/a", VALID);
        check("prefix film|h|/vod/", GONE);
        check("prefix film|h|/vod/a.m4s", GONE);
        check("prefix film|h|/vod/a.m4s?", VALID);
        check("prefix film|h|/live/", VALID);
        check("tag title:1", GONE);
        check("tag TITLE:1", GONE);
        check("tag title:2", VALID);
        check("service film", GONE);
        check("service fil", VALID);
        check("all", GONE);
    }

    #[test]
    fn hard_outdoes_soft() {
        let mut index = Index::default();
        let key = "film|h|/a";
        let judge = |index: &Index, epoch| {
            let id = ObjectId::of(key);
            index.judge(&Subject { key, id, service: "film", tags: &[], epoch })
        };
        let soft = order(3, Mode::Soft, selector("service film"));
        assert_eq!(index.set(&soft).count(), 0);
        assert_eq!(judge(&index, 2), Standing::Stale { since_millis: 30 });
        let later = order(4, Mode::Soft, Selector::All);
        assert_eq!(index.set(&later).count(), 0);
        assert_eq!(judge(&index, 2), Standing::Stale { since_millis: 30 });
        assert_eq!(judge(&index, 3), Standing::Stale { since_millis: 40 });
        let hard = order(5, Mode::Hard, selector("service film"));
        assert_eq!(index.set(&hard).collect::<Vec<_>>(), [3]);
        assert_eq!((judge(&index, 4), judge(&index, 5)), (GONE, VALID));
    }

    #[test]
    fn wider_orders_make_others_superfluous() {
        let check = |narrow: &'static str, wide: &'static str, covered: bool| {
            let mut index = Index::default();
            let narrow = order(1, Mode::Hard, selector(narrow));
            assert_eq!(index.set(&narrow).count(), 0);
            assert!(!index.covers(&narrow), "{narrow:?} by itself");
            assert_eq!(index.set(&order(2, Mode::Soft, selector(wide))).count(), 0);
            assert!(!index.covers(&narrow), "{narrow:?} by a soft one");
            index.set(&order(3, Mode::Hard, selector(wide))).count();
            assert_eq!(index.covers(&narrow), covered, "{narrow:?} by {wide}");
        };
        check("key film|h|/vod/a", "prefix film|h|/vod/", true);
        check("key film|h|/vod/a", "service film", true);
        check("key film|h|/vod/a", "service other", false);
        check("key film|h|/vod/a", "all", true);
        check("prefix film|h|/vod/", "prefix film|h|/", true);
        check("prefix film|h|/", "prefix film|h|/vod/", false);
        check("prefix film|", "service film", true);
        check("prefix fil", "service fil", false);
        check("tag a", "service film", false);
        check("tag a", "all", true);
        check("service film", "all", true);
        check("service film", "prefix film|", false);
    }

    proptest! {
        #[test]
        fn prefixes_are_all_found(
            prefixes in prop::collection::btree_set("[ab]{1,5}", 0..12),
            key in "[ab]{0,8}",
        ) {
            let mut index = Index::default();
            for (number, prefix) in (1..).zip(&prefixes) {
                index.set(&order(number, Mode::Hard, Selector::Prefix(prefix.as_str().into()))).count();
            }
            let mut found = Vec::new();
            index.each_prefix(key.as_bytes(), |marks| found.push(marks.hard));
            let mut expected: Vec<u64> = (1..)
                .zip(&prefixes)
                .filter(|(_, prefix)| key.starts_with(&***prefix))
                .map(|(number, _)| number)
                .collect();
            expected.reverse();
            prop_assert_eq!(found, expected);
        }
    }
}
