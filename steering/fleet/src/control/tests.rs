//! The fleet as nodes and operators see it.

mod joining;
mod reporting;

use std::{sync::Arc, time::Duration};

use rcgen::{CertificateParams, KeyPair};
use serde_json::{Value, json};
use weir_config_lifecycle::ManualClock;
use weir_steering_api::{Code, JoinAnswer};
use weir_steering_store::{Backend, Store};

use super::{Control, Denied, Ground, Rules, enroll::Admission};
use crate::signer::{LocalSigner, SystemEntropy};

const DAY_MS: u64 = 86_400_000;

struct Fleet {
    folder: tempfile::TempDir,
    clock: Arc<ManualClock>,
    control: Control,
}

impl Fleet {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::at(1_795_000_000_000));
        let control = open(&folder, &clock).await;
        Self { folder, clock, control }
    }

    /// The process ends, and the next one begins.
    async fn restart(&mut self) {
        self.control.flush().await;
        self.control.store().close().await;
        self.control = open(&self.folder, &self.clock).await;
    }

    async fn token(&self, admission: Admission) -> String {
        let (_, token) = self.control.admit(&admission).await.unwrap();
        token.reveal().to_owned()
    }

    async fn join(&self, token: &str, node: &str) -> Result<JoinAnswer, Denied> {
        self.control.join(&joining(token, node, &csr())).await
    }

    /// A node of that name, by its certificate.
    async fn node(&self, name: &str) -> Vec<u8> {
        let token = self.token(once()).await;
        der(&self.join(&token, name).await.unwrap().certificate)
    }

    fn refused(&self, code: Code) -> u64 {
        self.control.counted().refused(code)
    }
}

async fn open(folder: &tempfile::TempDir, clock: &Arc<ManualClock>) -> Control {
    use weir_config_lifecycle::Clock;
    let store = Store::open(&Backend::Sqlite(folder.path().join("fleet.db"))).await.unwrap();
    let keys = folder.path().join("keys");
    let signer = LocalSigner::open(&keys, Box::new(SystemEntropy), clock.unix_seconds()).unwrap();
    let ground = Ground {
        store,
        signer: Arc::new(signer),
        entropy: Arc::new(SystemEntropy),
        clock: Arc::clone(clock) as Arc<dyn Clock>,
    };
    Control::open(ground, Rules::default()).await.unwrap()
}

fn once() -> Admission {
    Admission { life: Duration::from_secs(3_600), uses: 1, ..Admission::default() }
}

fn csr() -> String {
    let asked = CertificateParams::new(Vec::new()).unwrap();
    asked.serialize_request(&KeyPair::generate().unwrap()).unwrap().pem().unwrap()
}

fn joining(token: &str, node: &str, csr: &str) -> Vec<u8> {
    let request = json!({
        "version": 1, "token": token, "node": node, "site": "lim-01", "csr": csr,
    });
    serde_json::to_vec(&request).unwrap()
}

fn der(pem: &str) -> Vec<u8> {
    x509_parser::pem::parse_x509_pem(pem.as_bytes()).unwrap().1.contents
}

/// A report of that node, which knows every kind of message and has none.
fn report(node: &str, sequence: u64) -> Value {
    json!({
        "version": 1,
        "identity": {
            "node": node, "site": "lim-01", "boot": 7, "sequence": sequence,
            "up_ms": sequence, "clock_ms": 1_795_000_000_000_u64, "build": "0.1.0", "config": 1,
            "purge_epoch": 0, "serves": ["https://edge.example:443"],
        },
        "capacity": {
            "network_bytes_per_s": 0.0, "processors": 2, "memory_bytes": 1, "requests": 1,
            "disks": 0, "disks_in_use": 0,
        },
        "health": {"spare": 0.5, "scarcest": "lag", "used": {}, "ready": true},
        "serving": {
            "requests_per_s": 0.0, "bytes_per_s": 0.0, "hit_share": null, "error_share": null,
            "ttfb_p99_ms": null, "requests": 0, "clients": 0,
        },
        "fill": {"bytes_per_s": 0.0, "running": 0, "waiting": 0},
        "intent": {"state": "serving"},
        "applied": {"snapshot": 0, "intent": 0, "keys": 0, "purges": 0},
    })
}

fn bytes(value: &Value) -> Vec<u8> {
    serde_json::to_vec(value).unwrap()
}
