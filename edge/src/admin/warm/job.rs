//! One order to warm: what is known of it, and the jobs of a node.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
};

use parking_lot::Mutex;
use tokio::{
    sync::{Notify, Semaphore},
    time::Instant,
};
use weir_config_admin::{WarmJob, WarmNote, WarmRequest, WarmState};

/// Jobs under way at once.
const RUNNING_MAX: usize = 4;
/// Jobs that are remembered, with those that run.
const KNOWN_MAX: usize = 32;
/// Failures, and entries left out, that are named.
const NOTES_MAX: usize = 100;
/// Bytes of a text that is remembered.
const NOTE_MAX: usize = 2048;

/// One order.
#[derive(Debug)]
pub(super) struct Job {
    /// Without its URLs, which are the walk's alone: an order may be 8 MiB of them.
    pub(super) request: WarmRequest,
    pub(super) told: Mutex<WarmJob>,
    begun: Instant,
    cancelled: AtomicBool,
    /// Told of a cancellation.
    pub(super) changed: Notify,
}

impl Job {
    pub(super) fn cancel(&self) {
        self.cancelled.store(true, Relaxed);
        self.changed.notify_one();
    }

    pub(super) fn is_cancelled(&self) -> bool {
        self.cancelled.load(Relaxed)
    }

    pub(super) fn end(&self, state: WarmState) {
        let mut told = self.told.lock();
        (told.state, told.elapsed_ms) = (state, self.elapsed());
    }

    fn elapsed(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    pub(super) fn failed(&self, url: &str, why: &str) {
        let mut told = self.told.lock();
        told.failed += 1;
        note(&mut told.failures, url, why);
    }

    pub(super) fn skipped(&self, url: &str, why: &str) {
        let mut told = self.told.lock();
        told.skipped += 1;
        note(&mut told.skips, url, why);
    }

    /// As it is now.
    pub(super) fn now(&self) -> WarmJob {
        let mut told = self.told.lock().clone();
        if told.state == WarmState::Running {
            told.elapsed_ms = self.elapsed();
        }
        told
    }
}

fn note(notes: &mut Vec<WarmNote>, url: &str, why: &str) {
    if notes.len() < NOTES_MAX {
        let why = short(why);
        notes.push(WarmNote { url: short(&weir_edge_token::redact(url)), why });
    }
}

/// The beginning of a text: what ended is remembered long.
fn short(text: &str) -> String {
    text[..text.floor_char_boundary(NOTE_MAX)].to_owned()
}

/// The jobs of a node: those that run, and some that ended.
#[derive(Debug)]
pub struct Warms {
    jobs: Mutex<VecDeque<Arc<Job>>>,
    last: AtomicU64,
    /// Objects since the start that were fetched, were here, failed, and were left out.
    pub objects: [AtomicU64; 4],
    /// Bytes since the start that came from upstreams.
    pub bytes: AtomicU64,
    /// Whoever reads a playlist: one at a time, since it takes a thread for up to a second.
    pub(super) reading: Arc<Semaphore>,
}

impl Default for Warms {
    fn default() -> Self {
        Self {
            jobs: Mutex::default(),
            last: AtomicU64::default(),
            objects: Default::default(),
            bytes: AtomicU64::default(),
            reading: Arc::new(Semaphore::new(1)),
        }
    }
}

impl Warms {
    /// Jobs under way.
    pub fn running(&self) -> usize {
        let jobs = self.jobs.lock();
        jobs.iter().filter(|job| job.told.lock().state == WarmState::Running).count()
    }

    /// Counts objects: 0 fetched, 1 here already, 2 failed, 3 left out.
    pub(super) fn count(&self, what: usize, objects: u64) {
        self.objects[what].fetch_add(objects, Relaxed);
    }

    /// Adds a job, and gives it with its URLs; none where too many run.
    pub(super) fn begin(
        &self,
        mut request: WarmRequest,
        on_disk: bool,
        now: u64,
    ) -> Option<(Arc<Job>, Vec<String>)> {
        if self.running() >= RUNNING_MAX {
            return None;
        }
        let urls = std::mem::take(&mut request.urls);
        let first = urls.first().map(String::as_str).unwrap_or_default();
        let told = WarmJob {
            job: self.last.fetch_add(1, Relaxed) + 1,
            state: WarmState::Running,
            url: short(&weir_edge_token::redact(first)),
            urls: urls.len() as u64,
            ladder: request.ladder,
            rate_bits: request.rate_bits,
            pin: request.pin,
            began: now,
            elapsed_ms: 0,
            objects: 0,
            fetched: 0,
            fetched_bytes: 0,
            had: 0,
            had_bytes: 0,
            failed: 0,
            skipped: 0,
            playlists: 0,
            live: 0,
            pinned: 0,
            on_disk,
            failures: Vec::new(),
            skips: Vec::new(),
        };
        let job = Arc::new(Job {
            request,
            told: Mutex::new(told),
            begun: Instant::now(),
            cancelled: AtomicBool::new(false),
            changed: Notify::new(),
        });
        let mut jobs = self.jobs.lock();
        jobs.push_front(Arc::clone(&job));
        while jobs.len() > KNOWN_MAX {
            let ended = |job: &Arc<Job>| job.told.lock().state != WarmState::Running;
            let Some(oldest) = jobs.iter().rposition(ended) else { break };
            jobs.remove(oldest);
        }
        Some((job, urls))
    }

    pub(super) fn find(&self, number: u64) -> Option<Arc<Job>> {
        self.jobs.lock().iter().find(|job| job.told.lock().job == number).cloned()
    }

    /// All of them, newest first, without their notes.
    pub(super) fn all(&self) -> Vec<WarmJob> {
        let jobs: Vec<Arc<Job>> = self.jobs.lock().iter().cloned().collect();
        jobs.iter()
            .map(|job| WarmJob { failures: Vec::new(), skips: Vec::new(), ..job.now() })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_of_a_job_is_short() {
        let long = format!("https://h/{}", "a".repeat(8 << 20));
        let order = serde_json::json!({ "urls": [long] });
        let request: WarmRequest = serde_json::from_value(order).unwrap();
        let warms = Warms::default();
        let (job, urls) = warms.begin(request, false, 0).unwrap();
        assert_eq!(urls, std::slice::from_ref(&long));
        for _ in 0..2 * NOTES_MAX {
            job.failed(&long, &long);
            job.skipped(&long, &long);
        }
        job.end(WarmState::Done);
        assert!(job.request.urls.is_empty(), "the walk has them, and it is at its end");
        let text = serde_json::to_vec(&job.now()).unwrap();
        assert!(text.len() < 2 * NOTES_MAX * (2 * NOTE_MAX + 100), "{} bytes", text.len());
        assert_eq!(job.now().urls, 1);
    }
}
