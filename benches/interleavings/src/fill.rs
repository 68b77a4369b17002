//! A node in small: one key, a table of objects, requests and the fills they start.

use std::{collections::HashMap, sync::Arc};

use http::{HeaderMap, StatusCode};
use shuttle::thread::JoinHandle;
use weir_edge_cache::{Fields, ObjectId, Selector, StoredObject, Subject, purge::tag_hash};

use crate::{
    demand::Demand,
    purge::{
        Ledger, Mode,
        guard::{self, Objects},
    },
    sync::{AtomicU64, Mutex, Ordering},
    table::{BodyFill, Head, Resolved, Resolving, Role, Table},
};

/// How often a request begins anew, as the engine does.
const TURNS: usize = 4;
pub(crate) const KEY: &str = "film|h|/vod/a";
pub(crate) const TAG: &str = "title:1";

/// The metadata table: every change at once, as a shard's lock makes it.
#[derive(Debug, Default)]
pub(crate) struct Held(Mutex<HashMap<ObjectId, Arc<StoredObject>>>);

impl Objects for Held {
    type Displaced = Option<Arc<StoredObject>>;

    fn insert(&self, object: Arc<StoredObject>) -> Self::Displaced {
        self.0.lock().insert(object.id, object)
    }

    fn remove_if(
        &self,
        object: &StoredObject,
        same: impl FnOnce(&StoredObject) -> bool,
    ) -> Option<Arc<StoredObject>> {
        let mut held = self.0.lock();
        same(held.get(&object.id)?).then(|| held.remove(&object.id)).flatten()
    }

    fn replace_if(
        &self,
        object: Arc<StoredObject>,
        same: impl FnOnce(&StoredObject) -> bool,
    ) -> bool {
        let mut held = self.0.lock();
        let Some(now) = held.get_mut(&object.id).filter(|now| same(now)) else { return false };
        *now = object;
        true
    }
}

/// How an upstream answers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Upstream {
    /// Its responses have no length: an object is in the table only when it has ended.
    pub(crate) unsized_bodies: bool,
    /// It says of everything that it still holds.
    pub(crate) confirms: bool,
}

#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) ledger: Arc<Ledger>,
    held: Held,
    fills: Table,
    upstream: Upstream,
    clock: AtomicU64,
    /// When the upstream was asked for the bytes of a generation.
    began: Mutex<HashMap<u64, u64>>,
    /// Fills under way.
    tasks: Mutex<Vec<JoinHandle<()>>>,
    /// Requests from here on must not see what began before.
    pub(crate) acknowledged: AtomicU64,
}

impl Node {
    pub(crate) fn new(upstream: Upstream) -> Arc<Self> {
        Arc::new(Self {
            ledger: Arc::new(Ledger::recovered(0, Vec::new(), Vec::new())),
            held: Held::default(),
            fills: Table::new(),
            upstream,
            clock: AtomicU64::new(1),
            began: Mutex::default(),
            tasks: Mutex::default(),
            acknowledged: AtomicU64::new(0),
        })
    }

    fn tick(&self) -> u64 {
        self.clock.fetch_add(1, Ordering::SeqCst)
    }

    /// What a lookup finds.
    fn look(&self) -> Option<Arc<StoredObject>> {
        guard::find(&self.ledger, || self.held.0.lock().get(&ObjectId::of(KEY)).cloned())
    }

    fn fresh(&self) -> Option<Arc<StoredObject>> {
        self.look().filter(|object| object.lifetime_millis > 0)
    }

    /// Orders a purge and waits for its acknowledgement.
    pub(crate) fn purge(&self, selector: Selector, mode: Mode) {
        let before = self.tick();
        self.ledger.order(&[selector], mode, 0).expect("there is room for a few");
        if mode == Mode::Hard {
            self.acknowledged.fetch_max(before, Ordering::SeqCst);
        }
    }

    /// One sweep over the table, step by step.
    pub(crate) fn sweep(&self) {
        let swept = self.ledger.unswept();
        if swept.is_some() {
            let all: Vec<_> = self.held.0.lock().values().cloned().collect();
            for object in &all {
                guard::settle(&self.ledger, &self.held, object);
            }
        }
        self.ledger.let_go(swept.unwrap_or_default());
    }

    /// Pushed out by others.
    pub(crate) fn evict(&self) {
        self.held.0.lock().remove(&ObjectId::of(KEY));
    }

    /// A request. Checks that it is not answered with what was purged before it came.
    pub(crate) fn request(self: &Arc<Self>) {
        let acknowledged = self.acknowledged.load(Ordering::SeqCst);
        let served = self.resolve();
        let began = self.began.lock()[&served];
        assert!(
            began > acknowledged,
            "answered with bytes of {began}, after a purge at {acknowledged} was acknowledged"
        );
    }

