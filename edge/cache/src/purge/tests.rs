//! What purging promises, against the simplest thing that could keep it: a list of what was
//! ordered when.

use std::{collections::HashMap, path::Path, sync::Arc};

use proptest::prelude::*;

use super::*;
use crate::{
    cache::{Cache, CacheConfig},
    object::tests::object,
};

const KEYS: [&str; 6] = [
    "film|h|/vod/a",
    "film|h|/vod/b",
    "film|h|/vod/b\n7\nfr",
    "film|h|/live/a",
    "shop|h|/a",
    "shop|h|/b",
];
const TAGS: [&str; 3] = ["title:1", "title:2", "every"];
const NOW: u64 = 1_000_000;

fn open(state: Option<&Path>) -> Arc<Cache> {
    let config = CacheConfig {
        memory_bytes: 1 << 20,
        state: state.map(Into::into),
        metadata_objects_max: 100,
    };
    Arc::new(Cache::open_at(&config, None, NOW).unwrap())
}

/// As a fill makes it: 100 s fresh, received at `NOW`.
fn filled(key: &str, generation: u64, epoch: u64, tags: &[&str]) -> StoredObject {
    let mut tags: Vec<u64> = tags.iter().map(|tag| tag_hash(tag.as_bytes())).collect();
    tags.sort_unstable();
    StoredObject {
        service: key.split('|').next().unwrap().into(),
        response_millis: NOW,
        initial_age_millis: 0,
        lifetime_millis: 100_000,
        tags: tags.into(),
        epoch,
        ..object(key, generation, 10)
    }
}

fn selector(number: usize) -> Selector {
    match number % 12 {
        which @ 0..6 => Selector::Key(primary_key(KEYS[which]).into()),
        6 => Selector::Prefix("film|h|/vod/".into()),
        7 => Selector::Prefix("film|h|/".into()),
        8 => Selector::Tag(TAGS[number / 12 % 3].into()),
        9 => Selector::Service("film".into()),
        10 => Selector::Service("shop".into()),
        _ => Selector::All,
    }
}

#[tokio::test(start_paused = true)]
async fn a_hard_purge_removes_and_a_soft_one_makes_stale() {
    let cache = open(None);
    let (a, b) = (ObjectId::of(KEYS[0]), ObjectId::of(KEYS[3]));
    cache.put_object(filled(KEYS[0], 1, 0, &[]));
    cache.put_object(filled(KEYS[3], 2, 0, &[]));
    let soft = [Selector::Service("film".into())];
    assert_eq!(cache.order(&soft, Mode::Soft, NOW + 5_000).await, Ok(1));
    let hard = [Selector::Prefix("film|h|/live/".into())];
    assert_eq!(cache.order(&hard, Mode::Hard, NOW + 6_000).await, Ok(2));
    for reclaimed in [false, true] {
        let stale = cache.object(&a, KEYS[0]).unwrap();
        assert_eq!(stale.lifetime_millis, 5_000, "reclaimed {reclaimed}");
        assert_eq!(cache.object(&b, KEYS[3]), None, "reclaimed {reclaimed}");
        assert!(cache.reclaim_now().await);
    }
    let stats = cache.purge_stats();
    assert_eq!((stats.epoch, stats.reclaimed_epoch, stats.orders), (2, 2, 0));
    assert_eq!((stats.objects, stats.bytes, stats.stale), (1, 10, 1));
    assert_eq!(cache.stats().objects, 1);
}

#[tokio::test(start_paused = true)]
async fn a_fill_that_began_before_is_not_kept() {
    for selector in [Selector::Tag("title:1".into()), Selector::Key(KEYS[0].into()), Selector::All]
    {
        let cache = open(None);
        let id = ObjectId::of(KEYS[0]);
        let (before, other) = (cache.begin(), cache.begin());
        cache.order(&[selector], Mode::Hard, NOW).await.unwrap();
        assert!(cache.reclaim_now().await);
        let stats = cache.purge_stats();
        assert_eq!((stats.reclaimed_epoch, stats.orders), (1, 1), "its order waits for it");
        let put = |generation, ticket: &Ticket, tags: &[&str]| {
            cache.put_object(filled(KEYS[0], generation, ticket.epoch(), tags));
        };
        put(1, &before, &["title:1"]);
        assert_eq!(cache.object(&id, KEYS[0]), None);
        put(2, &cache.begin(), &["title:1"]);
        assert_eq!(cache.object(&id, KEYS[0]).unwrap().generation, 2);
        drop(before);
        assert!(cache.reclaim_now().await);
        assert_eq!(cache.purge_stats().orders, 1, "there is another one");
        drop(other);
        assert!(cache.reclaim_now().await);
        assert_eq!(cache.purge_stats().orders, 0);
        // Even one that was never announced.
        cache.put_object(filled(KEYS[0], 3, 0, &["title:1"]));
        assert_eq!(cache.object(&id, KEYS[0]).unwrap().generation, 2);
    }
}

