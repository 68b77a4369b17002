//! How a node does: what it says each second, and what it is answered.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    decode::{Bounds, Broken, Wire},
    down::{Applied, Intent, Signed},
};

/// One report. Who sends it is what its certificate says; `node` has to agree.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// [`crate::VERSION`]
    pub version: u32,
    /// Who, and in which state of mind.
    pub identity: Identity,
    /// What it could do.
    pub capacity: Capacity,
    /// What is left of it.
    pub health: Health,
    /// What it does for viewers.
    pub serving: Serving,
    /// What it fetches.
    pub fill: Fill,
    /// What it has, where it says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inventory: Option<Inventory>,
    /// What its routers announce, where it has any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub routes: Option<Routes>,
    /// What it is about to do.
    pub intent: Intent,
    /// The newest of each kind of message that it has put into effect.
    pub applied: Applied,
}

/// Who, since when, with what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// As in its certificate.
    pub node: String,
    /// As in its configuration.
    pub site: String,
    /// Drawn anew by each process, never 0.
    pub boot: u64,
    /// Of this process's reports, from 1.
    pub sequence: u64,
    /// Since the process began, by a clock that nobody sets.
    pub up_ms: u64,
    /// Unix time, by the clock that decides on tokens.
    pub clock_ms: u64,
    /// Version of the program.
    pub build: String,
    /// Counts the configurations that it took.
    pub config: u64,
    /// The newest purge that holds.
    pub purge_epoch: u64,
    /// Where viewers reach it: `https://host:port`.
    pub serves: Vec<String>,
}

/// What it could do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Capacity {
    /// Of its network cards together; 0 is not known.
    pub network_bytes_per_s: f64,
    /// Processors that it may use.
    pub processors: u32,
    /// Memory that it bears.
    pub memory_bytes: u64,
    /// Requests at once that it bears.
    pub requests: u64,
    /// Disks of its cache.
    pub disks: u32,
    /// And of those the ones that are used.
    pub disks_in_use: u32,
}

/// What is left.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Health {
    /// The one number: the spare share of what is scarcest, 0 to 1.
    pub spare: f64,
    /// What that is.
    pub scarcest: String,
    /// How far each resource is used, 0 to 1; more is 1.
    pub used: BTreeMap<String, f64>,
    /// Whether it answers viewers at all.
    pub ready: bool,
}

/// What it does for viewers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Serving {
    /// A second, lately.
    pub requests_per_s: f64,
    /// A second, lately.
    pub bytes_per_s: f64,
    /// Of the bytes, those that no upstream was asked for.
    pub hit_share: Option<f64>,
    /// Of the requests, those that failed by its fault.
    pub error_share: Option<f64>,
    /// Until the first byte, of 99 in 100 requests.
    pub ttfb_p99_ms: Option<f64>,
    /// Under way.
    pub requests: u64,
    /// Clients with something under way.
    pub clients: u64,
}

/// What it fetches.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fill {
    /// A second, lately.
    pub bytes_per_s: f64,
    /// Under way.
    pub running: u64,
    /// Without a place yet.
    pub waiting: u64,
}

/// What it has: a filter that never says no to what is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inventory {
    /// Of this state of it.
    pub id: u64,
    /// Titles' versions in it.
    pub entries: u64,
    /// The filter, base64; none where `id` has not changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
}

/// What is announced where it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Routes {
    /// Sessions of its routers that stand.
    pub sessions_up: u32,
    /// And those that should.
    pub sessions: u32,
    /// Prefixes of version 4.
    pub prefixes_v4: u64,
    /// Prefixes of version 6.
    pub prefixes_v6: u64,
    /// Of the table, in hexadecimal.
    pub hash: String,
}

/// What a report is answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReportAnswer {
    /// [`crate::VERSION`]
    pub version: u32,
    /// The sequence of the report.
    pub sequence: u64,
    /// Unix time where it was taken.
    pub now_ms: u64,
    /// How far the node's clock is ahead (behind: negative), where it is worth telling.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock_off_ms: Option<i64>,
    /// Until the next one, before jitter.
    pub every_ms: u64,
    /// Messages that the node has not put into effect yet, oldest first.
    pub down: Vec<Signed>,
}

