//! What has to hold on every database.

use futures::future::BoxFuture;
use weir_steering_store::{
    Backend, Certificate, Down, Event, JoinError, Joining, Observed, Site, Store, Token,
};

type Case = fn(Backend) -> BoxFuture<'static, ()>;

pub(crate) const ALL: [(&str, Case); 9] = [
    ("opens_twice", |backend| Box::pin(opens_twice(backend))),
    ("tokens_come_and_go", |backend| Box::pin(tokens_come_and_go(backend))),
    ("a_join_is_whole_or_nothing", |backend| Box::pin(a_join_is_whole_or_nothing(backend))),
    ("a_token_of_one_use_lets_one_in", |backend| Box::pin(a_token_of_one_use_lets_one_in(backend))),
    ("a_node_joins_again", |backend| Box::pin(a_node_joins_again(backend))),
    ("what_is_wanted_is_counted", |backend| Box::pin(what_is_wanted_is_counted(backend))),
    ("reports_outlive_the_process", |backend| Box::pin(reports_outlive_the_process(backend))),
    ("an_older_message_replaces_none", |backend| Box::pin(an_older_message_replaces_none(backend))),
    ("text_of_any_kind", |backend| Box::pin(text_of_any_kind(backend))),
];

async fn open(backend: &Backend) -> Store {
    Store::open(backend).await.unwrap()
}

fn token(id: &str, uses: i64) -> Token {
    Token {
        id: id.into(),
        hash: format!("hash of {id}"),
        site: "lim-01".into(),
        node: String::new(),
        uses,
        uses_left: uses,
        created_us: 10,
        expires_us: 1_000,
        revoked_us: None,
    }
}

fn joining(token: &str, node: &str, serial: &str) -> Joining {
    let event = Event {
        id: format!("1-{serial}"),
        node: node.into(),
        at_us: 20,
        kind: "joined".into(),
        detail: "with a token".into(),
    };
    let certificate = Certificate {
        serial: serial.into(),
        node: node.into(),
        issued_us: 20,
        ends_us: 5_000,
        revoked_us: None,
    };
    Joining {
        token: token.into(),
        node: node.into(),
        site: "lim-01".into(),
        again: false,
        certificate,
        event,
        now_us: 20,
    }
}

async fn opens_twice(backend: Backend) {
    let (one, other) = tokio::join!(open(&backend), Store::open(&backend));
    one.probe().await.unwrap();
    other.unwrap().probe().await.unwrap();
    one.close().await;
    open(&backend).await.probe().await.unwrap();
}

async fn tokens_come_and_go(backend: Backend) {
    let store = open(&backend).await;
    store.add_token(&token("a", 1)).await.unwrap();
    store.add_token(&Token { created_us: 11, expires_us: 90, ..token("b", 2) }).await.unwrap();
    store.add_token(&token("a", 1)).await.unwrap_err();
    assert_eq!(store.token("hash of a").await.unwrap(), Some(token("a", 1)));
    assert_eq!(store.token("hash of c").await.unwrap(), None);
    let ids: Vec<_> = store.tokens().await.unwrap().into_iter().map(|token| token.id).collect();
    assert_eq!(ids, ["b", "a"]);
    assert!(store.revoke_token("a", 12).await.unwrap());
    assert!(!store.revoke_token("a", 13).await.unwrap());
    assert!(!store.revoke_token("c", 13).await.unwrap());
    assert_eq!(store.token("hash of a").await.unwrap().unwrap().revoked_us, Some(12));
    assert!(matches!(store.join(&joining("a", "n", "1")).await, Err(JoinError::Token)));
    assert_eq!(store.prune_tokens(100).await.unwrap(), 1);
    assert_eq!(store.tokens().await.unwrap().len(), 1);
}

async fn a_join_is_whole_or_nothing(backend: Backend) {
    let store = open(&backend).await;
    store.add_token(&token("a", 3)).await.unwrap();
    store.join(&joining("a", "edge-1", "01")).await.unwrap();
    // The name is taken: nothing of the second try is left, its use included.
    let error = store.join(&joining("a", "edge-1", "02")).await.unwrap_err();
    assert!(matches!(error, JoinError::Exists), "{error}");
    // The same serial number: refused by the last statement but one.
    let error = store.join(&joining("a", "edge-2", "01")).await.unwrap_err();
    assert!(matches!(error, JoinError::Store(_)), "{error}");
    // Too late.
    let late = Joining { now_us: 1_000, ..joining("a", "edge-3", "03") };
    assert!(matches!(store.join(&late).await, Err(JoinError::Token)));
    assert_eq!(store.token("hash of a").await.unwrap().unwrap().uses_left, 2);
    let nodes = store.nodes().await.unwrap();
    assert_eq!(nodes.len(), 1);
    assert_eq!((&*nodes[0].name, &*nodes[0].state, nodes[0].intent), ("edge-1", "serving", 0));
    assert_eq!(store.certificates(0).await.unwrap().len(), 1);
    assert_eq!(store.certificates(5_000).await.unwrap().len(), 0);
    assert_eq!(store.events("edge-1", 10).await.unwrap().len(), 1);
    assert_eq!(store.events("edge-2", 10).await.unwrap().len(), 0);
    assert_eq!(store.sites().await.unwrap()[0].name, "lim-01");
}

