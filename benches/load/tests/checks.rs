//! The load client counts right bytes as right, and lies as lies, over HTTP/1.1.

use std::{sync::Arc, time::Duration};

use weir_benches_content::{Class, Content};
use weir_benches_load::{Plan, Protocol, Report, Server, run};
use weir_benches_testbed::{Act, Fault, Origin};

async fn load(origin: &Origin, requests: u64) -> Report {
    let server = Server { address: origin.address(), name: "localhost".into(), tls: None };
    let plan = Plan {
        server: Arc::new(server),
        protocol: Protocol::H1,
        connections: 2,
        streams: 2,
        paths: vec![format!("/vod/{}", Content::new(0xa, 1, 100_000).name())],
        ranges: 0.5,
        requests,
        time: Duration::from_secs(20),
        deadline: Duration::from_secs(5),
        versions: (1, 1),
        seed: 3,
        headers: Vec::new(),
    };
    run::run(plan).await.expect("the plan is sound")
}

#[tokio::test]
async fn a_sound_server_has_no_errors_and_no_wrong_bytes() {
    let origin = Origin::start().await.expect("a free port");
    let report = load(&origin, 200).await;
    assert_eq!((report.requests, report.error_count()), (200, 0));
    assert_eq!(origin.all_requests(), 200);
    assert!(report.wrong.is_clean(), "{}", report.wrong);
    assert!(report.statuses[&206] > 50 && report.statuses[&200] > 50);
    let json = report.to_json();
    assert!(json["first_body_byte_ms"]["p99"].as_f64().expect("a number") > 0.0);
}

#[tokio::test]
async fn lies_are_wrong_and_cut_bodies_are_errors() {
    let origin = Origin::start().await.expect("a free port");
    let path = "/vod/a-100000.bin";
    origin.script(path, [Act::fault(Fault::Lie), Act::fault(Fault::Short { after: 0 })]);
    let report = load(&origin, 20).await;
    assert!(report.wrong.count(Class::WrongObject) > 0);
    assert_eq!(report.wrong.total(), report.wrong.count(Class::WrongObject));
    assert_eq!(report.error_count(), 1, "{:?}", report.errors);
}
