//! A node and its control plane, over the wire.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    fs,
    path::Path,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use futures::future::BoxFuture;
use parking_lot::Mutex;
use serde_json::json;
use weir_config::steering::SteeringConfig;
use weir_config_lifecycle::{Clock, ManualClock, Shutdown, SystemClock};
use weir_edge_transport::{connect::fingerprint, sockets::Passed};
use weir_steering::Steering;
use weir_steering_api::{Body, Code, Desired, Kind, Payload, Report};
use weir_steering_client::{Home, JoinError, Joining, Node, Reporter, Told, join};
use weir_steering_fleet::{Presence, Wanted, control::enroll::Admission};

/// What a node would be: it notes what it is told.
#[derive(Default)]
struct Toy(Mutex<Vec<Body>>);

impl Node for Toy {
    fn kinds(&self) -> &'static [Kind] {
        &[Kind::Snapshot, Kind::Intent]
    }

    fn report(&self) -> Report {
        serde_json::from_value(json!({
            "version": 1,
            "identity": {
                "node": "x", "site": "lim-01", "boot": 1, "sequence": 1, "up_ms": 0,
                "clock_ms": 0, "build": "0.1.0", "config": 1, "purge_epoch": 0, "serves": [],
            },
            "capacity": {
                "network_bytes_per_s": 0.0, "processors": 2, "memory_bytes": 1, "requests": 1,
                "disks": 0, "disks_in_use": 0,
            },
            "health": {"spare": 0.5, "scarcest": "lag", "used": {}, "ready": true},
            "serving": {
                "requests_per_s": 0.0, "bytes_per_s": 0.0, "hit_share": null,
                "error_share": null, "ttfb_p99_ms": null, "requests": 0, "clients": 0,
            },
            "fill": {"bytes_per_s": 0.0, "running": 0, "waiting": 0},
            "intent": {"state": "serving"},
            "applied": {},
        }))
        .unwrap()
    }

    fn apply<'a>(&'a self, payload: &'a Payload) -> BoxFuture<'a, bool> {
        self.0.lock().push(payload.body.clone());
        Box::pin(async { true })
    }
}

/// A control plane in a folder.
struct Plane {
    folder: tempfile::TempDir,
    clock: Arc<ManualClock>,
    shutdown: Shutdown,
    steering: Steering,
}

async fn start(folder: &Path, port: u16, clock: &Arc<ManualClock>) -> (Shutdown, Steering) {
    let text = format!(
        "[listen]\nnodes = [\"127.0.0.1:{port}\"]\nnames = [\"127.0.0.1\"]\n\
         [fleet]\ncertificate = \"1h\"\n[admin]\nsocket = \"admin.sock\"\n[shutdown]\ndeadline = \"1s\"\n"
    );
    let config = SteeringConfig::parse(folder.join("steering.toml"), &text).unwrap();
    let shutdown = Shutdown::new();
    let clock = Arc::clone(clock) as Arc<dyn Clock>;
    let steering = Steering::start(Passed::default(), &config, clock, shutdown.clone()).await;
    (shutdown, steering.unwrap())
}

