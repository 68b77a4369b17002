//! One order to warm: what is known of it, and the jobs of a node.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
};

use parking_lot::Mutex;
use tokio::{sync::Notify, time::Instant};
use weir_config_admin::{WarmJob, WarmNote, WarmRequest, WarmState};

/// Jobs under way at once.
const RUNNING_MAX: usize = 4;
/// Jobs that are remembered, with those that run.
const KNOWN_MAX: usize = 32;
/// Failures, and entries left out, that are named.
const NOTES_MAX: usize = 100;

/// One order.
#[derive(Debug)]
pub(super) struct Job {
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

    pub(super) fn failed(&self, url: &str, why: String) {
        let mut told = self.told.lock();
        told.failed += 1;
        note(&mut told.failures, url, why);
    }

    pub(super) fn skipped(&self, url: &str, why: &str) {
        let mut told = self.told.lock();
        told.skipped += 1;
        note(&mut told.skips, url, why.to_owned());
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

fn note(notes: &mut Vec<WarmNote>, url: &str, why: String) {
    if notes.len() < NOTES_MAX {
        notes.push(WarmNote { url: weir_edge_token::redact(url).into_owned(), why });
    }
}

/// The jobs of a node: those that run, and some that ended.
#[derive(Debug, Default)]
pub struct Warms {
    jobs: Mutex<VecDeque<Arc<Job>>>,
    last: AtomicU64,
    /// Objects since the start that were fetched, were here, failed, and were left out.
    pub objects: [AtomicU64; 4],
    /// Bytes since the start that came from upstreams.
    pub bytes: AtomicU64,
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

    /// Adds a job; none where too many run.
    pub(super) fn begin(&self, request: WarmRequest, on_disk: bool, now: u64) -> Option<Arc<Job>> {
        if self.running() >= RUNNING_MAX {
            return None;
        }
        let first = request.urls.first().map(String::as_str).unwrap_or_default();
        let told = WarmJob {
            job: self.last.fetch_add(1, Relaxed) + 1,
            state: WarmState::Running,
            url: weir_edge_token::redact(first).into_owned(),
            urls: request.urls.len() as u64,
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
        Some(job)
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
