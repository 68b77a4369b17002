//! Traces of requests for a collector that speaks OpenTelemetry's protocol; off unless it is told
//! where to. What happened to a request is known when it is over (`journal`): only then, and only
//! where its trace is told, are spans made of it. They wait in a bounded queue, from which a task
//! of the fill threads posts them; what finds no room is dropped and counted, and nothing of a
//! request ever waits for it.

mod behalf;
mod export;
mod root;
mod settings;
mod spans;
mod trail;

use std::{
    collections::VecDeque,
    hash::{BuildHasher, RandomState},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use arc_swap::ArcSwapOption;
use http::HeaderMap;
use parking_lot::Mutex;
use tokio::{
    sync::Notify,
    time::{Instant, timeout, timeout_at},
};
use weir_config::edge::{Parents, Traces as Told};
use weir_config_telemetry::{RequestId, traces::Span};

pub(crate) use behalf::{Behalf, current, on_behalf};
pub(crate) use export::run;
pub use root::Root;
pub(crate) use spans::Peer;
pub use trail::Trail;

use crate::journal::{Exchanges, Finished};
use settings::Settings;

/// How long the end of the process waits for what is left to be posted.
const LAST: Duration = Duration::from_secs(2);

/// Spans of a node on their way.
#[derive(Debug)]
pub struct Traces {
    /// None: off.
    settings: ArcSwapOption<Settings>,
    queue: Mutex<Queue>,
    news: Notify,
    /// Nothing comes any more, and what is left goes at once.
    closing: AtomicBool,
    done: Notify,
    /// Mixed into trace ids, so that two nodes do not give the same.
    salt: u64,
    pub(crate) counts: Counts,
    /// Why the last post was not taken.
    failure: Mutex<Option<String>>,
}

#[derive(Debug, Default)]
struct Queue {
    spans: VecDeque<Span>,
    /// When the first of them came.
    since: Option<Instant>,
}

/// Spans since the start, by what became of them.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) exported: AtomicU64,
    /// They found no room, or nobody to post them to any more.
    pub(crate) dropped: AtomicU64,
    /// The collector did not take them.
    pub(crate) failed: AtomicU64,
}

/// Off.
impl Default for Traces {
    fn default() -> Self {
        Self {
            settings: ArcSwapOption::empty(),
            queue: Mutex::default(),
            news: Notify::new(),
            closing: AtomicBool::new(false),
            done: Notify::new(),
            salt: RandomState::new().hash_one(0),
            counts: Counts::default(),
            failure: Mutex::new(None),
        }
    }
}

impl Traces {
    /// By what the configuration tells, for a node of that name and site.
    pub fn new(told: &Told, node: &str, site: &str) -> Self {
        let traces = Self::default();
        traces.set(told, node, site);
        traces
    }

    /// Takes a configuration anew: from the next request on, and from the next post on.
    pub fn set(&self, told: &Told, node: &str, site: &str) {
        self.settings.store(Settings::of(told, node, site).map(Arc::new));
        if told.endpoint.is_none() {
            *self.failure.lock() = None;
        }
        self.news.notify_one();
    }

    /// Where a request stands that comes with these fields; none where no spans are made.
    /// `trusted` is whether its peer may speak for others.
    pub fn begin(&self, id: RequestId, headers: &HeaderMap, trusted: bool) -> Option<Root> {
        let settings = self.settings.load();
        let settings = settings.as_ref()?;
        let believed = match settings.told.parents {
            Parents::Never => false,
            Parents::Trusted => trusted,
            Parents::Always => true,
        };
        let headers = believed.then_some(headers);
        Some(Root::of(id, self.salt, headers, settings.told.sample_ppm))
    }

    /// A request is over: it is told, or nobody hears of it.
    pub fn finished(
        &self,
        root: &Root,
        trail: Option<&Arc<Trail>>,
        finished: &Finished,
        exchanges: &Exchanges,
    ) {
        let failed = || {
            let settings = self.settings.load();
            settings.as_ref().is_some_and(|settings| settings.told.failed) && finished.is_notable()
        };
        let told = root.sampled || failed();
        let upstream = trail.map(|trail| trail.decide(told)).unwrap_or_default();
        if told {
            let links = finished.asked.map(|object| {
                exchanges.others(object, root.trace, finished.started, finished.ended())
            });
            let mut spans = spans::request(finished, root, links.unwrap_or_default());
            spans.extend(upstream);
            self.push(spans);
        }
    }

