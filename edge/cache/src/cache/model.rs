//! The whole cache against the simplest thing that could be one: a map from keys to what was
//! put last. A million operations with restarts, crashes at any moment, a disk under the state
//! file that fills up, and a store that forgets.
//!
//! What is held: a key gives what was put last, or nothing where something may have pushed it
//! out, never for what is pinned, and all of its bytes where the store had them; what was
//! removed or purged never comes back; after a crash a key gives what was durable
//! or something later; bytes of any range are the right ones or none.

mod device;
mod forgetful;
mod world;

use proptest::{prelude::*, test_runner::FileFailurePersistence};

use self::world::World;

/// Operations of one case in the mean, and cases: 10^6 together.
const OPERATIONS: usize = 4000;
const CASES: u32 = 256;
/// Keys in use; two folders, so that a purge by prefix means some.
const KEYS: u8 = 48;

/// What can happen. Numbers are taken modulo what there is.
#[derive(Debug, Clone, Copy)]
enum Op {
    /// A fill that is done at once, with so many chunks in the cache.
    Put {
        key: u8,
        size: u8,
        chunks: u8,
    },
    /// A fill begins, and one that began ends.
    Begin {
        key: u8,
        size: u8,
    },
    End {
        fill: u8,
    },
    /// A 304: the same generation again.
    Revalidate {
        key: u8,
    },
    Get {
        key: u8,
    },
    /// The bytes of a range of the object, in 64ths of its size.
    Range {
        key: u8,
        from: u8,
        to: u8,
    },
    Remove {
        key: u8,
    },
    /// With `all` of its bytes brought to the store first.
    Pin {
        key: u8,
        all: bool,
    },
    Unpin {
        key: u8,
    },
    /// A fill turned out wrong: that of the object, or one that is long gone.
    Discard {
        key: u8,
        old: bool,
    },
    PurgeKey {
        key: u8,
    },
    PurgeFolder {
        folder: u8,
    },
    Reclaim,
    /// The store forgets what it chooses.
    Forget {
        nth: u8,
    },
    List,
    Flush,
    Restart {
        wait: bool,
    },
    Crash {
        torn: u64,
        wait: bool,
    },
    Full {
        full: bool,
    },
}

fn op() -> impl Strategy<Value = Op> {
    let key = || 0..KEYS;
    prop_oneof![
        200 => (key(), any::<u8>(), 0..4_u8)
            .prop_map(|(key, size, chunks)| Op::Put { key, size, chunks }),
        20 => (key(), any::<u8>()).prop_map(|(key, size)| Op::Begin { key, size }),
        20 => any::<u8>().prop_map(|fill| Op::End { fill }),
        60 => key().prop_map(|key| Op::Revalidate { key }),
        300 => key().prop_map(|key| Op::Get { key }),
        300 => (key(), 0..=64_u8, 0..=64_u8).prop_map(|(key, from, to)| Op::Range { key, from, to }),
        40 => key().prop_map(|key| Op::Remove { key }),
        20 => (key(), any::<bool>()).prop_map(|(key, all)| Op::Pin { key, all }),
        15 => key().prop_map(|key| Op::Unpin { key }),
        20 => (key(), any::<bool>()).prop_map(|(key, old)| Op::Discard { key, old }),
        2 => key().prop_map(|key| Op::PurgeKey { key }),
        1 => any::<u8>().prop_map(|folder| Op::PurgeFolder { folder }),
        1 => Just(Op::Reclaim),
        20 => any::<u8>().prop_map(|nth| Op::Forget { nth }),
        2 => Just(Op::List),
        4 => Just(Op::Flush),
        1 => any::<bool>().prop_map(|wait| Op::Restart { wait }),
        2 => (any::<u64>(), any::<bool>()).prop_map(|(torn, wait)| Op::Crash { torn, wait }),
        1 => any::<bool>().prop_map(|full| Op::Full { full }),
    ]
}

fn check(objects_max: usize, ops: &[Op]) {
    let mut world = World::new(objects_max);
    for (number, op) in ops.iter().enumerate() {
        world.step(*op).unwrap_or_else(|why| panic!("operation {number}, {op:?}: {why}"));
    }
    world.step(Op::Restart { wait: true }).expect("the end");
    world.check_all().expect("the end");
}

/// Where a case that failed is kept, to be tried first the next time.
fn config() -> ProptestConfig {
    ProptestConfig {
        failure_persistence: Some(Box::new(FileFailurePersistence::WithSource("regressions"))),
        max_shrink_iters: 400,
        ..ProptestConfig::with_cases(CASES)
    }
}

proptest! {
    #![proptest_config(config())]
    /// Half of the cases in a table that holds every key, half in one that evicts.
    #[test]
    fn agrees_with_a_map_through_restarts_and_crashes(
        room in any::<bool>(),
        ops in prop::collection::vec(op(), 1..=2 * OPERATIONS),
    ) {
        check(if room { 1000 } else { 12 }, &ops);
    }
}
