//! The ledger: which orders stand, and who may still bring what they mean.
//!
//! Three things keep old bytes from coming back. An object is judged whenever it is looked up
//! *and* when it is put into the table, under the ledger's lock, so that the sweep has seen
//! everything an order means when it lets the order go. An order stays while a fill is under
//! way that began before it (its [`Ticket`]). And below the *floor*, the newest order that was
//! let go, nothing is put into the table whatever its ticket says.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use tokio::sync::{Notify, watch};

use super::{Mode, ORDERS_MAX, Order, PurgeError, Selector, Standing, Subject, index::Index};
use crate::sync::{AtomicU64, Mutex, Ordering, RwLock};

/// Places of the ledger that only wide orders may take, since these make others leave.
const WIDE_PLACES: usize = 64;
/// Beyond this many orders a slow fill no longer holds any of them up.
const PRESSURE: usize = ORDERS_MAX / 4 * 3;

/// Orders that stand, their numbers, and what of them is not in the state file yet.
#[derive(Debug)]
pub(crate) struct Ledger {
    /// Epoch of the newest order that stands; 0 when none does.
    newest: AtomicU64,
    /// Newest order that was let go.
    floor: AtomicU64,
    /// Number of the last purge ever.
    epoch: AtomicU64,
    entries: RwLock<Entries>,
    /// Fills under way by the epoch at which they began.
    tickets: Mutex<BTreeMap<u64, usize>>,
    /// Orders came, or a fill ended that held some up.
    changed: Notify,
    durable: watch::Sender<Durable>,
}

#[derive(Debug, Default)]
struct Entries {
    orders: BTreeMap<u64, Order>,
    index: Index,
    /// Newest order that was let go.
    floor: u64,
    /// Orders up to here have no object in the table any more.
    swept: u64,
    /// Newest order whose objects have to be searched for.
    search: u64,
    /// Whether the last search for superfluous orders knew of every wide one.
    compact: bool,
    /// Epochs that the state file does not have yet, those of them that are being written
    /// now, and such as it must forget.
    unwritten: BTreeSet<u64>,
    writing: BTreeSet<u64>,
    unforgotten: BTreeSet<u64>,
    epoch_unwritten: bool,
}

/// How the ledger was before an object was looked up.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Before {
    newest: u64,
    floor: u64,
}

/// How far the state file follows.
#[derive(Debug, Clone, Copy, Default)]
struct Durable {
    epoch: u64,
    /// Writes that failed.
    failures: u64,
    /// Nothing is written any more.
    closed: bool,
}

/// What the state file must change to say what the ledger says.
#[derive(Debug, Clone, Default)]
pub(crate) struct Delta {
    pub(crate) put: Vec<Order>,
    pub(crate) delete: Vec<u64>,
    /// The last purge's number, where it changed.
    pub(crate) epoch: Option<u64>,
}

impl Delta {
    pub(crate) fn is_empty(&self) -> bool {
        self.put.is_empty() && self.delete.is_empty() && self.epoch.is_none()
    }
}

/// A fill under way. Take it before the upstream is asked and before the stored object is
/// looked at that the request is about, write its epoch into the object, and keep it until the
/// object is in the table.
#[derive(Debug)]
pub struct Ticket {
    ledger: Arc<Ledger>,
    epoch: u64,
}

impl Ticket {
    /// The purge epoch for objects that come of this.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut tickets = self.ledger.tickets.lock();
        let oldest = tickets.first_key_value().is_some_and(|(oldest, _)| *oldest == self.epoch);
        if let Some(count) = tickets.get_mut(&self.epoch) {
            *count -= 1;
            if *count == 0 {
                tickets.remove(&self.epoch);
                drop(tickets);
                if oldest && self.ledger.newest.load(Ordering::Acquire) > self.epoch {
                    self.ledger.changed.notify_one();
                }
            }
        }
    }
}

