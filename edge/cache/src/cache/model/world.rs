//! The cache, what is around it, and the map that says what it should hold.

mod known;
mod pins;

use std::{
    collections::HashMap,
    ops::Range,
    sync::{Arc, LazyLock},
};

use bytes::Bytes;

use self::known::{Known, Version};
use super::{KEYS, Op, device::Device, forgetful::Forgetful};
use crate::{
    cache::{Cache, CacheConfig},
    chunk::{CHUNK_SIZE, Chunk, ChunkKey, ObjectId},
    object::{StoredObject, tests::object},
    purge::{Mode, Selector, Standing, Ticket},
    state::Opener,
    table::{Filter, Sort},
};

/// Whole chunks to choose from: making one for each put would be all that the test does.
static POOL: LazyLock<Vec<Chunk>> = LazyLock::new(|| {
    let chunk = |n: usize| {
        let bytes = (0..CHUNK_SIZE / 8).flat_map(|at| pattern(n, at).to_le_bytes());
        Chunk::seal(Bytes::from_iter(bytes))
    };
    (0..4).map(chunk).collect()
});
/// Of the state file's own page cache: it is small.
const PAGE_CACHE: usize = 1 << 20;
/// RAM for a sixth of all chunks.
const MEMORY: u64 = 24 << 20;

thread_local! {
    static RUNTIME: tokio::runtime::Runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
}

fn block_on<F: Future>(future: F) -> F::Output {
    RUNTIME.with(|runtime| runtime.block_on(future))
}

