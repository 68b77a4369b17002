//! Purge: what was ordered away, and what that means for an object that is still there.
//!
//! Nothing is searched for when an order comes. It gets the next number, the *epoch*, and goes
//! into the [`Ledger`]; every object carries the epoch that held when its upstream request was
//! sent, and a lookup compares the two. So a purge that races a fill wins without a lock
//! between them, and costs the same for one object and for all. Space is reclaimed behind it
//! ([`sweep`]); what the sweep has finished leaves the ledger.

pub(crate) mod guard;
mod index;
mod ledger;
pub(crate) mod record;
pub mod sweep;
mod tags;
#[cfg(test)]
mod tests;

use std::sync::Arc;

pub(crate) use self::ledger::{Delta, Ledger};
pub use self::{
    ledger::Ticket,
    tags::{tag_hash, tags_of},
};
use crate::{
    chunk::ObjectId,
    object::{StoredObject, primary_key},
};

/// Orders that are kept at once; at most some 20 MB.
pub const ORDERS_MAX: usize = 65_536;
/// Longest text of a selector.
pub const SELECTOR_MAX: usize = 16 << 10;

/// Which objects.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Selector {
    /// The object of this cache key, and its variants.
    Key(Arc<str>),
    /// Every object whose cache key begins so.
    Prefix(Arc<str>),
    /// Every object that an upstream tagged so.
    Tag(Arc<str>),
    /// Every object of this service.
    Service(Arc<str>),
    /// Every object.
    All,
}

/// What becomes of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Never served again.
    Hard,
    /// Stale from now on: the upstream is asked whether they still hold.
    Soft,
}

/// An order as the ledger keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// Its number; objects asked for at an earlier epoch are meant.
    pub epoch: u64,
    /// When it came, Unix milliseconds.
    pub at_millis: u64,
    /// What becomes of the objects.
    pub mode: Mode,
    /// Which objects.
    pub selector: Selector,
}

/// What the orders so far mean for an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// No order meant it.
    Valid,
    /// Purged softly.
    Stale {
        /// Since when, Unix milliseconds.
        since_millis: u64,
    },
    /// Purged.
    Gone,
}

/// Why a purge is not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PurgeError {
    /// The ledger holds as many orders as it may, and none of them makes another superfluous.
    #[error(
        "the ledger holds {ORDERS_MAX} orders whose objects are still being reclaimed; \
         try again in a moment, or purge a prefix or a service instead of single objects"
    )]
    Busy,
    /// It holds from now on, and may be forgotten by a restart.
    #[error("purge {epoch} holds now, but the state file cannot be written: a restart may undo it")]
    NotDurable {
        /// Its epoch.
        epoch: u64,
    },
    /// A selector that nothing can match.
    #[error("a selector is empty or longer than {SELECTOR_MAX} bytes")]
    Selector,
}

/// What is judged: an object, or what is known of one that is still on its way.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// Its cache key.
    pub key: &'a str,
    /// Hash of the key.
    pub id: ObjectId,
    /// Its service.
    pub service: &'a str,
    /// Hashes of its tags.
    pub tags: &'a [u64],
    /// The epoch that held when its upstream request was sent.
    pub epoch: u64,
}

impl<'a> From<&'a StoredObject> for Subject<'a> {
    fn from(object: &'a StoredObject) -> Self {
        let StoredObject { key, id, service, tags, epoch, .. } = object;
        Self { key, id: *id, service, tags, epoch: *epoch }
    }
}

impl Selector {
    /// Whether it can match anything, and fits.
    pub fn is_sound(&self) -> bool {
        match self {
            Self::Key(text) | Self::Prefix(text) | Self::Tag(text) | Self::Service(text) => {
                !text.is_empty() && text.len() <= SELECTOR_MAX
            }
            Self::All => true,
        }
    }

    /// Whether it means more objects than can be named.
    pub fn is_wide(&self) -> bool {
        matches!(self, Self::Prefix(_) | Self::Service(_) | Self::All)
    }

    /// Whether it means this object, whatever its epoch.
    pub fn takes(&self, subject: &Subject<'_>) -> bool {
        match self {
            Self::Key(key) => primary_key(subject.key) == &**key,
            Self::Prefix(prefix) => subject.key.starts_with(&**prefix),
            Self::Tag(tag) => subject.tags.contains(&tag_hash(tag.as_bytes())),
            Self::Service(service) => subject.service == &**service,
            Self::All => true,
        }
    }
}
