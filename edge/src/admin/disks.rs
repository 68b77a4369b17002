//! The disks, as operators see them and what they do to them.

use std::{sync::Arc, time::Duration};

use http::StatusCode;
use tokio::time::{Instant, sleep, timeout};
use weir_config_admin::{
    Disk, DiskAction, DiskOrder, DiskReport, DiskResult, DiskState, DiskWear, Disks as Answer,
    Reason, TierStats, Verdict,
};
use weir_edge_cache::disks::{Cause, DiskState as Is, DiskView, Disks, OperateError};

use super::Failure;
use crate::{
    node::Node,
    upkeep::{KINDS, Trouble},
};

/// A command waits 2 s for its answer: what takes longer goes on behind it.
const WAIT: Duration = Duration::from_secs(1);
/// Between two looks at a disk that opens.
const LOOK: Duration = Duration::from_millis(50);
const DAY_S: u64 = 24 * 60 * 60;

/// All disks; with `settled=ID` not before that one has settled, or a second is over.
pub(super) async fn disks(node: &Node, query: &str) -> Result<Answer, Failure> {
    let Some(disks) = &node.disks else { return Ok(Answer::default()) };
    if let Some(name) = query.split('&').find_map(|pair| pair.strip_prefix("settled=")) {
        let index = one(disks, &super::cache::decode(name)?)?;
        let until = Instant::now() + WAIT;
        while disks.views()[index].state == Is::Opening && Instant::now() < until {
            sleep(LOOK).await;
        }
    }
    Ok(Answer { disks: reports(node, disks) })
}

/// Carries out an order. What takes longer than a second goes on; the answer says `opening`.
pub(super) async fn order(node: &Arc<Node>, body: &[u8]) -> Result<DiskResult, Failure> {
    let order: DiskOrder = serde_json::from_slice(body).map_err(|error| {
        Failure::new(StatusCode::BAD_REQUEST, "the body is no order for a disk")
            .why(error.to_string())
    })?;
    let DiskOrder { disk, action, dry_run } = order;
    let Some(disks) = &node.disks else {
        return Err(Failure::new(StatusCode::NOT_FOUND, "this node has no disks")
            .why("there is no [[cache.disk]] in its configuration: it caches in RAM only"));
    };
    let index = one(disks, &disk)?;
    if !dry_run {
        let acting = Arc::clone(disks);
        let done = tokio::spawn(async move {
            match action {
                DiskAction::Offline => acting.offline(index).await,
                DiskAction::Online => acting.online(index).await,
                DiskAction::Replace => acting.replace(index).await,
            }
        });
        let path = disks.views()[index].path.display().to_string();
        tracing::info!(disk = path, ?action, "an operator ordered this of a disk");
        if let Ok(Ok(Err(error))) = timeout(WAIT, done).await {
            return Err(failed(&error, &disk));
        }
    }
    let disk = reports(node, disks).swap_remove(index);
    Ok(DiskResult { disk, action, dry_run, unkept: disks.unkept() })
}

fn failed(error: &OperateError, disk: &str) -> Failure {
    let status = match error {
        OperateError::Already { .. } => StatusCode::CONFLICT,
        OperateError::Acting { .. } => StatusCode::SERVICE_UNAVAILABLE,
        OperateError::Hangs { .. } | OperateError::Fails { .. } => {
            StatusCode::INTERNAL_SERVER_ERROR
        }
    };
    let next = format!("cachectl disks show {disk}");
    Failure::new(status, error.to_string()).next(next)
}

pub(super) fn one(disks: &Disks, name: &str) -> Result<usize, Failure> {
    match disks.named(name).as_slice() {
        [index] => Ok(*index),
        [] => Err(Failure::new(StatusCode::NOT_FOUND, format!("no disk is called {name:?}"))
            .why("a disk is named by its folder, the folder's last name, or its identity")
            .next("cachectl disks ls")),
        several => {
            let paths = several.iter().map(|at| disks.views()[*at].path.display().to_string());
            let why = paths.collect::<Vec<_>>().join(", ");
            Err(Failure::new(StatusCode::BAD_REQUEST, format!("{name:?} is several disks"))
                .why(why)
                .next("name one by its whole folder"))
        }
    }
}

pub(super) fn reports(node: &Node, disks: &Disks) -> Vec<DiskReport> {
    let views = disks.views();
    let in_use = |view: &DiskView| matches!(view.state, Is::Online | Is::Full);
    let weight = |view: &DiskView| view.stats.capacity_bytes;
    let sum: u64 = views.iter().filter(|view| in_use(view)).map(weight).sum();
    let now = node.clock.unix_millis();
    let share = |view: &DiskView| match in_use(view) {
        true => weight(view) as f64 / sum.max(1) as f64,
        false => 0.0,
    };
    views.iter().map(|view| report(view, share(view), now)).collect()
}