#[tokio::test(start_paused = true)]
async fn a_fill_that_began_before_a_soft_purge_is_kept_as_stale() {
    let cache = open(None);
    let before = cache.begin();
    cache.order(&[Selector::All], Mode::Soft, NOW + 1_000).await.unwrap();
    cache.put_object(filled(KEYS[0], 1, before.epoch(), &[]));
    drop(before);
    assert!(cache.reclaim_now().await && cache.reclaim_now().await);
    assert_eq!(cache.purge_stats().orders, 0);
    let object = cache.object(&ObjectId::of(KEYS[0]), KEYS[0]).unwrap();
    assert_eq!(object.lifetime_millis, 1_000);
}

#[tokio::test(start_paused = true)]
async fn who_joins_a_fill_must_have_come_before_the_purge() {
    let cache = open(None);
    let fill = cache.begin();
    let growing = filled(KEYS[0], 1, fill.epoch(), &["title:1"]);
    let joins = |since| cache.answers(&Subject::from(&growing), since);
    assert!(joins(cache.purge_epoch()));
    cache.order(&[Selector::Tag("title:2".into())], Mode::Hard, NOW).await.unwrap();
    assert!(joins(cache.purge_epoch()), "another purge is none of its business");
    cache.order(&[Selector::Tag("title:1".into())], Mode::Hard, NOW).await.unwrap();
    assert!(!joins(cache.purge_epoch()));
    assert!(joins(0), "who was there before may have it");
}

#[tokio::test(start_paused = true)]
async fn variants_go_with_their_url() {
    let cache = open(None);
    for (generation, key) in (1..).zip(KEYS) {
        cache.put_object(filled(key, generation, 0, &[]));
    }
    cache.order(&[Selector::Key("film|h|/vod/b".into())], Mode::Hard, NOW).await.unwrap();
    let left = KEYS.map(|key| cache.object(&ObjectId::of(key), key).is_some());
    assert_eq!(left, [true, false, false, true, true, true]);
    let counted =
        cache.count(&[Selector::Prefix("film|".into())], std::time::Duration::MAX / 4).await;
    assert_eq!(
        (counted.objects, counted.bytes, counted.of, counted.complete),
        (2, 20, (4, 40), true)
    );
}

#[test]
fn the_ledger_is_bounded_and_compacts() {
    let ledger = Arc::new(Ledger::recovered(0, Vec::new(), Vec::new()));
    let key = |number: usize| [Selector::Key(format!("film|h|/{number}").into())];
    let places = ORDERS_MAX - 64;
    for number in 0..places {
        ledger.order(&key(number), Mode::Hard, NOW).unwrap();
    }
    assert_eq!(ledger.order(&key(places), Mode::Hard, NOW), Err(PurgeError::Busy));
    assert_eq!(ledger.epoch(), places as u64, "a refusal takes no number");
    // One that is there already needs no place, and a wide one makes all the others leave.
    ledger.order(&key(5), Mode::Hard, NOW).unwrap();
    ledger.order(&[Selector::Service("film".into())], Mode::Hard, NOW).unwrap();
    ledger.order(&key(places), Mode::Hard, NOW).unwrap();
    assert_eq!(ledger.len(), 2);
    let mut delta = ledger.delta();
    assert_eq!((delta.put.len(), delta.delete.len()), (2, 0), "the file never heard of the rest");
    delta.put.clear();
    ledger.written(&delta);
}

#[test]
fn a_slow_fill_holds_nothing_up_under_pressure() {
    let ledger = Arc::new(Ledger::recovered(0, Vec::new(), Vec::new()));
    let slow = ledger.begin();
    for number in 0..ORDERS_MAX - 64 {
        ledger.order(&[Selector::Tag(format!("{number}").into())], Mode::Hard, NOW).unwrap();
    }
    ledger.let_go(ledger.epoch());
    assert_eq!(ledger.len(), 0);
    // What it brings is not kept, since nobody can tell any more what it is.
    let brought = filled(KEYS[0], 1, slow.epoch(), &[]);
    let subject = Subject::from(&brought);
    assert!(ledger.admit(&subject, |_, _| ()).is_none());
    assert!(!ledger.answers(&subject, ledger.epoch()));
}

#[test]
fn unsound_selectors_are_refused() {
    let ledger = Ledger::recovered(7, Vec::new(), Vec::new());
    let long = "x".repeat(SELECTOR_MAX + 1);
    for selectors in
        [vec![], vec![Selector::Tag("".into())], vec![Selector::All, Selector::Prefix(long.into())]]
    {
        assert_eq!(ledger.order(&selectors, Mode::Hard, NOW), Err(PurgeError::Selector));
    }
    assert_eq!((ledger.epoch(), ledger.len()), (7, 0));
}

#[test]
fn an_order_that_rotted_means_everything() {
    let order = Order { epoch: 3, at_millis: 1, mode: Mode::Soft, selector: Selector::All };
    let ledger = Ledger::recovered(4, vec![order], vec![2, 5]);
    assert_eq!(ledger.epoch(), 6);
    let subject = |epoch| Subject { epoch, key: "a", id: ObjectId(1), service: "s", tags: &[] };
    assert_eq!(ledger.judge(&subject(5)), Standing::Gone);
    assert_eq!(ledger.judge(&subject(6)), Standing::Valid);
    let delta = ledger.delta();
    assert_eq!((delta.put.len(), delta.delete, delta.epoch), (1, vec![2, 3, 5], Some(6)));
}

