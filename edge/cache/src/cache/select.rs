//! What operators look up: pages of the table, what selectors mean, stored bytes.

use std::sync::Arc;

use super::Cache;
use crate::{
    chunk::{Chunk, ChunkKey, ObjectId},
    object::StoredObject,
    purge::{Selector, Standing},
    table::{Cursor, Filter, Listing, Sort},
};

/// An object that selectors mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meant {
    /// Its id.
    pub id: ObjectId,
    /// Its cache key.
    pub key: Box<str>,
    /// Bytes of its body.
    pub size: u64,
}

impl Cache {
    /// A page of what is in the table: objects that the filter takes, after `cursor`, at most
    /// `limit` and [`PAGE_MAX`](crate::PAGE_MAX); what was purged is left out. Looks at every
    /// object, about a second for 10^7 of them (but for [`Sort::Any`]): call it where that holds
    /// up nobody.
    pub fn list(
        &self,
        filter: &Filter,
        order: Sort,
        cursor: Option<&Cursor>,
        limit: usize,
    ) -> Listing {
        let mut listing = self.table.list(filter, order, cursor, limit);
        let gone = |object: &StoredObject| self.ledger.judge(&object.into()) == Standing::Gone;
        listing.rows.retain(|row| !gone(&row.object));
        listing
    }

    /// Into how many parts [`Cache::meant`] divides the table.
    pub fn parts(&self) -> usize {
        self.table.shards()
    }

    /// The objects of a part of the table that selectors mean, by id. Some milliseconds.
    pub fn meant(&self, selectors: &[Selector], part: usize) -> Vec<Meant> {
        let mut meant = Vec::new();
        if part >= self.parts() {
            return meant;
        }
        self.each(part, |subject, size, standing| {
            let taken = selectors.iter().any(|selector| selector.takes(subject));
            if taken && standing != Standing::Gone {
                meant.push(Meant { id: subject.id, key: subject.key.into(), size });
            }
        });
        meant.sort_unstable_by_key(|meant| meant.id);
        meant
    }

    /// Whether the state file is still being read, so that there is more than the table has.
    pub fn is_loading(&self) -> bool {
        self.table.is_loading()
    }

    /// The object of an id, whatever its key; not what was purged. Counts as no read.
    pub fn known_as(&self, id: &ObjectId) -> Option<Arc<StoredObject>> {
        let object = self.known(id, |table| table.peek(*id))?;
        (self.ledger.judge(&(&*object).into()) != Standing::Gone).then_some(object)
    }

    /// The bytes of a chunk as they are stored, on disk first and then in RAM, checked against
    /// their sums. They do not come into RAM by that.
    pub async fn stored_chunk(&self, key: &ChunkKey) -> Option<Chunk> {
        if let Some(store) = &self.store
            && let Some(chunk) = store.read(key).await
        {
            return Some(chunk);
        }
        let chunk = self.ram.get(key)?;
        Chunk::verified(chunk.data().clone(), chunk.sums())
    }
}