async fn a_token_of_one_use_lets_one_in(backend: Backend) {
    let store = open(&backend).await;
    store.add_token(&token("a", 1)).await.unwrap();
    let tries = (0..16).map(|n| {
        let store = store.clone();
        tokio::spawn(async move {
            let (node, serial) = (format!("edge-{n}"), format!("{n:02}"));
            store.join(&joining("a", &node, &serial)).await.is_ok()
        })
    });
    let mut joined = 0;
    for tried in tries.collect::<Vec<_>>() {
        joined += usize::from(tried.await.unwrap());
    }
    assert_eq!(joined, 1);
    assert_eq!(store.nodes().await.unwrap().len(), 1);
}

async fn a_node_joins_again(backend: Backend) {
    let store = open(&backend).await;
    store.add_token(&token("a", 2)).await.unwrap();
    store.join(&joining("a", "edge-1", "01")).await.unwrap();
    let again =
        Joining { again: true, now_us: 30, site: "mia-02".into(), ..joining("a", "edge-1", "02") };
    store.join(&again).await.unwrap();
    let nodes = store.nodes().await.unwrap();
    assert_eq!((nodes.len(), &*nodes[0].site, nodes[0].joined_us), (1, "mia-02", 30));
    let mut certificates = store.certificates(0).await.unwrap();
    certificates.sort_by(|a, b| a.serial.cmp(&b.serial));
    let ends: Vec<_> = certificates.iter().map(|c| (&*c.serial, c.revoked_us)).collect();
    assert_eq!(ends, [("01", Some(30)), ("02", None)]);
    assert_eq!(store.revoke_certificates("edge-1", 40).await.unwrap(), 1);
    let next = Certificate { serial: "03".into(), ..joining("a", "edge-1", "03").certificate };
    store.add_certificate(&next).await.unwrap();
    store
        .add_certificate(&Certificate { serial: "04".into(), node: "nobody".into(), ..next })
        .await
        .unwrap_err();
    assert!(store.forget("edge-1").await.unwrap());
    assert!(!store.forget("edge-1").await.unwrap());
    assert!(store.certificates(0).await.unwrap().is_empty());
    assert_eq!(store.events("edge-1", 10).await.unwrap().len(), 2, "history stays");
    assert_eq!(store.events("edge-1", 1).await.unwrap()[0].id, "1-02", "the newest first");
    assert_eq!(store.prune_events(100).await.unwrap(), 2);
}

async fn what_is_wanted_is_counted(backend: Backend) {
    let store = open(&backend).await;
    store.add_token(&token("a", 1)).await.unwrap();
    store.join(&joining("a", "edge-1", "01")).await.unwrap();
    let node = store.want("edge-1", "maintenance", Some(99), 50).await.unwrap().unwrap();
    assert_eq!((&*node.state, node.until_us, node.intent), ("maintenance", Some(99), 1));
    let node = store.want("edge-1", "serving", None, 51).await.unwrap().unwrap();
    assert_eq!((&*node.state, node.until_us, node.intent), ("serving", None, 2));
    assert!(store.want("nobody", "serving", None, 51).await.unwrap().is_none());
    let node = store.label("edge-1", r#"{"rack":"7"}"#, 52).await.unwrap().unwrap();
    assert_eq!((&*node.labels, node.updated_us), (r#"{"rack":"7"}"#, 52));
    let site = Site { name: "lim-01".into(), domain: "lima".into(), created_us: 1 };
    store.put_site(&site).await.unwrap();
    assert_eq!(store.sites().await.unwrap()[0].domain, "lima");
}

async fn reports_outlive_the_process(backend: Backend) {
    let store = open(&backend).await;
    store.add_token(&token("a", 1)).await.unwrap();
    store.join(&joining("a", "edge-1", "01")).await.unwrap();
    let seen = |node: &str, sequence| Observed {
        node: node.into(),
        boot: u64::MAX.to_string(),
        sequence,
        seen_us: i64::MAX,
        report: "{}".into(),
    };
    store.observe(&[seen("edge-1", 1), seen("nobody", 1)]).await.unwrap();
    store.observe(&[seen("edge-1", 2)]).await.unwrap();
    store.close().await;
    let store = open(&backend).await;
    assert_eq!(store.observed().await.unwrap(), [seen("edge-1", 2)]);
}

async fn an_older_message_replaces_none(backend: Backend) {
    let store = open(&backend).await;
    let down = |node: &str, number| Down {
        kind: "snapshot".into(),
        node: node.into(),
        number,
        made_us: number,
        signed: format!("{number}"),
    };
    assert!(store.put_down(&down("", 2)).await.unwrap());
    assert!(!store.put_down(&down("", 2)).await.unwrap());
    assert!(!store.put_down(&down("", 1)).await.unwrap());
    assert!(store.put_down(&down("edge-1", 1)).await.unwrap());
    assert!(store.put_down(&down("", 3)).await.unwrap());
    assert_eq!(store.down().await.unwrap(), [down("", 3), down("edge-1", 1)]);
}

async fn text_of_any_kind(backend: Backend) {
    let store = open(&backend).await;
    let odd = "'; DROP TABLE nodes; -- \u{1f3ac} \"\\ %_";
    store.add_token(&Token { site: odd.into(), ..token("a", 1) }).await.unwrap();
    assert_eq!(store.token("hash of a").await.unwrap().unwrap().site, odd);
    assert!(store.nodes().await.unwrap().is_empty());
}