    /// The generation that a request is answered with, as `Engine::resolve_by` finds it.
    fn resolve(self: &Arc<Self>) -> u64 {
        let (id, since) = (ObjectId::of(KEY), self.ledger.epoch());
        for _ in 0..TURNS {
            if let Some(object) = self.fresh() {
                return object.generation;
            }
            let usable =
                |growing: &Resolved| self.ledger.answers(&Subject::from(&*growing.object), since);
            let answers = |epoch| {
                let subject = Subject { key: KEY, id, service: "film", tags: &[], epoch };
                self.ledger.answers(&subject, since)
            };
            match self.fills.resolve(id, since, answers, usable) {
                Role::Growing(resolved) => return resolved.object.generation,
                Role::Leader(resolving, _) => {
                    if let Some(object) = self.fresh() {
                        let head = Head::Object(resolved(&object, None, Some(1)));
                        self.fills.resolved(id, &resolving, head);
                        return object.generation;
                    }
                    let head = resolving.head.subscribe();
                    let node = Arc::clone(self);
                    let task = shuttle::thread::spawn(move || node.drive(&resolving));
                    self.tasks.lock().push(task);
                    return wait(head).object.generation;
                }
                Role::Follower(head) => {
                    let resolved = wait(head);
                    if self.ledger.answers(&Subject::from(&*resolved.object), since) {
                        return resolved.object.generation;
                    }
                }
                Role::Alone(_) => unreachable!("everything may be shared here"),
            }
        }
        // Alone.
        self.begin(self.tick())
    }

    /// Asks the upstream for bytes: their generation.
    fn begin(&self, generation: u64) -> u64 {
        let now = self.tick();
        self.began.lock().insert(generation, now);
        generation
    }

    /// As `drive::resolve` does it.
    fn drive(&self, resolving: &Arc<Resolving>) {
        let id = ObjectId::of(KEY);
        let ticket = self.ledger.begin();
        let stale = self.look();
        if let Some(stale) = stale.filter(|_| self.upstream.confirms) {
            let confirmed =
                StoredObject { lifetime_millis: 1, epoch: ticket.epoch(), ..(*stale).clone() };
            let same = |now: &StoredObject| now.generation == stale.generation;
            let (object, _) = guard::replace(&self.ledger, &self.held, confirmed, same);
            self.fills.resolved(id, resolving, Head::Object(resolved(&object, None, Some(1))));
            return;
        }
        let object = object(self.begin(self.tick()), ticket.epoch());
        let fill = Arc::new(BodyFill::new(object.generation, 0, None, Demand::of(None, 0)));
        let size = (!self.upstream.unsized_bodies).then_some(1);
        let found = resolved(&Arc::new(object.clone()), Some(&fill), size);
        self.fills.begin(id, resolving, &found);
        let late = match size {
            Some(_) => {
                guard::put(&self.ledger, &self.held, object);
                None
            }
            None => Some((object, ticket)),
        };
        self.fills.resolved(id, resolving, Head::Object(found));
        if let Some((object, _ticket)) = late {
            guard::put(&self.ledger, &self.held, object);
        }
        self.fills.finished(id, &fill);
    }

    /// What stands when everybody has gone. Fills go on without those who began them.
    pub(crate) fn rest(&self) {
        let tasks = std::mem::take(&mut *self.tasks.lock());
        for task in tasks {
            task.join().expect("a failed check says so itself");
        }
        self.sweep();
        self.sweep();
        assert_eq!(self.ledger.len(), 0, "an order stands for nothing");
        assert_eq!(self.fills.under_way(), 0, "a fill is under way for nobody");
    }
}

fn wait(mut head: tokio::sync::watch::Receiver<Head>) -> Resolved {
    let known = shuttle::future::block_on(async {
        head.wait_for(|head| !matches!(head, Head::Waiting)).await.map(|head| head.clone())
    });
    match known {
        Ok(Head::Object(resolved)) => resolved,
        other => unreachable!("every fill here succeeds: {other:?}"),
    }
}

fn resolved(
    object: &Arc<StoredObject>,
    body: Option<&Arc<BodyFill>>,
    size: Option<u64>,
) -> Resolved {
    let body = body.map(Arc::clone);
    Resolved { object: Arc::clone(object), size, body, upstream_status: 200 }
}

fn object(generation: u64, epoch: u64) -> StoredObject {
    StoredObject {
        id: ObjectId::of(KEY),
        key: KEY.into(),
        generation,
        service: "film".into(),
        status: StatusCode::OK,
        fields: Fields::encode(&HeaderMap::new()),
        size: 1,
        request_millis: 0,
        response_millis: 0,
        initial_age_millis: 0,
        // Stale as soon as a soft purge cuts it.
        lifetime_millis: 1,
        flags: 0,
        tags: Box::new([tag_hash(TAG.as_bytes())]),
        epoch,
    }
}