impl Ledger {
    /// What the state file had: the number of the last purge, the orders that stand, and the
    /// epochs of those that cannot be read. Of these nobody knows what they meant, so they mean
    /// everything: what was purged must not come back.
    pub(crate) fn recovered(epoch: u64, mut orders: Vec<Order>, rotten: Vec<u64>) -> Self {
        orders.sort_unstable_by_key(|order| order.epoch);
        let mut entries = Entries::default();
        for order in orders {
            entries.take(order);
        }
        entries.unwritten.clear();
        let mut epoch = epoch.max(entries.newest());
        if let Some(last) = rotten.iter().max() {
            epoch = epoch.max(*last).saturating_add(1);
            tracing::error!(
                epoch,
                count = rotten.len(),
                "state file: purges cannot be read; everything is purged instead"
            );
            let (mode, selector) = (Mode::Hard, Selector::All);
            entries.take(Order { epoch, at_millis: 0, mode, selector });
            entries.unforgotten.extend(rotten);
            entries.epoch_unwritten = true;
        }
        Self {
            newest: AtomicU64::new(entries.newest()),
            floor: AtomicU64::new(0),
            epoch: AtomicU64::new(epoch),
            entries: RwLock::new(entries),
            tickets: Mutex::default(),
            changed: Notify::new(),
            durable: watch::Sender::new(Durable { epoch, ..Durable::default() }),
        }
    }

    /// Number of the last purge.
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// Orders that stand.
    pub(crate) fn len(&self) -> usize {
        self.entries.read().orders.len()
    }

    /// Everything up to this epoch is reclaimed.
    pub(crate) fn reclaimed(&self) -> u64 {
        match self.newest.load(Ordering::Acquire) {
            0 => self.epoch(),
            _ => self.entries.read().swept,
        }
    }

    /// Begins a fill.
    pub(crate) fn begin(self: &Arc<Self>) -> Ticket {
        let mut tickets = self.tickets.lock();
        // Read under the lock: an order that comes now is not let go over our head.
        let epoch = self.epoch();
        *tickets.entry(epoch).or_default() += 1;
        Ticket { ledger: self.clone(), epoch }
    }

    /// To be called before an object is looked up that is judged then. One atomic load where
    /// no order stands.
    pub(crate) fn before(&self) -> Before {
        let newest = self.newest.load(Ordering::Acquire);
        let floor = if newest == 0 { 0 } else { self.floor.load(Ordering::Acquire) };
        Before { newest, floor }
    }

    /// What the orders mean for an object that was looked up since then. `None` when some of
    /// them were let go meanwhile: look again.
    pub(crate) fn judge_since(&self, before: Before, subject: &Subject<'_>) -> Option<Standing> {
        if subject.epoch >= before.newest {
            return Some(Standing::Valid);
        }
        let entries = self.entries.read();
        (entries.floor == before.floor).then(|| entries.index.judge(subject))
    }

    /// What the orders that stand mean for an object.
    pub(crate) fn judge(&self, subject: &Subject<'_>) -> Standing {
        self.entries.read().index.judge(subject)
    }

