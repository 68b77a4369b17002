//! The task that watches all disks: counts failed calls, releases readers of slow ones,
//! probes, and takes offline what the [rule](super::rule) gives up.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::mpsc,
    time::{Instant, MissedTickBehavior, interval},
};

use super::{
    Inner,
    cause::{Cause, Offline},
    member::{Live, Member, Seat},
    rule::{Judgement, Signs, Space},
};
use crate::store::Health;

/// Between two looks at all disks while nobody calls for one.
const TICK: Duration = Duration::from_millis(100);
/// Before a disk that was missing or unusable is looked at again.
const RETRY: Duration = Duration::from_secs(30);
/// Between two looks whether a disk's folder is still there: files that are open work on
/// without it.
const THERE: Duration = Duration::from_millis(500);
/// Between two writes of the register for the sake of what was written.
const SAVE: Duration = Duration::from_secs(600);
/// A probe that nobody waits for may take so many times the deadline.
const PATIENCE: u32 = 5;

/// What the watch knows of one disk.
#[derive(Debug)]
struct Watched {
    live: Arc<Live>,
    signs: Signs,
    errors_seen: u64,
    /// Under way since.
    probe: Option<Instant>,
    /// When the last one began: what goes on and on is not probed on and on.
    probed: Instant,
    next_probe: Instant,
    /// Whether the folder was there the last time, and when that was asked.
    there: Arc<AtomicBool>,
    asked: Instant,
    /// The write queue is full since, and what was written then.
    stuck: Option<(Instant, u64)>,
}

/// A probe that ended.
struct Probed {
    index: usize,
    live: Arc<Live>,
    result: io::Result<Space>,
}

pub(super) async fn run(inner: Arc<Inner>) {
    let mut watched: Vec<Option<Watched>> = inner.members.iter().map(|_| None).collect();
    let mut retry: Vec<Instant> = inner.members.iter().map(|_| Instant::now() + RETRY).collect();
    let (sender, mut probes) = mpsc::channel(inner.members.len().max(1) * 2);
    let mut tick = interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut save_at, mut unsaved) = (Instant::now() + SAVE, false);
    let mut again_at = Instant::now() + RETRY;
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            () = inner.nudge.notified() => {}
            Some(probed) = probes.recv() => {
                let Probed { index, live, result } = probed;
                let known = watched[index].as_mut().filter(|w| Arc::ptr_eq(&w.live, &live));
                if let Some(watched) = known {
                    unsaved |= inner.members[index].account(inner.clock.unix_millis());
                    judge(&inner, index, watched, &result);
                }
            }
        }
        inner.looks.fetch_add(1, Ordering::Relaxed);
        let now = Instant::now();
        for (index, member) in inner.members.iter().enumerate() {
            match member.seat() {
                Seat::Online(live) => {
                    if !watched[index].as_ref().is_some_and(|w| Arc::ptr_eq(&w.live, &live)) {
                        watched[index] = Some(Watched::new(live, now, inner.rule.probe_every));
                    }
                    let Some(watched) = &mut watched[index] else { continue };
                    if look(&inner, index, watched, now) {
                        probe(&inner, index, watched, now, sender.clone());
                    }
                    retry[index] = now + RETRY;
                }
                Seat::Opening => watched[index] = None,
                Seat::Offline(offline) => {
                    watched[index] = None;
                    if !offline.cause.stays() && now >= retry[index] {
                        retry[index] = now + RETRY;
                        let inner = Arc::clone(&inner);
                        inner.handle.clone().spawn(async move { inner.start(index).await });
                    }
                }
            }
        }
        let again = now >= again_at && inner.unkept.lock().is_some();
        if again || (unsaved && now >= save_at) {
            (save_at, again_at, unsaved) = (now + SAVE, now + RETRY, false);
            inner.save();
        }
    }
}

impl Watched {
    fn new(live: Arc<Live>, now: Instant, every: Duration) -> Self {
        let errors_seen = live.errors_before;
        let signs = Signs::default();
        // A disk that was just opened was just probed.
        Self {
            live,
            signs,
            errors_seen,
            probe: None,
            probed: now,
            next_probe: now + every,
            there: Arc::new(AtomicBool::new(true)),
            asked: now,
            stuck: None,
        }
    }
}

