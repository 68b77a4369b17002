//! From the URLs of an order to every object they stand for: playlists first, so that it is
//! known early how much there is; nothing twice, so that playlists that name each other end.

use std::{
    collections::{HashSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use http::Uri;
use parking_lot::Mutex;
use tokio::time::{Instant, sleep};
use weir_config_admin::{Ladder as Told, WarmState};
use weir_config_lifecycle::Phase;
use weir_edge_playlist::{ByteRange, Item, Ladder, Listing, PlaylistError, Variables, What, read};
use xxhash_rust::xxh3::xxh3_128;

use super::{
    fetch::{Fetched, Fetcher},
    job::Job,
    pace::Pace,
};
use crate::{
    admit::{self, Admitted},
    lookup,
    node::Node,
};

/// Objects at once: warming waits, clients do not.
const PARALLEL: usize = 4;
/// Objects of one job.
const OBJECTS_MAX: usize = 200_000;
/// Bytes of the URLs that wait.
const TEXT_MAX: usize = 32 << 20;
/// Playlists in playlists: a multivariant one, its media playlists, and nothing more.
const DEPTH_MAX: u32 = 3;
/// Entries that are taken in before others have their turn: less than a millisecond's worth.
const BETWEEN: usize = 256;
/// Between two looks whether there is a place among the fills.
const LOOK: Duration = Duration::from_millis(20);

/// One object to bring.
#[derive(Debug)]
struct Task {
    url: String,
    range: Option<ByteRange>,
    /// The service that must answer for it, where that is not any.
    only: Option<Arc<str>>,
    /// Playlists above it. The first are what the order names.
    depth: u32,
    list: bool,
    /// Of the playlist that listed it.
    variables: Arc<Variables>,
}

/// An object that was tried.
type Tried = (Task, Result<Brought, String>);

/// One that came, and what it lists where it is a playlist.
struct Brought {
    fetched: Fetched,
    /// With the service that answered for it.
    listed: Option<(Arc<str>, Result<Listing, PlaylistError>)>,
}

/// A job under way.
struct Walk {
    fetcher: Arc<Fetcher>,
    lists: VecDeque<Task>,
    files: VecDeque<Task>,
    /// Keys and ranges that were taken in.
    seen: HashSet<u128>,
    /// Bytes of the URLs in both.
    text: usize,
}

/// Does a job to its end.
pub(super) async fn walk(node: Arc<Node>, job: Arc<Job>, urls: Vec<String>) {
    let pace = job.request.rate_bits.map(|rate| Pace::new(rate, Instant::now()));
    let parallel = pace.as_ref().map_or(PARALLEL, |pace| pace.parallel(PARALLEL));
    let ladder = match job.request.ladder {
        Told::All => Ladder::All,
        Told::Top => Ladder::Top,
    };
    let fetcher = Fetcher { node, job: Arc::clone(&job), pace: pace.map(Mutex::new), ladder };
    let mut walk = Walk {
        fetcher: Arc::new(fetcher),
        lists: VecDeque::new(),
        files: VecDeque::new(),
        seen: HashSet::new(),
        text: 0,
    };
    let none = Arc::new(Variables::default());
    for (at, url) in urls.into_iter().enumerate() {
        give_way(at).await;
        if job.is_cancelled() {
            break;
        }
        if let Err(why) = walk.take(&url, None, 0, true, &none, None) {
            job.failed(&url, &why);
            job.told.lock().objects += 1;
            walk.fetcher.node.warms.count(2, 1);
        }
    }
    let state = walk.run(parallel).await;
    job.end(state);
    let told = job.now();
    tracing::info!(
        job = told.job,
        ?state,
        fetched = told.fetched,
        bytes = told.fetched_bytes,
        had = told.had,
        failed = told.failed,
        skipped = told.skipped,
        "warmed"
    );
}

impl Walk {
    fn job(&self) -> &Arc<Job> {
        &self.fetcher.job
    }

    async fn run(&mut self, parallel: usize) -> WarmState {
        let mut under_way: FuturesUnordered<BoxFuture<'static, Tried>> = FuturesUnordered::new();
        loop {
            let ends = self.fetcher.node.readiness.phase() > Phase::Serving;
            if self.job().is_cancelled() || ends {
                // What is on its way comes to its end by itself.
                return WarmState::Cancelled;
            }
            if under_way.len() < parallel && self.may_begin(under_way.is_empty()) {
                if let Some(task) = self.next() {
                    under_way.push(tried(Arc::clone(&self.fetcher), task).boxed());
                    continue;
                }
                if under_way.is_empty() {
                    return WarmState::Done;
                }
            }
            let job = Arc::clone(self.job());
            let waits =
                under_way.len() < parallel && !(self.lists.is_empty() && self.files.is_empty());
            tokio::select! {
                Some((task, result)) = under_way.next() => self.settle(&task, result).await,
                () = sleep(LOOK), if waits => {}
                () = job.changed.notified() => {}
            }
        }
    }

    fn next(&mut self) -> Option<Task> {
        let task = self.lists.pop_front().or_else(|| self.files.pop_front())?;
        self.text -= task.url.len();
        Some(task)
    }

    /// Whether half of the fill slots are for others, who do not wait for us then.
    fn may_begin(&self, idle: bool) -> bool {
        let engine = &self.fetcher.node.engine;
        let (free, used) = (engine.slots_free(), engine.under_way());
        free > used || (idle && free > 0)
    }

    /// Takes an object in. What was taken in before is passed over.
    fn take(
        &mut self,
        url: &str,
        range: Option<ByteRange>,
        depth: u32,
        list: bool,
        variables: &Arc<Variables>,
        only: Option<&Arc<str>>,
    ) -> Result<(), String> {
        let admitted = admitted(&self.fetcher.node, url, only)?;
        let mut name = lookup::key(&admitted).into_bytes();
        name.extend(
            range.iter().flat_map(|range| [range.first, range.last]).flat_map(u64::to_le_bytes),
        );
        if !self.seen.insert(xxh3_128(&name)) {
            return Ok(());
        }
        if self.seen.len() > OBJECTS_MAX || self.text + url.len() > TEXT_MAX {
            return Err(format!("a job takes {OBJECTS_MAX} objects, and there are more"));
        }
        self.text += url.len();
        let (url, variables) = (url.to_owned(), Arc::clone(variables));
        let task = Task { url, range, only: only.cloned(), depth, list, variables };
        if list {
            self.lists.push_back(task);
        } else {
            self.files.push_back(task);
        }
        self.job().told.lock().objects += 1;
        Ok(())
    }

    async fn settle(&mut self, task: &Task, result: Result<Brought, String>) {
        let job = Arc::clone(self.job());
        let counts = &self.fetcher.node.warms;
        let Brought { fetched, listed } = match result {
            Ok(brought) => brought,
            Err(why) => {
                counts.count(2, 1);
                return job.failed(&task.url, &why);
            }
        };
        counts.bytes.fetch_add(fetched.fetched_bytes, std::sync::atomic::Ordering::Relaxed);
        {
            let mut told = job.told.lock();
            told.fetched_bytes += fetched.fetched_bytes;
            told.had_bytes += fetched.had_bytes;
            told.pinned += u64::from(fetched.pinned);
        }
        if let Some((_, Err(error))) = &listed {
            counts.count(2, 1);
            return job.failed(&task.url, &format!("its playlist: {error}"));
        }
        counts.count(usize::from(!fetched.came), 1);
        {
            let mut told = job.told.lock();
            told.fetched += u64::from(fetched.came);
            told.had += u64::from(!fetched.came);
        }
        if let Some((service, Ok(listing))) = listed {
            self.list(task, &service, listing).await;
        }
    }

    async fn list(&mut self, task: &Task, service: &Arc<str>, listing: Listing) {
        let job = Arc::clone(self.job());
        {
            let mut told = job.told.lock();
            told.playlists += 1;
            told.live += u64::from(listing.live);
        }
        let Listing { items, skipped, skipped_count, variables, .. } = listing;
        let variables = Arc::new(variables);
        for left in &skipped {
            job.skipped(&left.reference, left.why.as_str());
        }
        let more = skipped_count - skipped.len() as u64;
        job.told.lock().skipped += more;
        let mut left = skipped_count;
        for (at, item) in merged(items).into_iter().enumerate() {
            give_way(at).await;
            if job.is_cancelled() {
                break;
            }
            let list = item.what == What::Playlist;
            let taken = if list && task.depth >= DEPTH_MAX {
                Err("playlists in playlists, too deep".to_owned())
            } else {
                let only = (item.what == What::Key).then_some(service);
                self.take(&item.url, item.range, task.depth + 1, list, &variables, only)
            };
            if let Err(why) = taken {
                left += 1;
                job.skipped(&item.url, &why);
            }
        }
        self.fetcher.node.warms.count(3, left);
    }
}

/// By the configuration of now: what waited may have waited through a reload, and keeps nothing
/// of what held before it.
async fn tried(fetcher: Arc<Fetcher>, task: Task) -> Tried {
    let result = brought(&fetcher, &task).await;
    (task, result)
}

async fn brought(fetcher: &Arc<Fetcher>, task: &Task) -> Result<Brought, String> {
    let admitted = admitted(&fetcher.node, &task.url, task.only.as_ref())?;
    let large = task.depth == 0;
    let mut fetched = fetcher.fetch(&admitted, task.range, task.list, large).await?;
    let Some((format, body)) = fetched.playlist.take() else {
        return Ok(Brought { fetched, listed: None });
    };
    let service = Arc::clone(&admitted.service.id);
    let (url, variables) = (task.url.clone(), Arc::clone(&task.variables));
    let ladder = fetcher.ladder;
    // The threads of this runtime fill for clients. Who is cancelled while it waits never begins.
    let turn = Arc::clone(&fetcher.node.warms.reading).acquire_owned().await;
    let reading = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        read(format, &body, &url, ladder, &variables)
    });
    let listing = reading.await.map_err(|error| format!("its playlist was not read: {error}"))?;
    Ok(Brought { fetched, listed: Some((service, listing)) })
}

