//! The table against a map, and its bounds.

use std::collections::HashMap;

use proptest::prelude::*;

use super::{sample::media, *};
use crate::object::tests::object;

#[derive(Debug, Clone)]
enum Op {
    Put { key: u8, generation: u64 },
    Get { key: u8 },
    Pin { key: u8, pinned: bool },
    Remove { key: u8 },
    RemoveGeneration { key: u8, generation: u64 },
}

fn op() -> impl Strategy<Value = Op> {
    let key = 0..40_u8;
    let generation = 0..4_u64;
    prop_oneof![
        4 => (key.clone(), generation.clone())
            .prop_map(|(key, generation)| Op::Put { key, generation }),
        4 => key.clone().prop_map(|key| Op::Get { key }),
        1 => (key.clone(), any::<bool>()).prop_map(|(key, pinned)| Op::Pin { key, pinned }),
        1 => key.clone().prop_map(|key| Op::Remove { key }),
        1 => (key, generation)
            .prop_map(|(key, generation)| Op::RemoveGeneration { key, generation }),
    ]
}

/// Runs the operations on a table and on a map; what the table evicts leaves the map.
fn check(objects_max: usize, ops: &[Op]) {
    let table = Table::new(objects_max);
    let mut model: HashMap<u128, (Arc<StoredObject>, bool)> = HashMap::new();
    for op in ops {
        match *op {
            Op::Put { key, generation } => {
                let new = Arc::new(object(&key.to_string(), generation, u64::from(key)));
                let displaced = table.insert(new.clone());
                let known = model.get(&new.id.0).cloned();
                let pinned = known.as_ref().is_some_and(|(_, pinned)| *pinned);
                let expected = known.map(|(old, pinned)| gone_of(&old, pinned));
                assert_eq!(displaced.replaced, expected);
                model.insert(new.id.0, (new, pinned));
                for evicted in displaced.evicted {
                    assert!(model.len() > objects_max, "evicted before it was full");
                    let (old, pinned) = model.remove(&evicted.id.0).expect("it was there");
                    assert!(!pinned, "a pinned object was evicted");
                    assert_eq!(evicted, gone_of(&old, false));
                }
            }
            Op::Get { key } => {
                let id = ObjectId::of(&key.to_string());
                assert_eq!(table.get(id).as_ref(), model.get(&id.0).map(|(object, _)| object));
            }
            Op::Pin { key, pinned } => {
                let id = ObjectId::of(&key.to_string());
                let others = model.iter().filter(|(other, (_, pinned))| **other != id.0 && *pinned);
                let room = !pinned || others.count() < objects_max / 2;
                let entry = model.get_mut(&id.0);
                let pin = pinned.then_some(Pin::FOR_GOOD);
                assert_eq!(table.pin(id, pin), entry.is_some() && room);
                if let Some((_, marked)) = entry.filter(|_| room) {
                    *marked = pinned;
                }
            }
            Op::Remove { key } => {
                let id = ObjectId::of(&key.to_string());
                let expected = model.remove(&id.0).map(|(object, _)| object);
                assert_eq!(table.remove_if(id, |_| true), expected);
            }
            Op::RemoveGeneration { key, generation } => {
                let id = ObjectId::of(&key.to_string());
                let expected = model.get(&id.0).is_some_and(|(o, _)| o.generation == generation);
                let removed = table.remove_if(id, |object| object.generation == generation);
                assert_eq!(removed.is_some(), expected);
                if expected {
                    model.remove(&id.0);
                }
            }
        }
        assert!(table.len() <= objects_max);
        assert_eq!(table.len(), model.len());
        assert_eq!(table.bytes(), model.values().map(|(object, _)| object.size).sum::<u64>());
        let pinned = || model.values().filter(|(_, pinned)| *pinned);
        assert_eq!(table.pinned(), pinned().count() as u64);
        let bytes: u64 = pinned().map(|(object, _)| object.size).sum();
        assert_eq!(table.pinned_bytes(), bytes);
    }
    for (id, (object, _)) in &model {
        assert_eq!(table.peek(ObjectId(*id)).as_ref(), Some(object));
    }
    for id in model.into_keys() {
        table.remove_if(ObjectId(id), |_| true);
    }
    assert_eq!(table.packer.words(), (0, 0), "words that nobody uses");
}

fn gone_of(object: &StoredObject, pinned: bool) -> Gone {
    Gone { id: object.id, generation: object.generation, size: object.size, pinned }
}

proptest! {
    #[test]
    fn agrees_with_a_map(
        objects_max in 1..50_usize,
        ops in prop::collection::vec(op(), 1..300),
    ) {
        check(objects_max, &ops);
    }
}

#[test]
fn what_is_read_outlives_what_is_not() {
    let table = Table::new(100);
    let hot = ObjectId::of("hot");
    table.insert(Arc::new(object("hot", 1, 1)));
    for number in 0..10_000 {
        table.insert(Arc::new(object(&format!("cold {number}"), 1, 1)));
        assert!(table.get(hot).is_some(), "after {number} others");
    }
    assert_eq!((table.len(), table.evicted()), (100, 9_901));
}

