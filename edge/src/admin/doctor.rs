//! The part of the self test that only the server can make: its upstreams from where it is, its
//! certificates, ports, disks and state, and whether its cache gives back what it takes.
//! cachectl looks at the host.

mod canary;
mod listening;
mod own;
mod upstreams;

use std::{path::absolute, sync::Arc, time::Duration};

use futures::{
    FutureExt,
    future::{BoxFuture, join_all},
};
use http::StatusCode;
use tokio::time::{Instant, timeout};
use weir_config_admin::{Check, Doctor, Finding};
use weir_edge_transport::{
    connect::{Connector, Roots, client_config},
    sockets::{BACKLOG, UDP_BUFFER},
};

pub(in crate::admin) use listening::near;

use super::Failure;
use crate::node::Node;

/// For each check; all run at once.
const LIMIT: Duration = Duration::from_secs(2);
/// A clock that was set by more than this while the checks ran.
const JUMP_MS: u64 = 250;
/// 2025: no clock was right before this program was.
const EARLIEST_MS: u64 = 1_735_689_600_000;

pub(super) async fn doctor(node: &Arc<Node>) -> Result<Doctor, Failure> {
    let starting = || Failure::new(StatusCode::SERVICE_UNAVAILABLE, "the node is still starting");
    let config = node.config.get().ok_or_else(starting)?.config().await;
    let connector = client_config(&Roots::Public).map(Connector::new).map_err(|error| {
        Failure::new(StatusCode::INTERNAL_SERVER_ERROR, "TLS towards upstreams cannot be set up")
            .why(error.to_string())
    })?;
    let now = node.clock.unix_seconds();
    let mut checks: Vec<BoxFuture<'_, Vec<Check>>> = Vec::new();
    for upstream in &config.upstreams {
        checks.push(upstreams::check(&connector, upstream, LIMIT, now).map(|c| vec![c]).boxed());
    }
    if !config.listen.https.is_empty() {
        checks.push(apart("certificates", {
            let (pairs, services) = (config.tls.certificates.clone(), config.services.clone());
            move || own::certificates(&pairs, &services, now)
        }));
    }
    checks.push(bounded("ports", listening::ports(&config)));
    checks.push(apart("admin socket", {
        let path = config.admin.socket.clone();
        move || vec![own::socket(&path)]
    }));
    checks.push(bounded("disks", async {
        let found = super::disks::disks(node, "").await;
        found.map_or_else(|_| Vec::new(), |found| found.disks.iter().map(own::disk).collect())
    }));
    checks.push(bounded("cache", async { vec![canary::canary(node).await] }));
    let begun = (node.clock.unix_millis(), Instant::now());
    let mut found = join_all(checks).await.concat();
    let passed = u64::try_from(begun.1.elapsed().as_millis()).unwrap_or(u64::MAX);
    found.insert(0, clock(begun.0, node.clock.unix_millis(), passed));
    found.extend(own::traces(node.traces.endpoint(), node.traces.failure()));
    found.push(own::state(node.engine.cache().state_failure().as_deref()));
    let folder = |disk: &weir_config::edge::Disk| {
        absolute(&disk.path).unwrap_or_else(|_| disk.path.clone()).display().to_string()
    };
    Ok(Doctor {
        pid: std::process::id(),
        memory: config.cache.memory.as_u64(),
        backlog: BACKLOG.unsigned_abs().into(),
        udp_buffer: if config.listen.http3 { UDP_BUFFER as u64 } else { 0 },
        disks: config.cache.disks.iter().map(folder).collect(),
        checks: found,
    })
}

/// What does not come in time is a failure of its own.
fn bounded<'c>(
    name: &'static str,
    checks: impl Future<Output = Vec<Check>> + Send + 'c,
) -> BoxFuture<'c, Vec<Check>> {
    timeout(LIMIT, checks)
        .map(move |done| {
            done.unwrap_or_else(|_| {
                let what = format!("not looked at within {} s", LIMIT.as_secs());
                let stuck = Check::new(name, Finding::Fail, what);
                vec![stuck.why("something below hangs").next("cachectl status")]
            })
        })
        .boxed()
}

/// For what asks the file system.
fn apart(
    name: &'static str,
    checks: impl FnOnce() -> Vec<Check> + Send + 'static,
) -> BoxFuture<'static, Vec<Check>> {
    let task = tokio::task::spawn_blocking(checks);
    bounded(name, task.map(Result::unwrap_or_default))
}

/// The clock of the host, read before and after what took that long by the monotonic one.
fn clock(before_ms: u64, after_ms: u64, passed_ms: u64) -> Check {
    let check = |finding, what: String| Check::new("clock", finding, what);
    let advice = "set the clock by NTP: timedatectl set-ntp true";
    if after_ms < EARLIEST_MS {
        return check(Finding::Fail, "stands before 2025".to_owned())
            .why("certificates, tokens and ages are judged by it")
            .next(advice);
    }
    let off = (before_ms + passed_ms).abs_diff(after_ms);
    if off > JUMP_MS {
        return check(Finding::Fail, format!("was set by {off} ms while this test ran"))
            .why("ages and tokens are wrong by as much")
            .next(advice);
    }
    check(Finding::Ok, "runs evenly".to_owned())
}

#[cfg(test)]
mod tests {
    use super::{Finding, clock};

    #[test]
    fn clocks() {
        const NOW: u64 = 1_800_000_000_000;
        let check = |after, finding, what: &str| {
            let found = clock(NOW, after, 100);
            assert_eq!((found.finding, found.what.as_str()), (finding, what));
        };
        check(NOW + 100, Finding::Ok, "runs evenly");
        check(NOW + 340, Finding::Ok, "runs evenly");
        check(NOW - 400, Finding::Fail, "was set by 500 ms while this test ran");
        check(NOW + 5_100, Finding::Fail, "was set by 5000 ms while this test ran");
        check(7, Finding::Fail, "stands before 2025");
    }
}