fn report(view: &DiskView, share: f64, now: u64) -> DiskReport {
    let stats = &view.stats;
    let offline = match &view.state {
        Is::Offline(offline) => Some(offline),
        _ => None,
    };
    DiskReport {
        id: view.id.map(|id| id.to_string()),
        path: view.path.display().to_string(),
        state: state(&view.state),
        cause: offline.map(|offline| offline.cause.to_string()),
        what: offline.map(|offline| offline.what.clone()),
        since_unix_ms: offline.map(|offline| offline.since_unix_ms),
        limit: stats.capacity_bytes,
        share,
        bytes: stats.used_bytes,
        chunks: stats.chunks,
        evictions: stats.evicted_chunks,
        system_bytes: view.space.map(|space| space.total_bytes),
        system_free_bytes: view.space.map(|space| space.free_bytes),
        reads: stats.read_hits,
        read_bytes: stats.read_bytes,
        part_reads: stats.read_parts,
        device_read_bytes: stats.device_read_bytes,
        index_bytes: stats.index_bytes,
        accepted: stats.accepted_chunks,
        accepted_bytes: stats.accepted_bytes,
        refused_bytes: stats.refused_bytes,
        lost: stats.lost_chunks,
        errors: stats.io_errors,
        overdue: view.overdue,
        checksum_failures: stats.checksum_failures,
        written_bytes: stats.device_written_bytes,
        wear: DiskWear {
            total_bytes: view.wear.total,
            since_unix_s: view.wear.since_day * DAY_S,
            today_bytes: view.wear.today(now),
            per_day_bytes: view.wear.per_day(now),
        },
    }
}

fn state(state: &Is) -> DiskState {
    match state {
        Is::Opening => DiskState::Opening,
        Is::Online => DiskState::Online,
        Is::Full => DiskState::Full,
        Is::Offline(_) => DiskState::Offline,
    }
}

/// One line of the cache's fill levels for each disk.
pub(super) fn tiers(node: &Node) -> Vec<Disk> {
    let views = node.disks.as_ref().map_or_else(Vec::new, |disks| disks.views());
    let tier = |view: &DiskView| {
        let stats = &view.stats;
        TierStats {
            // What a disk that is not in use holds is not to be had.
            chunks: match &view.state {
                Is::Offline(_) | Is::Opening => 0,
                Is::Online | Is::Full => stats.chunks.unwrap_or(stats.accepted_chunks),
            },
            bytes: stats.used_bytes.unwrap_or(0),
            limit: stats.capacity_bytes,
            evictions: stats.evicted_chunks.unwrap_or(0),
            written_bytes: stats.device_written_bytes,
            refused_bytes: stats.refused_bytes,
        }
    };
    let disk = |view: &DiskView| Disk {
        path: view.path.display().to_string(),
        state: state(&view.state),
        errors: view.stats.io_errors,
        tier: tier(view),
    };
    views.iter().map(disk).collect()
}

/// What needs a hand.
pub(super) fn reasons(node: &Node) -> Vec<Reason> {
    let Some(disks) = &node.disks else { return Vec::new() };
    let views = disks.views();
    let now = node.clock.unix_millis();
    node.upkeep.look(&views, now);
    let degraded =
        |what: String, next: Option<String>| Reason { verdict: Verdict::Degraded, what, next };
    let mut reasons: Vec<_> = views
        .iter()
        .enumerate()
        .filter_map(|(index, view)| {
            let (name, trouble) = (called(disks, view), node.upkeep.trouble(index, now));
            let what = format!("disk {} {}", view.path.display(), wrong(view, trouble)?);
            let next = match view.state {
                Is::Online => format!("cachectl cache verify --disk {name}"),
                _ => format!("cachectl disks show {name}"),
            };
            Some(degraded(what, Some(next)))
        })
        .collect();
    if let Some(why) = disks.unkept() {
        let what = format!("a restart forgets which disks are offline: {why}");
        reasons.push(degraded(what, Some("cachectl disks ls".into())));
    }
    let used = |view: &DiskView| matches!(view.state, Is::Online | Is::Full | Is::Opening);
    if !views.is_empty() && !views.iter().any(used) {
        let what = "no disk is in use: the node serves from RAM and upstream".to_owned();
        reasons.push(degraded(what, Some("cachectl disks ls".into())));
    }
    reasons
}

/// The shortest name by which a disk can be asked for.
fn called(disks: &Disks, view: &DiskView) -> String {
    let last = view.path.file_name().map(|name| name.to_string_lossy().into_owned());
    let last = last.filter(|name| disks.named(name).len() == 1);
    last.unwrap_or_else(|| view.path.display().to_string())
}

fn wrong(view: &DiskView, trouble: Option<Trouble>) -> Option<String> {
    match &view.state {
        Is::Offline(offline) if offline.cause == Cause::Operator => {
            Some("is offline: an operator took it out of use".into())
        }
        Is::Offline(offline) => Some(format!("is offline ({}): {}", offline.cause, offline.what)),
        Is::Opening => Some("is being opened".into()),
        Is::Full => Some("is full: its file system has no room, it is read and not written".into()),
        Is::Online => trouble.map(|trouble| {
            let said = trouble.counts.iter().zip(KINDS).filter(|(count, _)| **count > 0);
            let said: Vec<_> = said.map(|(count, what)| format!("{count} {what}")).collect();
            format!(
                "had {}, the last one {} min ago (told for an hour after the last one, or until \
                 a scrub finds nothing)",
                said.join(", "),
                trouble.ago.as_secs() / 60
            )
        }),
    }
}