/// Most bytes of an inventory's filter, in base64.
const FILTER_BYTES: usize = 512 << 10;

impl Wire for Report {
    const NAME: &'static str = "a report";
    const MOST_BYTES: usize = 768 << 10;

    fn version(&self) -> u32 {
        self.version
    }

    fn check(&self) -> Result<(), Broken> {
        let Self { identity, capacity, health, serving, fill, .. } = self;
        let mut bounds = Bounds::new()
            .name("/identity/node", &identity.node)
            .name("/identity/site", &identity.site)
            .hold("/identity/boot", identity.boot != 0, "is never 0")
            .hold("/identity/sequence", identity.sequence != 0, "begins with 1")
            .text("/identity/build", &identity.build, 64)
            .count("/identity/serves", identity.serves.len(), 16)
            .amount("/capacity/network_bytes_per_s", capacity.network_bytes_per_s)
            .hold("/capacity/disks", capacity.disks <= 1024, "is at most 1024")
            .hold(
                "/capacity/disks_in_use",
                capacity.disks_in_use <= capacity.disks,
                "is at most as many as there are",
            )
            .share("/health/spare", health.spare)
            .text("/health/scarcest", &health.scarcest, 32)
            .count("/health/used", health.used.len(), 32)
            .amount("/serving/requests_per_s", serving.requests_per_s)
            .amount("/serving/bytes_per_s", serving.bytes_per_s)
            .share("/serving/hit_share", serving.hit_share.unwrap_or(0.0))
            .share("/serving/error_share", serving.error_share.unwrap_or(0.0))
            .amount("/serving/ttfb_p99_ms", serving.ttfb_p99_ms.unwrap_or(0.0))
            .amount("/fill/bytes_per_s", fill.bytes_per_s);
        for (at, url) in identity.serves.iter().enumerate() {
            let sound = url.len() <= 256 && is_base_url(url);
            let why = "is `https://host:port` of at most 256 bytes, without a path";
            bounds = bounds.hold(&format!("/identity/serves/{at}"), sound, why);
        }
        for (name, used) in &health.used {
            bounds = bounds.text("/health/used", name, 32).share("/health/used", *used);
        }
        if let Some(Inventory { filter: Some(filter), .. }) = &self.inventory {
            let sound = filter.len() <= FILTER_BYTES && is_base64(filter);
            bounds = bounds.hold("/inventory/filter", sound, "is base64 of at most 512 KiB");
        }
        if let Some(Routes { sessions_up, sessions, hash, .. }) = &self.routes {
            let hexadecimal = hash.bytes().all(|b| b.is_ascii_hexdigit());
            bounds = bounds
                .hold("/routes/sessions_up", sessions_up <= sessions, "is at most `sessions`")
                .hold("/routes/hash", hexadecimal, "is hexadecimal")
                .text("/routes/hash", hash, 128);
        }
        bounds.end()?;
        self.intent.check("/intent")?;
        self.applied.check("/applied")
    }
}

impl Wire for ReportAnswer {
    const NAME: &'static str = "the answer to a report";
    const MOST_BYTES: usize = 16 << 20;

    fn version(&self) -> u32 {
        self.version
    }

    fn check(&self) -> Result<(), Broken> {
        Bounds::new()
            .hold("/every_ms", (100..=600_000).contains(&self.every_ms), "is 100 ms to 10 min")
            .count("/down", self.down.len(), 64)
            .end()?;
        self.down.iter().try_for_each(|signed| signed.check("/down"))
    }
}

/// Scheme, host, perhaps a port, nothing else: what a path can be put behind.
fn is_base_url(url: &str) -> bool {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    rest.is_some_and(|rest| {
        let sound = |b: u8| b.is_ascii_alphanumeric() || b"-._:[]".contains(&b);
        !rest.is_empty() && rest.bytes().all(sound)
    })
}

fn is_base64(text: &str) -> bool {
    use base64::{Engine, engine::general_purpose::STANDARD};
    STANDARD.decode(text).is_ok()
}