/// Lets others have the thread, now and then.
async fn give_way(at: usize) {
    if at % BETWEEN == BETWEEN - 1 {
        tokio::task::yield_now().await;
    }
}

/// What the services of now say of a URL.
fn admitted(node: &Node, url: &str, only: Option<&Arc<str>>) -> Result<Admitted, String> {
    let uri: Uri = url.parse().map_err(|error| format!("not a URL: {error}"))?;
    let authority = uri.authority().ok_or("not a URL: it has no scheme or host")?;
    let services = node.services.load();
    let admitted = admit::admit_url(&services, authority.as_str(), &uri)
        .map_err(|refusal| refusal.to_string())?;
    if only.is_some_and(|only| *admitted.service.id != **only) {
        return Err("a key of another service than its playlist's".into());
    }
    Ok(admitted)
}

/// Ranges of one file that follow each other as one: its segments are asked for together.
fn merged(items: Vec<Item>) -> Vec<Item> {
    let mut found: Vec<Item> = Vec::with_capacity(items.len());
    for item in items {
        if let (Some(last), Some(range)) = (found.last_mut(), item.range)
            && let Some(before) = last.range
            && last.url == item.url
            && before.last.checked_add(1) == Some(range.first)
        {
            last.range = Some(ByteRange { first: before.first, last: range.last });
            continue;
        }
        found.push(item);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_that_follow_each_other_are_one() {
        let item = |url: &str, range: Option<(u64, u64)>| Item {
            url: url.into(),
            what: What::Segment,
            range: range.map(|(first, last)| ByteRange { first, last }),
        };
        let check = |items: Vec<Item>, expected: Vec<Item>| assert_eq!(merged(items), expected);
        check(vec![], vec![]);
        check(
            vec![item("a", Some((0, 9))), item("a", Some((10, 19))), item("a", Some((20, 29)))],
            vec![item("a", Some((0, 29)))],
        );
        let apart = || {
            vec![
                item("a", Some((0, 9))),
                item("b", Some((10, 19))),
                item("b", Some((25, 29))),
                item("b", None),
                item("b", None),
                item("c", Some((0, u64::MAX))),
                item("c", Some((0, 1))),
            ]
        };
        check(apart(), apart());
    }
}