impl Plane {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        // TLS goes by the host's clock: so has this one to begin.
        let clock = Arc::new(ManualClock::at(SystemClock.unix_millis()));
        let (shutdown, steering) = start(folder.path(), 0, &clock).await;
        Self { folder, clock, shutdown, steering }
    }

    fn url(&self) -> String {
        format!("https://{}", self.steering.addresses()[0])
    }

    fn sha256(&self) -> [u8; 32] {
        fingerprint(self.steering.control().signer().authority()).unwrap()
    }

    async fn joining(&self, node: &str) -> Joining {
        let admission =
            Admission { life: Duration::from_secs(60), uses: 1, ..Admission::default() };
        let (_, token) = self.steering.control().admit(&admission).await.unwrap();
        Joining {
            url: self.url(),
            token: token.reveal().to_owned(),
            sha256: self.sha256(),
            node: node.into(),
            site: "lim-01".into(),
            again: false,
        }
    }

    /// A node that has joined.
    async fn node(&self, name: &str) -> (Home, Reporter, Arc<Toy>) {
        let home = Home::at(self.folder.path().join(name));
        join(&home, self.joining(name).await).await.unwrap();
        let toy = Arc::new(Toy::default());
        (home.clone(), self.reporter(&home, &toy), toy)
    }

    fn reporter(&self, home: &Home, toy: &Arc<Toy>) -> Reporter {
        let clock = Arc::clone(&self.clock) as Arc<dyn Clock>;
        Reporter::new(home.clone(), Arc::clone(toy) as Arc<dyn Node>, clock).unwrap()
    }

    async fn stop(self) -> (tempfile::TempDir, Arc<ManualClock>, u16) {
        let port = self.steering.addresses()[0].port();
        self.shutdown.drain();
        self.steering.finished().await;
        (self.folder, self.clock, port)
    }

    fn refused(&self, code: Code) -> u64 {
        self.steering.control().counted().refused(code)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_joins_reports_and_does_what_it_is_told() {
    let plane = Plane::new().await;
    let (home, mut reporter, toy) = plane.node("edge-1").await;
    let wait = reporter.once().await;
    assert!((800..=1_200).contains(&wait.as_millis()), "{wait:?}");
    let standing = reporter.standing();
    assert_eq!(standing.lock().told, Told::Heard, "{standing:?}");
    let view = plane.steering.control().node("edge-1").unwrap();
    assert_eq!((view.presence, view.report.unwrap().health.spare), (Presence::Present, 0.5));
    let draining = Wanted { state: Desired::Draining, until_ms: None };
    plane.steering.control().want("edge-1", draining).await.unwrap();
    reporter.once().await;
    let told: Vec<Kind> = toy.0.lock().iter().map(Body::kind).collect();
    assert_eq!(told, [Kind::Snapshot, Kind::Snapshot, Kind::Intent]);
    reporter.once().await;
    assert!(plane.steering.control().node("edge-1").unwrap().behind.is_empty());
    // Its next process knows without asking anybody.
    let next = Arc::new(Toy::default());
    plane.reporter(&home, &next).recall().await;
    assert_eq!(next.0.lock().len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_tells_its_token_to_nobody_else() {
    let plane = Plane::new().await;
    let home = Home::at(plane.folder.path().join("edge-1"));
    let good = plane.joining("edge-1").await;
    let error = join(&home, Joining { sha256: [7; 32], ..good.clone() }).await.unwrap_err();
    assert!(error.to_string().contains("UnknownIssuer"), "{error}");
    assert!(!home.is_joined());
    // The name that it is reached by has to be in the certificate.
    let elsewhere = good.url.replace("127.0.0.1", "localhost");
    let error = join(&home, Joining { url: elsewhere, ..good.clone() }).await.unwrap_err();
    assert!(error.to_string().contains("cannot connect"), "{error}");
    join(&home, good.clone()).await.unwrap();
    assert!(matches!(join(&home, good.clone()).await, Err(JoinError::Joined(_))));
    let error = join(&home, Joining { again: true, ..good }).await.unwrap_err();
    assert!(error.to_string().contains("token_used"), "{error}");
    assert!(home.membership().is_ok(), "what was there stays");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_nodes_identity_is_refused() {
    let plane = Plane::new().await;
    let (home, _reporter, toy) = plane.node("edge-1").await;
    let (_other_home, mut other, _other) = plane.node("edge-2").await;
    other.once().await;
    let file = home.folder().join("membership.json");
    let text = fs::read_to_string(&file).unwrap().replace("\"edge-1\"", "\"edge-2\"");
    fs::write(&file, text).unwrap();
    let mut forger = plane.reporter(&home, &toy);
    forger.once().await;
    assert_eq!(forger.standing().lock().told, Told::Refused(Code::IdentityForeign));
    assert_eq!(plane.refused(Code::IdentityForeign), 1);
    let view = plane.steering.control().node("edge-2").unwrap();
    assert_eq!(view.sequence, Some(1), "what the other one said stands");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_is_renewed_and_taken_back() {
    let plane = Plane::new().await;
    let (home, mut reporter, _toy) = plane.node("edge-1").await;
    let first = home.membership().unwrap();
    let own = fs::read_to_string(home.own()).unwrap();
    plane.clock.advance_millis(45 * 60_000);
    reporter.once().await;
    let second = home.membership().unwrap();
    assert_eq!(second.ends_ms, first.ends_ms + 45 * 60_000);
    assert_ne!(fs::read_to_string(home.own()).unwrap(), own, "with a key of its own");
    assert_eq!(reporter.standing().lock().told, Told::Heard);
    plane.steering.control().revoke("edge-1").await.unwrap();
    let wait = reporter.once().await;
    assert_eq!(reporter.standing().lock().told, Told::Refused(Code::CertificateRevoked));
    assert!(wait <= Duration::from_secs(2), "the first refusal costs nothing: {wait:?}");
    // It joins again while it runs: the next report but one is taken.
    let admission = Admission {
        node: Some("edge-1".into()),
        life: Duration::from_secs(60),
        uses: 1,
        ..Admission::default()
    };
    let (_, token) = plane.steering.control().admit(&admission).await.unwrap();
    let again =
        Joining { token: token.reveal().to_owned(), again: true, ..plane.joining("edge-1").await };
    join(&home, again).await.unwrap();
    reporter.once().await;
    reporter.once().await;
    assert_eq!(reporter.standing().lock().told, Told::Heard);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_control_plane_goes_and_comes_back() {
    let plane = Plane::new().await;
    let (_home, mut reporter, toy) = plane.node("edge-1").await;
    reporter.once().await;
    let (folder, clock, port) = plane.stop().await;
    let mut waits = Vec::new();
    for _ in 0..8 {
        waits.push(reporter.once().await);
    }
    let standing = reporter.standing().lock().clone();
    assert_eq!((standing.told, standing.unanswered), (Told::Unreached, 8));
    assert!(waits.iter().all(|wait| *wait <= Duration::from_secs(31)), "{waits:?}");
    let (shutdown, steering) = start(folder.path(), port, &clock).await;
    // Known from before, and not said to be gone.
    let view = steering.control().node("edge-1").unwrap();
    assert_eq!((view.presence, view.sequence), (Presence::Present, Some(1)));
    reporter.once().await;
    assert_eq!(reporter.standing().lock().told, Told::Heard);
    assert_eq!(steering.control().counted().reports.load(Relaxed), 1);
    assert_eq!(toy.0.lock().len(), 1, "nothing is told twice");
    shutdown.drain();
    steering.finished().await;
}
