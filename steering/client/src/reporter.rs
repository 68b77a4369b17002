//! A node reports each second, does what it is told, renews its certificate, and goes on alone
//! while nobody answers.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use futures::future::BoxFuture;
use parking_lot::Mutex;
use tokio::time::{Instant, sleep};
use weir_config_lifecycle::Clock;
use weir_steering_api::{
    Applied, Code, Kind, Payload, REPORT, REPORT_EVERY_MS, Report, ReportAnswer,
};

use crate::{
    call::{CallError, Caller, Endpoint},
    home::{Home, HomeError, Membership},
    join::renew,
    messages::open,
};

/// The longest wait after failures; anywhere in it, so that a fleet does not come back at once.
const LONGEST: Duration = Duration::from_secs(30);
/// Between two tries to renew.
const RENEW_EVERY: Duration = Duration::from_secs(60);

/// What a node gives and does.
pub trait Node: Send + Sync + 'static {
    /// The kinds of messages that it can put into effect.
    fn kinds(&self) -> &'static [Kind];

    /// How it does. What the reporter knows better it fills in: boot, sequence, clocks, applied.
    fn report(&self) -> Report;

    /// Puts a message into effect; whether that is done.
    fn apply<'a>(&'a self, payload: &'a Payload) -> BoxFuture<'a, bool>;
}

/// What the control plane said last.
#[derive(Debug, Clone, PartialEq)]
pub enum Told {
    /// Nothing yet.
    Nothing,
    /// It took the last report.
    Heard,
    /// It said no.
    Refused(Code),
    /// It cannot be reached.
    Unreached,
}

/// How a node stands with the control plane.
#[derive(Debug, Clone, PartialEq)]
pub struct Standing {
    /// Where that is.
    pub url: String,
    /// What it said last.
    pub told: Told,
    /// Why, where that is no good.
    pub trouble: Option<String>,
    /// When it answered last.
    pub heard: Option<Instant>,
    /// Reports that were taken.
    pub reports: u64,
    /// Reports that were refused.
    pub refused: u64,
    /// Reports that nobody answered.
    pub unanswered: u64,
    /// Messages that were not believed.
    pub doubted: u64,
    /// How far this host's clock is ahead of the control plane's, where that was told.
    pub clock_off_ms: Option<i64>,
    /// Unix time at which the certificate ends.
    pub certificate_ends_ms: u64,
    /// The newest message of each kind that is in effect.
    pub applied: BTreeMap<Kind, u64>,
}

/// Reports for a node.
pub struct Reporter {
    home: Home,
    member: Membership,
    caller: Caller,
    /// Of the certificate that the caller shows.
    shown: Option<[u8; 32]>,
    node: Arc<dyn Node>,
    clock: Arc<dyn Clock>,
    began: Instant,
    boot: u64,
    sequence: u64,
    failures: u32,
    renewed: Option<Instant>,
    standing: Arc<Mutex<Standing>>,
}

impl std::fmt::Debug for Reporter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reporter").field("member", &self.member).finish_non_exhaustive()
    }
}

impl Reporter {
    /// For a node that has joined.
    ///
    /// # Errors
    /// It has not, or what it kept cannot be used.
    pub fn new(home: Home, node: Arc<dyn Node>, clock: Arc<dyn Clock>) -> Result<Self, CallHome> {
        let member = home.membership()?;
        let caller = caller(&home, &member)?;
        let standing = Standing {
            url: member.url.clone(),
            told: Told::Nothing,
            trouble: None,
            heard: None,
            reports: 0,
            refused: 0,
            unanswered: 0,
            doubted: 0,
            clock_off_ms: None,
            certificate_ends_ms: member.ends_ms,
            applied: BTreeMap::new(),
        };
        Ok(Self {
            shown: home.fingerprint(),
            home,
            member,
            caller,
            node,
            clock,
            began: Instant::now(),
            boot: drawn().max(1),
            sequence: 0,
            failures: 0,
            renewed: None,
            standing: Arc::new(Mutex::new(standing)),
        })
    }

    /// How it stands, also while it runs.
    pub fn standing(&self) -> Arc<Mutex<Standing>> {
        Arc::clone(&self.standing)
    }

    /// Puts what was kept into effect, then reports until it is dropped.
    pub async fn run(mut self) {
        self.recall().await;
        loop {
            let wait = self.once().await;
            sleep(wait).await;
        }
    }

    /// What was told to the process before this one holds still.
    pub async fn recall(&mut self) {
        for signed in self.home.messages() {
            match open(&signed, &self.member.keys, &self.member.node, &self.applied()) {
                Ok(payload) => {
                    let _known = self.apply(&payload).await;
                }
                Err(doubt) => tracing::warn!(%doubt, "a kept message is passed over"),
            }
        }
    }

    fn applied(&self) -> BTreeMap<Kind, u64> {
        self.standing.lock().applied.clone()
    }

    async fn apply(&self, payload: &Payload) -> bool {
        let kind = payload.body.kind();
        if !self.node.kinds().contains(&kind) || !self.node.apply(payload).await {
            return false;
        }
        self.standing.lock().applied.insert(kind, payload.number);
        true
    }

    /// One report, and what comes of it; how long to wait for the next.
    pub async fn once(&mut self) -> Duration {
        self.renew_when_due().await;
        self.sequence += 1;
        let body = serde_json::to_vec(&self.report()).expect("numbers and texts are JSON");
        let answer: Result<ReportAnswer, _> = self.caller.post(REPORT, body).await;
        match answer {
            Ok(answer) => {
                self.heard(answer.clock_off_ms);
                self.take(&answer).await;
                jittered(Duration::from_millis(answer.every_ms))
            }
            Err(error) => {
                self.look_again();
                self.failed(&error)
            }
        }
    }