#[derive(Debug, Clone)]
enum Op {
    /// A fill starts.
    Begin {
        key: usize,
        tag: usize,
    },
    /// The oldest or the youngest fill under way puts its object and ends.
    Finish {
        youngest: bool,
    },
    /// What is stored is confirmed by the upstream.
    Revalidate {
        key: usize,
    },
    Purge {
        selector: usize,
        soft: bool,
    },
    Reclaim,
    Look {
        key: usize,
    },
    Restart,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        3 => (0..KEYS.len(), 0..TAGS.len()).prop_map(|(key, tag)| Op::Begin { key, tag }),
        3 => any::<bool>().prop_map(|youngest| Op::Finish { youngest }),
        1 => (0..KEYS.len()).prop_map(|key| Op::Revalidate { key }),
        2 => (0..36_usize, any::<bool>()).prop_map(|(selector, soft)| Op::Purge { selector, soft }),
        1 => Just(Op::Reclaim),
        4 => (0..KEYS.len()).prop_map(|key| Op::Look { key }),
        1 => Just(Op::Restart),
    ]
}

/// What really happened, by a clock of steps.
#[derive(Default)]
struct Truth {
    step: u64,
    /// When the fill of a generation began, and when its bytes were last confirmed.
    began: HashMap<u64, u64>,
    confirmed: HashMap<u64, u64>,
    purges: Vec<(u64, Selector, bool)>,
}

impl Truth {
    fn check(&self, cache: &Cache, key: &str) {
        let id = ObjectId::of(key);
        let Some(object) = cache.object(&id, key) else { return };
        let began = self.began[&object.generation];
        let confirmed = self.confirmed[&object.generation];
        let subject = Subject::from(&*object);
        for (when, selector, soft) in &self.purges {
            if !selector.takes(&subject) {
                continue;
            }
            assert!(
                *soft || *when < began,
                "served {key:?} of {began} after {selector:?} at {when}"
            );
            let stale = object.lifetime_millis < 100_000;
            assert!(
                !*soft || *when < confirmed || stale,
                "fresh {key:?} after {selector:?} at {when}"
            );
        }
    }
}

/// `file`: with a state file, and restarts.
fn play(ops: Vec<Op>, file: bool) {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let state = file.then(|| folder.path().join("state"));
    let mut cache = open(state.as_deref());
    let mut truth = Truth::default();
    let mut under_way: Vec<(Ticket, StoredObject)> = Vec::new();
    for op in ops {
        truth.step += 1;
        match op {
            Op::Begin { key, tag } => {
                let ticket = cache.begin();
                let generation = truth.step;
                truth.began.insert(generation, truth.step);
                truth.confirmed.insert(generation, truth.step);
                let object = filled(KEYS[key], generation, ticket.epoch(), &[TAGS[tag], TAGS[2]]);
                under_way.push((ticket, object));
            }
            Op::Finish { youngest } => {
                let last = under_way.len().saturating_sub(1);
                let place = if youngest { last } else { 0 };
                if place < under_way.len() {
                    let (ticket, object) = under_way.remove(place);
                    cache.put_object(object);
                    drop(ticket);
                }
            }
            Op::Revalidate { key } => {
                let ticket = cache.begin();
                if let Some(object) = cache.object(&ObjectId::of(KEYS[key]), KEYS[key]) {
                    truth.confirmed.insert(object.generation, truth.step);
                    let epoch = ticket.epoch();
                    let fresh =
                        StoredObject { epoch, lifetime_millis: 100_000, ..(*object).clone() };
                    cache.put_object(fresh);
                }
            }
            Op::Purge { selector: which, soft } => {
                let mode = if soft { Mode::Soft } else { Mode::Hard };
                truth.purges.push((truth.step, selector(which), soft));
                runtime.block_on(cache.order(&[selector(which)], mode, NOW)).unwrap();
            }
            Op::Reclaim => assert!(runtime.block_on(cache.reclaim_now())),
            Op::Look { key } => truth.check(&cache, KEYS[key]),
            Op::Restart if !file => {}
            Op::Restart => {
                // What was under way is lost with the process.
                under_way.clear();
                drop(cache);
                cache = open(state.as_deref());
            }
        }
    }
    KEYS.iter().for_each(|key| truth.check(&cache, key));
    assert!(runtime.block_on(cache.reclaim_now()));
    KEYS.iter().for_each(|key| truth.check(&cache, key));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_served_that_was_purged_since_its_fill_began(
        ops in prop::collection::vec(op(), 1..120),
    ) {
        play(ops, false);
    }
}

proptest! {
    // Each purge waits for its disk.
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    #[test]
    fn nor_after_a_restart(ops in prop::collection::vec(op(), 1..80)) {
        play(ops, true);
    }
}