fn pattern(pool: usize, at: usize) -> u64 {
    (at as u64 ^ (pool as u64) << 40).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

pub(super) struct World {
    cache: Option<Cache>,
    store: Arc<Forgetful>,
    device: Device,
    evicts: bool,
    config: CacheConfig,
    clock: u64,
    keys: HashMap<String, Known>,
    fills: Vec<(u8, u64, Version, Ticket)>,
    /// Failed writes of the state file that were seen.
    errors: u64,
    directory: tempfile::TempDir,
}

type Outcome = Result<(), String>;

fn key(number: u8) -> String {
    format!("film|h|/{}/{number}.m4s", if number.is_multiple_of(2) { "a" } else { "b" })
}

impl World {
    pub(super) fn new(objects_max: usize) -> Self {
        let directory = tempfile::tempdir().expect("a directory for tests");
        let mut world = Self {
            cache: None,
            store: Arc::default(),
            device: Device::default(),
            evicts: objects_max < usize::from(KEYS),
            config: CacheConfig {
                memory_bytes: MEMORY,
                // Nothing is written there; the device stands in its place.
                state: Some(directory.path().join("state")),
                metadata_objects_max: objects_max,
            },
            clock: 1_000_000_000,
            keys: (0..KEYS).map(|number| (key(number), Known::empty())).collect(),
            fills: Vec::new(),
            errors: 0,
            directory,
        };
        world.open(true);
        world
    }

    fn open(&mut self, wait: bool) {
        self.clock += 1;
        let device = self.device.clone();
        let opener: Opener = Arc::new(move |_| {
            redb::Builder::new().set_cache_size(PAGE_CACHE).create_with_backend(device.clone())
        });
        let store = self.store.clone();
        let cache = Cache::open_with(&self.config, Some(store), self.clock, opener);
        let cache = cache.expect("a crash leaves a file that opens");
        if wait {
            block_on(cache.recovered());
        }
        self.errors = 0;
        self.cache = Some(cache);
    }

    fn cache(&self) -> &Cache {
        self.cache.as_ref().expect("open but while it is opened again")
    }

    fn known(&mut self, key: &str) -> &mut Known {
        self.keys.get_mut(key).expect("one of the keys")
    }

    pub(super) fn step(&mut self, op: Op) -> Outcome {
        match op {
            Op::Put { key: number, size, chunks } => {
                let version = self.version(size);
                let epoch = self.cache().purge_epoch();
                let readable = !self.is_unreadable();
                self.put(number, version, epoch);
                self.bring(number, version, chunks);
                let whole = stored(number, version, 0).chunks() <= chunks.into();
                let again = self.is_pinned(number);
                self.known(&key(number)).comes(version, whole, again, readable);
            }
            Op::Begin { key, size } => {
                if self.fills.len() < 8 {
                    let version = self.version(size);
                    self.fills.push((key, version.generation, version, self.cache().begin()));
                }
            }
            Op::End { fill } => {
                let Some(place) = usize::from(fill).checked_rem(self.fills.len()) else {
                    return Ok(());
                };
                let (number, _, version, ticket) = self.fills.swap_remove(place);
                self.bring(number, version, 3);
                let standing = {
                    let object = stored(number, version, ticket.epoch());
                    self.cache().standing(&(&object).into())
                };
                let readable = !self.is_unreadable();
                self.put(number, version, ticket.epoch());
                // A purge since it began wins.
                if standing != Standing::Gone {
                    // Its chunks came before it was known to be pinned.
                    let again = self.is_pinned(number);
                    self.known(&key(number)).comes(version, false, again, readable);
                }
            }
            Op::Revalidate { key: number } => {
                let Some(found) = self.get(number)? else { return Ok(()) };
                let Some(now) = self.known(&key(number)).now else { return Ok(()) };
                let version = Version { revalidated: now.revalidated + 1, ..now };
                let epoch = found.epoch.max(self.cache().purge_epoch());
                self.put(number, version, epoch);
                self.known(&key(number)).becomes(Some(version));
            }
            Op::Get { key } => drop(self.get(key)?),
            Op::Range { key, from, to } => self.range(key, from, to)?,
            Op::Remove { key: number } => {
                let removed = self.cache().remove_object(&ObjectId::of(&key(number)));
                let expected = self.known(&key(number)).now;
                // What was purged and not reclaimed yet is removed as well.
                let gone =
                    |object: &StoredObject| self.cache().standing(&object.into()) == Standing::Gone;
                let removed = removed.as_deref().filter(|object| !gone(object));
                self.judge(number, removed, expected)?;
                self.known(&key(number)).becomes(None);
            }
            Op::Discard { key: number, old } => {
                let Some(now) = self.known(&key(number)).now else { return Ok(()) };
                let generation = now.generation - u64::from(old);
                self.cache().discard_generation(&ObjectId::of(&key(number)), generation, 4);
                if !old {
                    let known = self.known(&key(number));
                    known.awaited = now.pinned;
                    known.becomes(None);
                }
            }
            Op::Pin { key, all } => self.pin(key, all)?,
            Op::Unpin { key: number } => {
                let was = self.cache().unpin(&ObjectId::of(&key(number)));
                let unreadable = self.is_unreadable();
                let known = self.known(&key(number));
                known.awaited = false;
                let Some(now) = known.now else { return Ok(()) };
                if was != now.pinned && !unreadable {
                    return Err(format!("was pinned: {was}, and should {now:?}"));
                }
                if was {
                    known.becomes(Some(Version { pinned: false, whole: false, ..now }));
                }
            }
            Op::PurgeKey { key: number } => {
                let key = key(number);
                let selector = Selector::Key(key.as_str().into());
                self.purge(&selector, |other| *other == key)?;
            }
            Op::PurgeFolder { folder } => {
                let prefix = if folder.is_multiple_of(2) { "film|h|/a/" } else { "film|h|/b/" };
                self.purge(&Selector::Prefix(prefix.into()), |key| key.starts_with(prefix))?;
            }
            // It waits for what cannot be read until the disk has room.
            Op::Reclaim if self.is_unreadable() => {}
            Op::Reclaim => {
                // False is a state file that cannot be written.
                let _ = block_on(self.cache().reclaim_now());
                self.align()?;
            }
            Op::Forget { nth } => self.store.forget(nth.into()),
            Op::List => self.list()?,
            Op::Flush => self.flush(),
            Op::Restart { wait } => {
                // What was begun ends with its process.
                self.fills.clear();
                self.keys.values_mut().for_each(|known| known.awaited = false);
                self.flush();
                let durable = !self.device.is_full();
                if let Some(cache) = self.cache.take() {
                    block_on(cache.close());
                }
                self.device.set_full(false);
                self.open(wait);
                if !durable {
                    self.find_out()?;
                }
            }
            Op::Crash { torn, wait } => {
                self.fills.clear();
                self.keys.values_mut().for_each(|known| known.awaited = false);
                let left = self.device.crashed(torn);
                // It goes on writing to a disk that nobody looks at any more.
                self.cache = None;
                self.device = left;
                self.device.set_full(false);
                self.open(wait);
                self.find_out()?;
            }
            Op::Full { full } => self.device.set_full(full),
        }
        Ok(())
    }

    /// Every key once more.
    pub(super) fn check_all(&mut self) -> Outcome {
        if !block_on(self.cache().reclaim_now()) {
            return Err("the state file cannot be written".into());
        }
        for number in 0..KEYS {
            self.get(number)?;
            self.range(number, 0, 64)?;
        }
        let present = self.keys.values().filter(|known| known.now.is_some()).count();
        let objects = usize::try_from(self.cache().stats().objects).expect("a few");
        let fits = self.config.metadata_objects_max;
        if objects > present || (!self.evicts && objects < present) || objects > fits {
            return Err(format!("{objects} objects where {present} should be"));
        }
        let bytes = self.keys.values().filter_map(|known| known.now).map(|v| v.size).sum::<u64>();
        if !self.evicts && self.cache().stats().object_bytes != bytes {
            return Err(format!("{} bytes of {bytes}", self.cache().stats().object_bytes));
        }
        assert!(self.directory.path().exists());
        Ok(())
    }

    fn version(&self, size: u8) -> Version {
        // None to three chunks, the last one seldom whole.
        let size = u64::from(size % 4) * CHUNK_SIZE as u64 + u64::from(size / 4) * 7;
        let generation = self.cache().next_generation();
        Version { generation, size, revalidated: 0, pinned: false, whole: false }
    }

    fn put(&self, number: u8, version: Version, epoch: u64) {
        self.cache().put_object(stored(number, version, epoch));
    }

    /// Puts the first `chunks` chunks of an object where a fill puts them.
    fn bring(&self, number: u8, version: Version, chunks: u8) {
        let object = stored(number, version, 0);
        for index in 0..object.chunks().min(chunks.into()) {
            let key = object.chunk_key(index);
            self.cache().insert_chunk(key, content(&key, version.size));
        }
    }

    fn get(&mut self, number: u8) -> Result<Option<Arc<StoredObject>>, String> {
        let key = key(number);
        let found = self.cache().object(&ObjectId::of(&key), &key);
        let expected = self.known(&key).now;
        self.judge(number, found.as_deref(), expected)?;
        Ok(found)
    }

    /// Whether an object that was found is the one, or rightly none was.
    fn judge(
        &self,
        number: u8,
        found: Option<&StoredObject>,
        expected: Option<Version>,
    ) -> Outcome {
        let right = match (found, expected) {
            (None, None) => true,
            (None, Some(expected)) => (self.evicts && !expected.pinned) || self.is_unreadable(),
            (Some(found), Some(expected)) => same(number, found, expected),
            (Some(_), None) => false,
        };
        let what = || format!("{} gives {found:?}, and should {expected:?}", key(number));
        right.then_some(()).ok_or_else(what)
    }

    /// Whether the state file has yet to be read and cannot be: after a failed write it is
    /// opened anew, which a full disk refuses. Nothing is lost by that.
    fn is_unreadable(&self) -> bool {
        let loading = self.cache().stats().state.is_some_and(|state| state.loading);
        loading && self.device.is_full()
    }

    fn range(&mut self, number: u8, from: u8, to: u8) -> Outcome {
        let Some(object) = self.get(number)? else { return Ok(()) };
        let at = |part: u8| object.size * u64::from(part) / 64;
        let wanted = at(from.min(to))..at(from.max(to));
        let whole = self.known(&key(number)).now.is_some_and(|now| now.whole);
        let Some(parts) = self.assemble(&object, wanted.clone()) else {
            return if whole {
                Err("a chunk of a pinned object is missing".into())
            } else {
                Ok(())
            };
        };
        let length: u64 = parts.iter().map(|(_, part)| part.len() as u64).sum();
        if length != wanted.end - wanted.start {
            return Err(format!("{length} bytes of {wanted:?}"));
        }
        for (key, place, part) in parts.iter().map(|((key, place), part)| (key, *place, part)) {
            // Of what the model says, not of what the cache says.
            let expected = content(key, object.size);
            if expected.data()[place..place + part.len()] != **part {
                return Err(format!("wrong bytes of {key:?}"));
            }
        }
        Ok(())
    }

    /// The pieces of a range with where they are from, or nothing where one is missing.
    fn assemble(
        &self,
        object: &StoredObject,
        wanted: Range<u64>,
    ) -> Option<Vec<((ChunkKey, usize), Bytes)>> {
        let size = CHUNK_SIZE as u64;
        let mut parts = Vec::new();
        let mut at = wanted.start;
        while at < wanted.end {
            let index = u32::try_from(at / size).expect("a few chunks");
            let key = object.chunk_key(index);
            let found = self.cache().ram_chunk(&key);
            let chunk = found.or_else(|| block_on(self.cache().disk_chunk(&key)))?;
            let start = usize::try_from(at % size).expect("within a chunk");
            let end = usize::try_from((wanted.end - u64::from(index) * size).min(size)).ok()?;
            parts.push(((key, start), chunk.data().slice(start..end)));
            at = u64::from(index) * size + end as u64;
        }
        Some(parts)
    }

    fn purge(&mut self, selector: &Selector, means: impl Fn(&String) -> bool) -> Outcome {
        let order = self.cache().order(std::slice::from_ref(selector), Mode::Hard, 5);
        let durable = block_on(order).is_ok();
        if durable == self.device.is_full() {
            return Err(format!("durable {durable} on a disk that is full or not"));
        }
        for (_, known) in self.keys.iter_mut().filter(|(key, _)| means(key)) {
            known.awaited = false;
            if durable {
                // No crash brings it back.
                known.now = None;
                known.possible = vec![None];
            } else {
                known.becomes(None);
            }
        }
        Ok(())
    }

    fn list(&mut self) -> Outcome {
        let filter = Filter { prefixes: vec!["film|".into()], pinned: false };
        let page = self.cache().list(&filter, Sort::Key, None, 1000);
        let loading = self.cache().stats().state.is_some_and(|state| state.loading);
        for row in &page.rows {
            let known = &self.keys[&*row.object.key];
            let gone = self.cache().standing(&(&*row.object).into());
            let stale = gone == Standing::Gone;
            if known.now.is_none_or(|now| now.generation != row.object.generation) && !stale {
                return Err(format!("{} is listed", row.object.key));
            }
        }
        let present = self.keys.values().filter(|known| known.now.is_some()).count();
        let complete = self.evicts || loading || page.rows.len() >= present;
        complete.then_some(()).ok_or_else(|| format!("{} of {present} listed", page.rows.len()))
    }

    fn flush(&mut self) {
        block_on(self.cache().flush());
        let errors = self.cache().stats().state.map_or(0, |state| state.errors);
        let pending = self.cache().stats().state.map_or(0, |state| state.pending);
        if errors == self.errors && !self.device.is_full() && pending == 0 {
            self.keys.values_mut().for_each(Known::is_durable);
        }
        self.errors = errors;
    }

    /// After a crash: what is there must be possible, and is what counts from now on.
    fn find_out(&mut self) -> Outcome {
        for number in 0..KEYS {
            let key = key(number);
            let found = self.cache().object(&ObjectId::of(&key), &key);
            let evicts = self.evicts;
            let pinned = self.cache().pin_of(&ObjectId::of(&key)).is_some();
            let known = self.known(&key);
            let possible = std::mem::take(&mut known.possible);
            let may_go = |version: &Version| !version.pinned;
            let version = match &found {
                None if possible.contains(&None) => None,
                None if evicts && possible.iter().flatten().any(may_go) => None,
                None => return Err(format!("{key} is lost; {possible:?}")),
                Some(found) => {
                    let mut fitting = possible.iter().flatten();
                    let fits = |version: &&Version| {
                        same(number, found, **version) && version.pinned == pinned
                    };
                    let version = fitting.find(fits).copied().ok_or_else(|| {
                        format!("{key} is {found:?}, pinned {pinned}; {possible:?}")
                    })?;
                    // What the store had pinned since then may be another.
                    Some(Version { whole: false, ..version })
                }
            };
            known.now = version;
            // With a table that evicts, what was not read yet may be there all the same.
            known.possible = if evicts { possible } else { Vec::new() };
            known.possible.push(version);
        }
        Ok(())
    }
}

fn same(number: u8, found: &StoredObject, version: Version) -> bool {
    let expected = stored(number, version, found.epoch);
    *found == expected
}

fn stored(number: u8, version: Version, epoch: u64) -> StoredObject {
    let mut object = object(&key(number), version.generation, version.size);
    object.response_millis = version.revalidated;
    object.epoch = epoch;
    object
}

/// What a chunk holds: follows from its name and its object's size.
fn content(key: &ChunkKey, size: u64) -> Chunk {
    let pool = (key.object.0 as u64 ^ key.generation ^ u64::from(key.index)) as usize % POOL.len();
    let start = u64::from(key.index) * CHUNK_SIZE as u64;
    let length = usize::try_from((size - start).min(CHUNK_SIZE as u64)).expect("within a chunk");
    if length == CHUNK_SIZE {
        return POOL[pool].clone();
    }
    Chunk::seal(POOL[pool].data().slice(..length))
}