#[test]
fn shards_keep_the_bound() {
    let table = Table::new(10_000);
    assert!(table.shards() > 1);
    for number in 0..50_000 {
        table.insert(Arc::new(object(&format!("{number}"), 1, 3)));
    }
    assert!(table.len() <= 10_000 && table.len() > 9_000, "{}", table.len());
    assert_eq!(table.bytes(), table.len() as u64 * 3);
    let listed: usize = (0..table.shards()).map(|n| table.shard_ids(n).len()).sum();
    assert_eq!(listed, table.len());
}

#[test]
fn giant_header_blocks_push_others_out_and_not_the_budget() {
    let table = Table::new(10_000);
    for number in 0..20_000 {
        let mut object = object(&format!("{number}"), 1, 1);
        let value = format!("{number}").repeat(1000);
        let headers = [(http::header::SERVER, http::HeaderValue::try_from(value).unwrap())];
        object.fields = crate::fields::Fields::encode(&headers.into_iter().collect());
        table.insert(Arc::new(object));
        assert!(table.len() > 0);
    }
    // The dictionaries have bounds of their own.
    let least = SHARD_BYTES_MIN * table.shards() * 3;
    let bytes = table.ram_bytes() - table.packer.bytes() as u64;
    assert!(bytes < least as u64, "{bytes}");
}

#[test]
fn reads_are_counted_wherever_they_happen() {
    let table = Table::new(3000);
    for number in 0..3000 {
        table.insert(Arc::new(media(number)));
    }
    table.tick(77);
    let id = media(5).id;
    for round in 0..200_u64 {
        table.get(id).unwrap();
        // Others push it out of the unpacked ones now and then.
        for other in 0..200 {
            table.get(media((round * 200 + other) % 3000).id);
        }
    }
    let own = 200 + (0..200 * 200).filter(|n| n % 3000 == 5).count();
    let mut seen = None;
    (0..table.shards()).for_each(|shard| {
        table.scan(shard, |view| {
            if view.id == id {
                seen = Some(view.usage);
            }
        });
    });
    assert_eq!(seen, Some(Usage { reads: own as u32, read_seconds: 77 }));
}

#[test]
fn media_objects_take_less_than_they_may() {
    let table = Table::new(100_000);
    let mut number = 0;
    while table.evicted() == 0 {
        table.insert(Arc::new(media(number)));
        number += 1;
    }
    let each = table.ram_bytes() / table.len() as u64;
    assert!(table.len() > 95_000, "{} objects at {each} B", table.len());
    assert!(each <= OBJECT_BYTES as u64, "{each} B an object");
}

#[test]
fn what_the_file_says_is_taken_unless_the_table_knows_better() {
    let table = Table::new(2);
    let of = |key: &str, generation| Arc::new(object(key, generation, 1));
    table.begin_loading();
    let (a, b, c) = (of("a", 1), of("b", 1), of("c", 1));
    assert!(table.awaits(a.id) && table.is_loading());
    // Purged before the file was asked, replaced, and replaced and purged.
    assert_eq!(table.remove_if(a.id, |_| true), None);
    assert_eq!(table.load(&a, None, true), Load::Known);
    table.insert(of("b", 2));
    assert_eq!(table.load(&b, None, true), Load::Known);
    table.remove_if(b.id, |_| true).unwrap();
    assert_eq!(table.load(&b, None, true), Load::Known);
    assert_eq!(table.load(&c, None, false), Load::Taken(Displaced::default()));
    assert_eq!(table.load(&c, None, false), Load::Known);
    assert_eq!(table.load(&of("d", 1), None, false), Load::Taken(Displaced::default()));
    assert_eq!(table.load(&of("e", 1), None, false), Load::Full);
    let Load::Taken(displaced) = table.load(&of("e", 1), None, true) else {
        panic!("others make room")
    };
    let evicted = displaced.evicted[0].id;
    assert_eq!(table.load(&table_object(evicted), None, true), Load::Known, "evicted before");
    // What was read already is not awaited, and what left since does not come back.
    table.loaded_below(ObjectId(u128::MAX));
    assert!(!table.awaits(a.id));
    assert_eq!(table.load(&of("f", 1), None, true), Load::Known);
    table.end_loading();
    assert!(!table.is_loading());
    assert_eq!(table.load(&of("g", 1), None, true), Load::Known);
}

fn table_object(id: ObjectId) -> StoredObject {
    ["c", "d", "e"]
        .map(|key| object(key, 1, 1))
        .into_iter()
        .find(|object| object.id == id)
        .expect("one of those that were loaded")
}

#[test]
fn given_up_is_as_if_all_were_purged() {
    let table = Table::new(10);
    table.begin_loading();
    table.give_up_loading();
    assert!(table.is_loading() && table.gave_up_loading());
    assert_eq!(table.load(&object("a", 1, 1), None, true), Load::Known);
    table.end_loading();
    table.give_up_loading();
    assert!(!table.is_loading());
}
