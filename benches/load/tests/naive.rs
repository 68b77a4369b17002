//! Proof that the fault campaign can fail: a naive caching proxy joins versions, keeps cut
//! bodies, and is found out; an honest origin without a cache in front is not.

use std::sync::Arc;

use weir_benches_load::{
    Protocol, Server,
    campaign::{
        fault::{Outcome, Target, play},
        naive::Naive,
    },
};
use weir_benches_testbed::{Origin, seeded::Kind};

struct Plain(Vec<(Protocol, Arc<Server>)>);

impl Target for Plain {
    fn servers(&self) -> &[(Protocol, Arc<Server>)] {
        &self.0
    }

    fn path(&self, path: &str) -> String {
        path.to_owned()
    }

    fn silence(&self) -> std::time::Duration {
        std::time::Duration::ZERO
    }
}

async fn scripts(target: &Plain, origin: &Origin, kind: Kind) -> Outcome {
    let mut all = Outcome::default();
    for seed in 0..25 {
        all.merge(play(target, origin, kind, seed).await);
    }
    all
}

fn plain(address: std::net::SocketAddr) -> Plain {
    let server = Server { address, name: "localhost".into(), tls: None };
    Plain(vec![(Protocol::H1, Arc::new(server))])
}

#[tokio::test]
async fn a_naive_proxy_is_found_out() {
    let origin = Origin::start().await.expect("a free port");
    let naive = Naive::start(origin.address()).await.expect("a free port");
    let target = plain(naive.address());
    let torn = scripts(&target, &origin, Kind::ChangedValidator).await;
    assert!(torn.wrong.count(weir_benches_content::Class::Torn) > 0, "{torn:?}");
    let short = scripts(&target, &origin, Kind::Short).await;
    assert!(short.wrong.total() > 0 && short.unhealed > 0, "{short:?}");
}

#[tokio::test]
async fn an_origin_that_breaks_off_openly_lies_about_nothing() {
    let origin = Origin::start().await.expect("a free port");
    let target = plain(origin.address());
    let outcome = scripts(&target, &origin, Kind::Reset).await;
    assert!(outcome.findings.is_empty(), "{:?}", outcome.findings);
    assert!(outcome.served < outcome.waiters && outcome.hung == 0);
}