    /// Judges many, with the ledger held still: it must not be for long.
    pub(crate) fn judging<T>(
        &self,
        work: impl FnOnce(&dyn Fn(&Subject<'_>) -> Standing) -> T,
    ) -> T {
        let entries = self.entries.read();
        let newest = entries.newest();
        work(&|subject| match subject.epoch >= newest {
            true => Standing::Valid,
            false => entries.index.judge(subject),
        })
    }

    /// The order that decides over an object.
    pub(crate) fn decisive(&self, subject: &Subject<'_>) -> Option<Order> {
        let entries = self.entries.read();
        let epoch = entries.index.decisive(subject)?;
        entries.orders.get(&epoch).cloned()
    }

    /// Whether what is still on its way may answer a request that began at epoch `since`.
    pub(crate) fn answers(&self, subject: &Subject<'_>, since: u64) -> bool {
        if subject.epoch >= since {
            return true;
        }
        let entries = self.entries.read();
        subject.epoch >= entries.floor && entries.index.judge(subject) == Standing::Valid
    }

    /// Runs `insert` unless the object is gone already; no order comes meanwhile.
    pub(crate) fn admit<T>(
        &self,
        subject: &Subject<'_>,
        insert: impl FnOnce(Standing, u64) -> T,
    ) -> Option<T> {
        self.settled(subject, |standing, floor, epoch| {
            let admitted = subject.epoch >= floor && standing != Standing::Gone;
            admitted.then(|| insert(standing, epoch))
        })
    }

    /// Judges with the ledger held still. `work` gets the floor and the epoch of the last
    /// order that was looked at too; it must not come back here.
    pub(crate) fn settled<T>(
        &self,
        subject: &Subject<'_>,
        work: impl FnOnce(Standing, u64, u64) -> T,
    ) -> T {
        let entries = self.entries.read();
        work(entries.index.judge(subject), entries.floor, self.epoch())
    }

    /// Takes orders in; they hold when this returns. Gives the number of the last.
    pub(crate) fn order(
        &self,
        selectors: &[Selector],
        mode: Mode,
        at_millis: u64,
    ) -> Result<u64, PurgeError> {
        if selectors.is_empty() || !selectors.iter().all(Selector::is_sound) {
            return Err(PurgeError::Selector);
        }
        let mut entries = self.entries.write();
        let wide = selectors.iter().all(Selector::is_wide);
        let places = if wide { ORDERS_MAX } else { ORDERS_MAX - WIDE_PLACES };
        let room = |entries: &Entries| {
            let new = |selector: &&Selector| !entries.index.has(selector, mode);
            entries.orders.len() + selectors.iter().filter(new).count() <= places
        };
        if !room(&entries) {
            entries.compact();
            if !room(&entries) {
                return Err(PurgeError::Busy);
            }
        }
        let mut epoch = self.epoch();
        for selector in selectors {
            epoch += 1;
            entries.take(Order { epoch, at_millis, mode, selector: selector.clone() });
        }
        entries.epoch_unwritten = true;
        // In this order: who begins from the second on is not meant, and what it looks at must
        // have been looked at closely from the first on.
        self.newest.store(epoch, Ordering::Release);
        self.epoch.store(epoch, Ordering::Release);
        drop(entries);
        self.changed.notify_one();
        Ok(epoch)
    }

    /// Newest order that no finished sweep has seen; `None` when all are.
    pub(crate) fn unswept(&self) -> Option<u64> {
        let entries = self.entries.read();
        let newest = entries.newest();
        (newest > entries.swept).then_some(newest)
    }

    /// Whether a sweep has more to do than to let orders go whose objects have a name, and
    /// were put away when they came.
    pub(crate) fn is_urgent(&self) -> bool {
        let entries = self.entries.read();
        entries.search > entries.swept || entries.orders.len() > PRESSURE
    }

    /// Somebody waits for orders up to here.
    pub(crate) fn hurry(&self, epoch: u64) {
        let mut entries = self.entries.write();
        entries.search = entries.search.max(epoch.min(entries.newest()));
        drop(entries);
        self.changed.notify_one();
    }

    /// Lets orders up to `swept` go, whose objects are out of the table: all but those that a
    /// fill under way began before.
    pub(crate) fn let_go(&self, swept: u64) {
        let mut entries = self.entries.write();
        entries.swept = entries.swept.max(swept);
        let oldest = match entries.orders.len() {
            over if over > PRESSURE => u64::MAX,
            _ => self.tickets.lock().first_key_value().map_or(u64::MAX, |(epoch, _)| *epoch),
        };
        let upto = entries.swept.min(oldest);
        entries.drop_upto(upto);
        self.floor.store(entries.floor, Ordering::Release);
        self.newest.store(entries.newest(), Ordering::Release);
    }

    /// Resolves when there is something to sweep or to let go, perhaps.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// What the state file does not say yet. Call it after having looked at the objects that
    /// are written with it: what they carry as epoch must not be news to the file. Every call
    /// is followed by one of [`Ledger::written`] or [`Ledger::unwritable`].
    pub(crate) fn delta(&self) -> Delta {
        let mut entries = self.entries.write();
        entries.writing = entries.unwritten.clone();
        let put = entries.unwritten.iter().filter_map(|epoch| entries.orders.get(epoch));
        Delta {
            put: put.cloned().collect(),
            delete: entries.unforgotten.iter().copied().collect(),
            epoch: entries.epoch_unwritten.then(|| self.epoch()),
        }
    }

    /// The state file says this much more.
    pub(crate) fn written(&self, delta: &Delta) {
        let mut entries = self.entries.write();
        entries.writing.clear();
        for order in &delta.put {
            entries.unwritten.remove(&order.epoch);
        }
        for epoch in &delta.delete {
            entries.unforgotten.remove(epoch);
        }
        if let Some(epoch) = delta.epoch {
            entries.epoch_unwritten = epoch < self.epoch();
            self.durable.send_modify(|durable| durable.epoch = durable.epoch.max(epoch));
        }
    }

    /// The state file could not be written.
    pub(crate) fn unwritable(&self) {
        self.entries.write().writing.clear();
        self.durable.send_modify(|durable| durable.failures += 1);
    }

    /// The state file was begun anew and says nothing.
    pub(crate) fn forgotten(&self) {
        let mut entries = self.entries.write();
        entries.unwritten = entries.orders.keys().copied().collect();
        entries.unforgotten.clear();
        entries.epoch_unwritten = true;
        self.durable.send_modify(|durable| durable.epoch = 0);
    }

    /// The state file is not written any more.
    pub(crate) fn close(&self) {
        self.durable.send_modify(|durable| durable.closed = true);
    }

    /// Resolves when the state file has every order up to `epoch`, or could not be written.
    /// Counts failures from the call on, not from the first poll.
    pub(crate) fn durable(
        &self,
        epoch: u64,
    ) -> impl Future<Output = Result<(), PurgeError>> + use<'_> {
        let mut durable = self.durable.subscribe();
        let failures = durable.borrow().failures;
        async move {
            let settled =
                |now: &Durable| now.epoch >= epoch || now.failures > failures || now.closed;
            // The sender is ours: it is there as long as we are.
            let reached = durable.wait_for(settled).await.is_ok_and(|now| now.epoch >= epoch);
            if reached { Ok(()) } else { Err(PurgeError::NotDurable { epoch }) }
        }
    }

    /// The orders that stand, oldest first, at most `max`.
    pub(crate) fn orders(&self, max: usize) -> Vec<Order> {
        self.entries.read().orders.values().take(max).cloned().collect()
    }
}

impl Entries {
    fn newest(&self) -> u64 {
        self.orders.last_key_value().map_or(0, |(epoch, _)| *epoch)
    }

