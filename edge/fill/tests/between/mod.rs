//! What happens between the look at a stored object and its update: the clock, which comes from
//! outside and is read in between, purges the object there, and stores a newer one.

use std::{
    fmt,
    sync::{Arc, Weak},
};

use http::{Method, header};
use parking_lot::Mutex;
use weir_benches_content::Content;
use weir_config_lifecycle::Clock;
use weir_edge_cache::{ObjectId, StoredObject};
use weir_edge_fill::{Ask, Engine};

use crate::script::{MIB, Origin, Reply, Seen, World, good};

static FILM: Content = Content { object: 4, version: 1, size: 3 * MIB + 12_345 };

/// A clock that does something at a reading that is chosen beforehand.
struct Planted {
    clock: Arc<dyn Clock>,
    /// Readings until then, and what.
    plan: Mutex<Option<(usize, Act)>>,
    engine: Mutex<Weak<Engine>>,
}

/// What happens in between.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Act {
    Purge,
    /// A purge, and another generation.
    Replace,
}

impl fmt::Debug for Planted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Planted")
    }
}

impl Clock for Planted {
    fn unix_millis(&self) -> u64 {
        let now = self.clock.unix_millis();
        let mut plan = self.plan.lock();
        match plan.take() {
            Some((0, act)) => {
                drop(plan);
                self.act(act, now);
            }
            Some((left, act)) => *plan = Some((left - 1, act)),
            None => {}
        }
        now
    }
}

impl Planted {
    fn act(&self, act: Act, now: u64) {
        let engine = self.engine.lock().upgrade().unwrap();
        let (cache, id) = (engine.cache(), ObjectId::of("/a"));
        let object = cache.object(&id, "/a").unwrap();
        // The mark that comes with a purge by a request was looked at before.
        cache.purge(&id);
        if act == Act::Replace {
            let (generation, epoch) = (cache.next_generation(), cache.begin().epoch());
            let times = (now + 1, now + 1);
            cache.put_object(StoredObject {
                generation,
                epoch,
                request_millis: times.0,
                response_millis: times.1,
                ..(*object).clone()
            });
        }
    }
}

/// Asks for `first`, then for `second`, whose update of what is stored is come between at that
/// reading of the clock after its request was sent.
async fn between(act: Act, reading: usize, asks: impl Fn(&World) -> (Ask, Ask)) {
    let planted: Arc<Mutex<Option<Arc<Planted>>>> = Arc::default();
    let plan = Arc::clone(&planted);
    let origin = Origin::new(move |index, seen| {
        if index == 1 {
            *plan.lock().as_ref().unwrap().plan.lock() = Some((reading, act));
        }
        Ok(answer(seen))
    });
    let world = World::with(origin, 256 * MIB, 64, |clock| {
        let (plan, engine) = (Mutex::default(), Mutex::default());
        let clock = Arc::new(Planted { clock, plan, engine });
        *planted.lock() = Some(Arc::clone(&clock));
        clock
    });
    let planted = planted.lock().clone().unwrap();
    *planted.engine.lock() = Arc::downgrade(&world.engine);
    let (first, second) = asks(&world);
    let (_, end) = world.read(&first).await;
    end.unwrap();
    let before = stored(&world).unwrap();
    if first.range.is_none() {
        world.clock.advance_millis(61_000);
    }
    if second.key != first.key {
        world.found(&second).await;
    } else {
        let (_, end) = world.read(&second).await;
        end.unwrap();
    }
    assert!(planted.plan.lock().is_none(), "nothing came between");
    let after = stored(&world);
    match act {
        Act::Purge => assert!(after.is_none(), "what was purged is back"),
        Act::Replace => {
            let after = after.expect("the newer one is gone");
            assert!(after.generation > before.generation, "an older one took its place");
        }
    }
}

fn answer(seen: &Seen) -> Reply {
    let mut reply = good(&FILM, seen);
    if seen.method == Method::HEAD {
        reply.headers.insert(header::CONTENT_LENGTH, FILM.size.to_string().parse().unwrap());
        (reply.declared, reply.steps) = (Some(0), Vec::new());
    }
    reply
}

fn stored(world: &World) -> Option<Arc<StoredObject>> {
    let ask = world.ask("/a");
    world.engine.cache().object(&ask.id, &ask.key)
}

#[tokio::test(start_paused = true)]
async fn a_part_brings_back_nothing() {
    for act in [Act::Purge, Act::Replace] {
        between(act, 0, |world| (world.ask_range("/a", 0, 9), world.ask("/a"))).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_to_head_brings_back_nothing() {
    for act in [Act::Purge, Act::Replace] {
        between(act, 1, |world| (world.ask("/a"), world.ask("/a").head())).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_confirmation_brings_back_nothing() {
    for act in [Act::Purge, Act::Replace] {
        between(act, 0, |world| (world.ask("/a"), world.ask("/a"))).await;
    }
}
