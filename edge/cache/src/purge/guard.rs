//! Where the ledger and the metadata table meet: every step in which a decision of the one and
//! a change of the other must not come apart. The interleaving tests run this very file.

use std::sync::Arc;

use super::{Ledger, Standing, Subject};
use crate::object::StoredObject;

/// What the table must be able to do; each at once for whoever looks.
pub(crate) trait Objects {
    /// What an insertion pushed out.
    type Displaced;
    fn insert(&self, object: Arc<StoredObject>) -> Self::Displaced;
    fn remove_if(
        &self,
        object: &StoredObject,
        same: impl FnOnce(&StoredObject) -> bool,
    ) -> Option<Arc<StoredObject>>;
    fn replace_if(
        &self,
        object: Arc<StoredObject>,
        same: impl FnOnce(&StoredObject) -> bool,
    ) -> bool;
}

/// What became of an object that was looked at.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Settled {
    /// It is not meant, or not there any more.
    Kept,
    /// It is stale from now on.
    Stale,
    /// It is out of the table.
    Gone(Arc<StoredObject>),
}

/// What `look` finds in the table, as it may be used: not at all, or as stale since it was
/// purged softly. An order may be let go between the look and the judgement; the object that it
/// meant left the table before, so that another look does not find it.
pub(crate) fn find(
    ledger: &Ledger,
    look: impl Fn() -> Option<Arc<StoredObject>>,
) -> Option<Arc<StoredObject>> {
    loop {
        let before = ledger.before();
        let object = look()?;
        match ledger.judge_since(before, &Subject::from(&*object)) {
            Some(Standing::Valid) => return Some(object),
            Some(Standing::Stale { since_millis }) => {
                return Some(Arc::new(object.stale(since_millis, object.epoch)));
            }
            Some(Standing::Gone) => return None,
            None => {}
        }
    }
}

/// Puts an object into the table, unless it was purged since its fill began. One purged softly
/// goes in as stale: the order may have been let go when it is looked up.
pub(crate) fn put<T: Objects>(
    ledger: &Ledger,
    table: &T,
    object: StoredObject,
) -> (Arc<StoredObject>, Option<T::Displaced>) {
    let object = Arc::new(object);
    let put = ledger.admit(&Subject::from(&*object), |standing, epoch| {
        let object = match standing {
            Standing::Stale { since_millis } => Arc::new(object.stale(since_millis, epoch)),
            _ => Arc::clone(&object),
        };
        (Arc::clone(&object), table.insert(object))
    });
    match put {
        Some((object, displaced)) => (object, Some(displaced)),
        None => (object, None),
    }
}

/// The same where `same` holds for what lies there at that moment; else nothing changes.
pub(crate) fn replace<T: Objects>(
    ledger: &Ledger,
    table: &T,
    object: StoredObject,
    same: impl FnOnce(&StoredObject) -> bool,
) -> (Arc<StoredObject>, bool) {
    let object = Arc::new(object);
    let replaced = ledger.admit(&Subject::from(&*object), |standing, epoch| {
        let object = match standing {
            Standing::Stale { since_millis } => Arc::new(object.stale(since_millis, epoch)),
            _ => Arc::clone(&object),
        };
        (Arc::clone(&object), table.replace_if(object, same))
    });
    replaced.unwrap_or((object, false))
}

/// Does to an object of the table what was ordered, if it is still this one.
pub(crate) fn settle<T: Objects>(
    ledger: &Ledger,
    table: &T,
    object: &Arc<StoredObject>,
) -> Settled {
    let same =
        |now: &StoredObject| (now.generation, now.epoch) == (object.generation, object.epoch);
    ledger.settled(&Subject::from(&**object), |standing, _, epoch| match standing {
        Standing::Valid => Settled::Kept,
        Standing::Stale { since_millis } => {
            match table.replace_if(Arc::new(object.stale(since_millis, epoch)), same) {
                true => Settled::Stale,
                false => Settled::Kept,
            }
        }
        Standing::Gone => table.remove_if(object, same).map_or(Settled::Kept, Settled::Gone),
    })
}