    fn take(&mut self, order: Order) {
        let superfluous: Vec<u64> = self.index.set(&order).collect();
        superfluous.into_iter().for_each(|epoch| self.forget(epoch));
        self.compact &= !order.selector.is_wide();
        if !matches!(order.selector, Selector::Key(_)) {
            self.search = order.epoch;
        }
        self.unwritten.insert(order.epoch);
        self.orders.insert(order.epoch, order);
    }

    /// The file must forget it too, unless it never heard of it.
    fn forget(&mut self, epoch: u64) {
        self.orders.remove(&epoch);
        if !self.unwritten.remove(&epoch) || self.writing.contains(&epoch) {
            self.unforgotten.insert(epoch);
        }
    }

    /// Takes out the orders that newer, wider ones make superfluous. A walk over all of them,
    /// so not again before a wide one came.
    fn compact(&mut self) {
        if std::mem::replace(&mut self.compact, true) {
            return;
        }
        let covered = |order: &&Order| self.index.covers(order);
        let covered: Vec<Order> = self.orders.values().filter(covered).cloned().collect();
        for order in covered {
            self.index.unset(&order);
            self.forget(order.epoch);
        }
    }

    fn drop_upto(&mut self, upto: u64) {
        while let Some((&epoch, _)) = self.orders.first_key_value()
            && epoch <= upto
        {
            if let Some(order) = self.orders.remove(&epoch) {
                self.index.unset(&order);
            }
            self.forget(epoch);
            self.floor = self.floor.max(epoch);
        }
    }
}