/// Gathers the signs of a disk; true when it should be probed now.
fn look(inner: &Arc<Inner>, index: usize, watched: &mut Watched, now: Instant) -> bool {
    let (member, rule) = (&inner.members[index], &inner.rule);
    let health = watched.live.store.health();
    let failed = health.errors.saturating_sub(watched.errors_seen);
    watched.errors_seen = watched.errors_seen.max(health.errors);
    if failed > 0 {
        let calls = usize::try_from(failed).unwrap_or(usize::MAX);
        match no_room(&health) {
            true => watched.signs.no_room(calls),
            false => watched.signs.failed(calls, false),
        }
    } else if !health.online && !watched.signs.any() {
        watched.signs.failed(1, false);
    }
    let (overdue, oldest) = member.release_overdue(now, rule.read_deadline);
    if overdue > 0 {
        watched.signs.failed(overdue, true);
    }
    let stuck = stuck(member, watched, now);
    if stuck >= rule.read_deadline {
        watched.signs.failed(1, true);
        watched.stuck = None;
    }
    let signs = watched.signs.any();
    if let Some(since) = watched.probe {
        // Whoever waits for a read has waited longer than the probe by now.
        let patience = if signs { rule.probe_deadline } else { rule.probe_deadline * PATIENCE };
        if now.saturating_duration_since(since) >= patience {
            let what = format!("it has not answered for {:?}", now - since);
            inner.drop_disk(index, &watched.live, Cause::Slow, what);
        }
        return false;
    }
    ask_whether_there(inner, index, watched, now);
    let gone = !watched.there.swap(true, Ordering::Relaxed);
    let suspicious = oldest >= rule.suspicious || stuck >= rule.suspicious;
    let since = now.saturating_duration_since(watched.probed);
    now >= watched.next_probe
        || ((signs || gone) && since >= rule.probe_again)
        || (suspicious && since >= rule.suspicious / 2)
}

/// Looks for the disk's folder, beside what runs; a probe then says what is wrong. A look that
/// hangs is the only one: the next probe of the disk hangs as well.
fn ask_whether_there(inner: &Inner, index: usize, watched: &mut Watched, now: Instant) {
    let idle = Arc::strong_count(&watched.there) == 1;
    if !idle || now.saturating_duration_since(watched.asked) < THERE {
        return;
    }
    watched.asked = now;
    let (there, looked) = (Arc::clone(&watched.there), inner.members[index].drive.there());
    inner.handle.spawn(async move {
        if looked.await.is_err() {
            there.store(false, Ordering::Relaxed);
        }
    });
}

/// Whether the last failure was one for want of room. A store that does not say what failed
/// is believed to have had none: the probe says whether there is any.
fn no_room(health: &Health) -> bool {
    // As `std::io::Error` writes ENOSPC.
    health.last_error.as_deref().is_none_or(|what| what.contains("os error 28"))
}

/// For how long the write queue has been full without a byte written.
fn stuck(member: &Member, watched: &mut Watched, now: Instant) -> Duration {
    let written = || watched.live.store.stats().device_written_bytes;
    if !member.busy.swap(false, Ordering::Relaxed) {
        // Nobody knows: it may be that nobody offered anything.
        return watched
            .stuck
            .filter(|(_, before)| *before == written())
            .map_or(Duration::ZERO, |(since, _)| now.saturating_duration_since(since));
    }
    let written = written();
    match watched.stuck {
        Some((since, before)) if before == written => now.saturating_duration_since(since),
        _ => {
            watched.stuck = Some((now, written));
            Duration::ZERO
        }
    }
}

fn probe(
    inner: &Arc<Inner>,
    index: usize,
    watched: &mut Watched,
    now: Instant,
    done: mpsc::Sender<Probed>,
) {
    (watched.probe, watched.probed) = (Some(now), now);
    watched.next_probe = now + inner.rule.probe_every;
    let live = Arc::clone(&watched.live);
    let probe = inner.members[index].drive.probe(live.id);
    inner.handle.spawn(async move {
        let result = probe.await;
        // The watch may have ended.
        drop(done.send(Probed { index, live, result }).await);
    });
}

fn judge(inner: &Arc<Inner>, index: usize, watched: &mut Watched, result: &io::Result<Space>) {
    let member = &inner.members[index];
    watched.probe = None;
    if let Ok(space) = result {
        *member.space.lock() = Some(*space);
    }
    let path = member.drive.path().display();
    let now = Instant::now();
    let health = watched.live.store.health();
    match watched.signs.probed(now, &inner.rule, result) {
        Judgement::Keep if !health.online && result.is_ok() => {
            let what = health.last_error.unwrap_or_else(|| "its store gave up".into());
            // Out of room is no fault of the disk's: it is tried again.
            let full = watched.live.full.load(Ordering::Relaxed);
            let cause = if full { Cause::Unusable } else { Cause::Errors };
            inner.drop_disk(index, &watched.live, cause, what);
        }
        Judgement::Keep | Judgement::Again => {}
        Judgement::Full => {
            watched.live.full.store(true, Ordering::Relaxed);
            tracing::error!(disk = %path, "disk full: its file system has no room for what the \
                store was to keep; it is read and not written until there is");
        }
        Judgement::Free => {
            watched.live.full.store(false, Ordering::Relaxed);
            tracing::info!(disk = %path, "disk written again: its file system has room");
        }
        Judgement::Drop(cause, what) => {
            let what = match health.last_error {
                Some(error) if cause == Cause::Errors => format!("{what}; last: {error}"),
                _ => what,
            };
            inner.drop_disk(index, &watched.live, cause, what);
        }
    }
}

impl Inner {
    /// Takes a disk offline that was in use.
    fn drop_disk(self: &Arc<Self>, index: usize, live: &Arc<Live>, cause: Cause, what: String) {
        let offline = Offline { cause, what, since_unix_ms: self.clock.unix_millis() };
        self.take_offline(index, Some(live), offline);
    }
}
