//! Listing what the table holds, a page at a time, in an order that people ask for.

use std::{borrow::Cow, collections::BinaryHeap, fmt, str::FromStr, sync::Arc};

use super::{Pin, Table, Usage, View};
use crate::{chunk::ObjectId, object::StoredObject};

/// Objects on one page, at most.
pub const PAGE_MAX: usize = 1000;

/// Which objects are listed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Those whose key begins with one of these; all where there are none.
    pub prefixes: Vec<Box<str>>,
    /// Only those that are pinned.
    pub pinned: bool,
}

impl Filter {
    fn takes(&self, view: &View<'_>) -> bool {
        if self.pinned && !view.pinned {
            return false;
        }
        if self.prefixes.is_empty() {
            return true;
        }
        let key = view.key();
        self.prefixes.iter().any(|prefix| key.starts_with(&**prefix))
    }
}

/// In which order objects are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Sort {
    /// In no order that means anything. A page looks at few objects besides its own: the way to
    /// list them all.
    Any,
    /// By key, ascending.
    Key,
    /// Those read most often first.
    MostRead,
    /// Those whose last read is longest ago first, and those never read before them.
    LongestUnread,
    /// The largest first.
    Largest,
    /// Those that came or were revalidated last first.
    Newest,
}

/// Where the next page starts. Its text is for the next question and no one else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor(Rank);

/// A text that is no cursor.
#[derive(Debug, thiserror::Error)]
#[error("this is no cursor of a listing; leave it out to start from the beginning")]
pub struct BadCursor;

/// An object in a listing.
#[derive(Debug, Clone)]
pub struct Row {
    /// The object.
    pub object: Arc<StoredObject>,
    /// Reads since it came into the table or the process started; readers that meet on one
    /// object may count once.
    pub reads: u64,
    /// When it was last read, Unix seconds; `None` is not since then.
    pub read_seconds: Option<u64>,
    /// How it is pinned.
    pub pin: Option<Pin>,
}

/// A page of a listing.
#[derive(Debug, Clone, Default)]
pub struct Listing {
    /// In the order that was asked for.
    pub rows: Vec<Row>,
    /// `None` at the end.
    pub next: Option<Cursor>,
}

/// Place in an order; smaller comes first, and no two objects have the same.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    number: u64,
    key: Box<str>,
    id: ObjectId,
}

/// Equal and ordered by rank.
struct Candidate {
    rank: Rank,
    usage: Usage,
}

impl Table {
    /// The first objects after `cursor` that the filter takes. Looks at every object, but for
    /// [`Sort::Any`]: about a second for 10^7 of them, one shard locked at a time.
    pub(crate) fn list(
        &self,
        filter: &Filter,
        order: Sort,
        cursor: Option<&Cursor>,
        limit: usize,
    ) -> Listing {
        let limit = limit.clamp(1, PAGE_MAX);
        // One more, to know whether that was all.
        let mut first = BinaryHeap::with_capacity(limit + 2);
        let any = order == Sort::Any;
        let start = cursor.filter(|_| any).map_or(0, |cursor| cursor.0.number);
        for shard in usize::try_from(start).unwrap_or(usize::MAX)..self.shards() {
            if any && first.len() > limit {
                break;
            }
            self.scan(shard, |view| {
                if !filter.takes(view) {
                    return;
                }
                // Compared before it is copied: of 10^7 objects few come onto the page.
                let key = if order == Sort::Key { view.key() } else { Cow::Borrowed("") };
                let number = number(view, order, shard);
                let rank = (number, &*key, view.id);
                if cursor.is_some_and(|cursor| rank <= cursor.0.parts()) {
                    return;
                }
                let late = first.peek().is_some_and(|last: &Candidate| rank >= last.rank.parts());
                if first.len() > limit && late {
                    return;
                }
                let rank = Rank { number, key: (&*key).into(), id: view.id };
                first.push(Candidate { rank, usage: view.usage });
                if first.len() > limit + 1 {
                    first.pop();
                }
            });
        }
        let mut found = first.into_sorted_vec();
        let more = found.len() > limit;
        found.truncate(limit);
        let next = found.last().filter(|_| more).map(|last| Cursor(last.rank.clone()));
        // One that left since is not listed.
        let rows = found.into_iter().filter_map(|candidate| {
            Some(Row {
                object: self.peek(candidate.rank.id)?,
                reads: candidate.usage.reads.into(),
                read_seconds: Some(candidate.usage.read_seconds.into()).filter(|s| *s != 0),
                pin: self.pin_of(candidate.rank.id),
            })
        });
        Listing { rows: rows.collect(), next }
    }
}

fn number(view: &View<'_>, order: Sort, shard: usize) -> u64 {
    match order {
        Sort::Any => shard as u64,
        Sort::Key => 0,
        Sort::MostRead => !u64::from(view.usage.reads),
        Sort::LongestUnread => view.usage.read_seconds.into(),
        Sort::Largest => !view.size(),
        Sort::Newest => !view.response_millis(),
    }
}