    /// Those of one request wait together, or none of them.
    fn push(&self, spans: Vec<Span>) {
        let settings = self.settings.load();
        let most = settings.as_ref().map_or(0, |settings| settings.told.queue.get() as usize);
        let mut queue = self.queue.lock();
        if queue.spans.len() + spans.len() > most || self.closing.load(Relaxed) {
            self.counts.dropped.fetch_add(spans.len() as u64, Relaxed);
            return;
        }
        queue.since.get_or_insert_with(Instant::now);
        queue.spans.extend(spans);
        drop(queue);
        self.news.notify_one();
    }

    /// What is posted next: as many as go together, or what has waited long enough.
    async fn next(&self) -> (Arc<Settings>, Vec<Span>) {
        loop {
            let news = self.news.notified();
            let settings = self.settings.load_full();
            let closing = self.closing.load(Relaxed);
            let due = {
                let mut queue = self.queue.lock();
                match (&settings, queue.since) {
                    (None, _) => {
                        let left = std::mem::take(&mut *queue).spans.len();
                        self.counts.dropped.fetch_add(left as u64, Relaxed);
                        None
                    }
                    (Some(_), None) => None,
                    (Some(settings), Some(since)) => {
                        let batch = settings.told.batch.get() as usize;
                        let due = since + settings.told.interval;
                        if queue.spans.len() >= batch || closing || due <= Instant::now() {
                            let most = batch.min(queue.spans.len());
                            let spans = queue.spans.drain(..most).collect();
                            queue.since = (!queue.spans.is_empty()).then(Instant::now);
                            return (Arc::clone(settings), spans);
                        }
                        Some(due)
                    }
                }
            };
            match due {
                // It is looked at again then.
                Some(due) => drop(timeout_at(due, news).await),
                None => {
                    if closing {
                        self.done.notify_one();
                    }
                    news.await;
                }
            }
        }
    }

    /// What happened to a post.
    fn posted(&self, spans: u64, result: Result<u64, String>) {
        let (taken, why) = match result {
            Ok(rejected) => (spans.saturating_sub(rejected), None),
            Err(why) => (0, Some(why)),
        };
        self.counts.exported.fetch_add(taken, Relaxed);
        self.counts.failed.fetch_add(spans - taken, Relaxed);
        // Who turned them off asks for none.
        if self.settings.load().is_some() {
            self.fails(why);
        }
    }

    /// Why spans are not taken now; said once, and once that it is over.
    fn fails(&self, why: Option<String>) {
        let mut failure = self.failure.lock();
        match (&*failure, &why) {
            (None, Some(why)) => tracing::warn!(%why, "spans of traces are not taken"),
            (Some(_), None) => tracing::info!("spans of traces are taken again"),
            _ => {}
        }
        *failure = why;
    }

    fn is_closing(&self) -> bool {
        self.closing.load(Relaxed)
    }

    fn settings(&self) -> Option<Arc<Settings>> {
        self.settings.load_full()
    }

    /// Why the last post was not taken, and where it went to.
    pub fn failure(&self) -> Option<(String, String)> {
        let settings = self.settings.load();
        let endpoint = settings.as_ref()?.endpoint();
        Some((endpoint, self.failure.lock().clone()?))
    }

    /// Where spans go, where they are made.
    pub fn endpoint(&self) -> Option<String> {
        Some(self.settings.load().as_ref()?.endpoint())
    }

    /// Posts what is left, for a moment.
    pub async fn close(&self) {
        self.closing.store(true, Relaxed);
        self.news.notify_one();
        if self.settings.load().is_some() {
            let _late = timeout(LAST, self.done.notified()).await;
        }
    }
}

#[cfg(test)]
mod tests;