    fn report(&self) -> Report {
        let mut report = self.node.report();
        let identity = &mut report.identity;
        identity.node.clone_from(&self.member.node);
        (identity.boot, identity.sequence) = (self.boot, self.sequence);
        identity.up_ms = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        identity.clock_ms = self.clock.unix_millis();
        let applied = self.applied();
        let known = self.node.kinds().iter();
        let known = known.map(|kind| (*kind, applied.get(kind).copied().unwrap_or(0)));
        report.applied = Applied(known.collect());
        report
    }

    fn heard(&mut self, clock_off_ms: Option<i64>) {
        self.failures = 0;
        let mut standing = self.standing.lock();
        if standing.told != Told::Heard {
            tracing::info!(url = self.member.url, "the control plane takes reports");
        }
        if let Some(off) = clock_off_ms.filter(|_| standing.clock_off_ms.is_none()) {
            tracing::warn!(off_ms = off, "this host's clock differs from the control plane's");
        }
        standing.told = Told::Heard;
        standing.trouble = None;
        standing.heard = Some(Instant::now());
        standing.reports += 1;
        standing.clock_off_ms = clock_off_ms;
    }

    async fn take(&self, answer: &ReportAnswer) {
        for signed in &answer.down {
            let opened = open(signed, &self.member.keys, &self.member.node, &self.applied());
            let payload = match opened {
                Ok(payload) => payload,
                Err(doubt) => {
                    self.standing.lock().doubted += 1;
                    tracing::warn!(%doubt, "a message of the control plane is not believed");
                    continue;
                }
            };
            let kind = payload.body.kind();
            if !self.apply(&payload).await {
                continue;
            }
            if let Err(error) = self.home.keep_message(kind, signed) {
                tracing::error!(%error, "a message is in effect and not kept");
            }
            tracing::info!(kind = kind.as_str(), number = payload.number, "told and in effect");
        }
    }

    /// The node may have joined again meanwhile: what lies on disk counts.
    fn look_again(&mut self) {
        let Ok(member) = self.home.membership() else { return };
        let shown = self.home.fingerprint();
        if shown == self.shown {
            return;
        }
        let Ok(caller) = caller(&self.home, &member) else { return };
        tracing::info!(url = member.url, "the node has joined again");
        let mut standing = self.standing.lock();
        standing.url.clone_from(&member.url);
        standing.certificate_ends_ms = member.ends_ms;
        if member.keys != self.member.keys {
            // Of another control plane, which counts anew.
            standing.applied.clear();
        }
        drop(standing);
        (self.caller, self.member, self.shown, self.renewed) = (caller, member, shown, None);
    }

    /// Notes it, and how long to wait: anywhere up to twice as long as the time before.
    fn failed(&mut self, error: &CallError) -> Duration {
        self.failures = self.failures.saturating_add(1);
        let told = match error.code() {
            Some(code) => Told::Refused(code),
            None => Told::Unreached,
        };
        let mut standing = self.standing.lock();
        if standing.told != told {
            tracing::warn!(%error, url = self.member.url, "the control plane takes no report");
        }
        match told {
            Told::Refused(_) => standing.refused += 1,
            _ => standing.unanswered += 1,
        }
        standing.told = told;
        standing.trouble = Some(error.to_string());
        drop(standing);
        let every = Duration::from_millis(REPORT_EVERY_MS);
        // The first failure costs nothing: three missing reports are noticed.
        let doubled = every.saturating_mul(1 << (self.failures - 1).min(5)).min(LONGEST);
        if self.failures == 1 { jittered(every) } else { every + part(doubled) }
    }

    async fn renew_when_due(&mut self) {
        if self.clock.unix_millis() < self.member.renew_ms
            || self.renewed.is_some_and(|last| last.elapsed() < RENEW_EVERY)
        {
            return;
        }
        self.renewed = Some(Instant::now());
        match renew(&self.home, &self.caller, &self.member).await {
            Ok(member) => match caller(&self.home, &member) {
                Ok(caller) => {
                    tracing::info!(ends_ms = member.ends_ms, "the certificate was renewed");
                    self.standing.lock().certificate_ends_ms = member.ends_ms;
                    self.shown = self.home.fingerprint();
                    (self.caller, self.member) = (caller, member);
                }
                Err(error) => tracing::error!(%error, "the new certificate cannot be used"),
            },
            Err(error) => tracing::warn!(%error, "the certificate is not renewed; again in 1 min"),
        }
    }
}

fn caller(home: &Home, member: &Membership) -> Result<Caller, CallError> {
    Caller::member(Endpoint::parse(&member.url)?, &home.authority(), &home.own())
}

/// Why a node cannot report.
#[derive(Debug, thiserror::Error)]
pub enum CallHome {
    /// The folder of its membership.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// What is in it.
    #[error(transparent)]
    Call(#[from] CallError),
}

/// A fifth earlier or later, so that a fleet does not report at once.
fn jittered(every: Duration) -> Duration {
    every.mul_f64(0.8) + part(every.mul_f64(0.4))
}

/// Anywhere in it.
fn part(of: Duration) -> Duration {
    of.mul_f64((drawn() >> 11) as f64 / (1_u64 << 53) as f64)
}

fn drawn() -> u64 {
    let mut bytes = [0; 8];
    // Without randomness all wait as long, and boots are told apart by nothing: never seen.
    let _ = SystemRandom::new().fill(&mut bytes);
    u64::from_le_bytes(bytes)
}