impl Rank {
    fn parts(&self) -> (u64, &str, ObjectId) {
        (self.number, &self.key, self.id)
    }
}

impl PartialEq for Candidate {
    fn eq(&self, other: &Self) -> bool {
        self.rank == other.rank
    }
}

impl Eq for Candidate {}

impl PartialOrd for Candidate {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Candidate {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.rank.cmp(&other.rank)
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Rank { number, key, id } = &self.0;
        write!(f, "{number:x}.{:x}.{key}", id.0)
    }
}

impl FromStr for Cursor {
    type Err = BadCursor;

    fn from_str(text: &str) -> Result<Self, BadCursor> {
        let mut parts = text.splitn(3, '.');
        let mut part = || parts.next().ok_or(BadCursor);
        let number = u64::from_str_radix(part()?, 16).map_err(|_| BadCursor)?;
        let id = u128::from_str_radix(part()?, 16).map_err(|_| BadCursor)?;
        Ok(Self(Rank { number, key: part()?.into(), id: ObjectId(id) }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::tests::object;

    fn beginning(prefix: &str) -> Filter {
        Filter { prefixes: vec![prefix.into()], pinned: false }
    }

    fn pages(table: &Table, prefix: &str, order: Sort, limit: usize) -> Vec<String> {
        let filter = beginning(prefix);
        let mut keys = Vec::new();
        let mut cursor = None;
        loop {
            let page = table.list(&filter, order, cursor.as_ref(), limit);
            assert!(page.rows.len() <= limit);
            keys.extend(page.rows.iter().map(|row| row.object.key.to_string()));
            let Some(next) = page.next else { return keys };
            // As it comes back from an operator.
            cursor = Some(next.to_string().parse().unwrap());
        }
    }

    #[test]
    fn pages_come_in_order_and_end() {
        let table = Table::new(10_000);
        for number in 0..100_u32 {
            let key = format!("{}|h|/{:02}.m4s", ["film", "live"][number as usize % 2], number);
            let mut object = object(&key, 1, u64::from(number * 37 % 100));
            object.response_millis = u64::from(number * 11 % 100);
            let id = object.id;
            table.insert(Arc::new(object));
            table.tick(1000 + number);
            for _ in 0..number / 10 {
                table.get(id).unwrap();
            }
        }
        let keys = pages(&table, "film|", Sort::Key, 7);
        assert_eq!(keys.len(), 50);
        assert!(keys.is_sorted() && keys.iter().all(|key| key.starts_with("film|")));
        for order in [Sort::Any, Sort::MostRead, Sort::LongestUnread, Sort::Largest, Sort::Newest] {
            let mut all = pages(&table, "", order, 9);
            all.sort();
            all.dedup();
            assert_eq!(all.len(), 100, "{order:?}");
        }
        let first = |order| table.list(&Filter::default(), order, None, 1).rows.remove(0);
        assert_eq!(first(Sort::Largest).object.size, 99);
        assert_eq!(first(Sort::Newest).object.response_millis, 99);
        let most = first(Sort::MostRead);
        assert_eq!((most.reads, &most.object.key[7..9]), (9, "/9"));
        let least = first(Sort::LongestUnread);
        assert_eq!((least.reads, least.read_seconds), (0, None));
    }

    #[test]
    fn all_of_many_shards_are_listed_once() {
        let table = Table::new(20_000);
        assert!(table.shards() > 4);
        for number in 0..10_000_u32 {
            table.insert(Arc::new(object(&format!("{number}"), 1, 1)));
        }
        let mut keys = pages(&table, "", Sort::Any, 1000);
        keys.sort();
        keys.dedup();
        assert_eq!(keys.len(), 10_000);
    }

    #[test]
    fn those_that_are_pinned() {
        let table = Table::new(1000);
        for key in ["a", "b", "c"] {
            table.insert(Arc::new(object(key, 1, 1)));
        }
        let pin = Some(Pin::until(1_800_000_000));
        assert!(table.pin(ObjectId::of("b"), pin));
        let filter = Filter { prefixes: vec!["a".into(), "b".into()], pinned: true };
        let rows = table.list(&filter, Sort::Key, None, 10).rows;
        let found: Vec<_> = rows.iter().map(|row| (&*row.object.key, row.pin)).collect();
        assert_eq!(found, [("b", pin)]);
    }

    #[test]
    fn bad_cursors_are_refused() {
        for text in ["", "x", "1", "1.2", "-1.2.a", "1.zz.a", "11111111111111111.1.a"] {
            assert!(text.parse::<Cursor>().is_err(), "{text}");
        }
        assert_eq!("a.b.film|x|/a.b".parse::<Cursor>().unwrap().to_string(), "a.b.film|x|/a.b");
    }
}
