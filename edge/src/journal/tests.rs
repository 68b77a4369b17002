//! What is remembered, what is told, and what is lost.

use std::sync::Arc;

use weir_config_telemetry::access::filter::Filter;
use weir_edge_http::{ConnectionInfo, Protocol};

use super::{Finished, Journal, Marks, TooMany};
use crate::record::Outcome;

fn finished(journal: &Journal, path: &str, status: u16, worker: usize) -> Finished {
    let nowhere = "192.0.2.1:1".parse().unwrap();
    Finished {
        id: journal.id(worker),
        time: 1_700_000_000_000,
        connection: Arc::new(ConnectionInfo {
            protocol: Protocol::H2,
            peer: nowhere,
            local: nowhere,
            tls: None,
            worker,
            outgoing: Arc::default(),
        }),
        client: None,
        method: http::Method::GET,
        host: "h".into(),
        path: path.into(),
        range: None,
        status,
        bytes: 1,
        whole: true,
        outcome: Outcome::HitMem,
        service: None,
        sid: None,
        ttfb: 0.001,
        total: 0.002,
        started: tokio::time::Instant::now(),
        marks: Marks::default(),
        asked: None,
        said: None,
    }
}

fn all() -> Filter {
    Filter::read("").unwrap()
}

#[test]
fn ids_never_come_twice() {
    let journal = Journal::new(3);
    let ids: std::collections::HashSet<_> = (0..30_000).map(|n| journal.id(n % 3)).collect();
    assert_eq!(ids.len(), 30_000);
    assert_ne!(Journal::new(1).id(0), Journal::new(1).id(0), "each process has its own");
}

#[test]
fn the_last_ones_are_remembered() {
    let journal = Journal::new(2);
    for number in 0..5000_u64 {
        let mut one = finished(&journal, &format!("/{number}"), 200, (number % 2) as usize);
        one.time += number;
        journal.take(one);
    }
    let paths = |count, filter: &str| -> Vec<String> {
        let filter = Filter::read(filter).unwrap();
        journal.last(count, &filter).into_iter().map(|one| one.path).collect()
    };
    assert_eq!(paths(3, ""), ["/4997", "/4998", "/4999"]);
    assert_eq!(paths(2, "path=/4990 or path=/4995"), ["/4990", "/4995"]);
    assert_eq!(paths(5000, "").len(), 1024);
    assert!(paths(1, "status=404").is_empty());
}

#[test]
fn texts_of_clients_are_cut() {
    let journal = Journal::new(1);
    journal.take(finished(&journal, &"é".repeat(5000), 200, 0));
    let [one] = journal.last(1, &all()).try_into().unwrap();
    assert_eq!((one.path.chars().count(), one.path.chars().last()), (257, Some('…')));
}

#[tokio::test]
async fn followers_get_what_they_ask_for() {
    let journal = Arc::new(Journal::new(1));
    let failed = journal.follow(Filter::read("status=5xx").unwrap()).unwrap();
    let every = journal.follow(all()).unwrap();
    journal.take(finished(&journal, "/a", 200, 0));
    journal.take(finished(&journal, "/b", 503, 0));
    let lines = async |from: &super::Subscription| {
        let piece = String::from_utf8(from.next().await.to_vec()).unwrap();
        let path = |line: &str| {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            line["path"].as_str().unwrap().to_owned()
        };
        piece.lines().map(path).collect::<Vec<_>>()
    };
    assert_eq!(lines(&every).await, ["/a", "/b"]);
    assert_eq!(lines(&failed).await, ["/b"]);
}

#[tokio::test]
async fn a_slow_follower_loses_and_is_told() {
    let journal = Arc::new(Journal::new(1));
    let follower = journal.follow(all()).unwrap();
    let path = "x".repeat(1000);
    for _ in 0..3000 {
        journal.take(finished(&journal, &path, 200, 0));
    }
    let mut text = String::new();
    while !text.contains("lost") {
        text.push_str(std::str::from_utf8(&follower.next().await).unwrap());
    }
    let last: serde_json::Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    let kept = text.lines().count() as u64 - 1;
    assert_eq!(last["lost"].as_u64(), Some(3000 - kept));
    assert!(kept > 500 && text.len() <= 1 << 20, "{kept}");
    journal.take(finished(&journal, "/after", 200, 0));
    assert!(String::from_utf8_lossy(&follower.next().await).contains("/after"));
}

#[test]
fn so_many_follow_and_no_more() {
    let journal = Arc::new(Journal::new(1));
    let mut all_of_them: Vec<_> = (0..16).map(|_| journal.follow(all()).unwrap()).collect();
    assert!(matches!(journal.follow(all()), Err(TooMany)));
    all_of_them.pop();
    assert!(journal.follow(all()).is_ok());
}
