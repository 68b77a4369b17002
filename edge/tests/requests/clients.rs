//! Who asks, and who is refused because there is too much to do.

use std::{sync::Arc, time::Duration};

use http::{Method, StatusCode};
use tokio::time::Instant;
use weir_config::edge::Clients;
use weir_edge::{
    clients::Rules,
    load::{Pressure, Shed, grade::Grader},
    service::{Preset, Services},
};

use super::{World, service};

impl World {
    /// Behind forwarders of `network`.
    fn behind(network: &str) -> Self {
        let world = Self::new();
        let upstream = || Arc::clone(&world.origin) as _;
        let open = service("open", "/open/", Preset::Media, upstream());
        let site = service("site", "/", Preset::Proxy, upstream());
        let told =
            Clients { trusted_forwarders: vec![network.parse().unwrap()], ..Clients::default() };
        let services = Services::new(vec![open, site]).with_clients(Rules::of(&told));
        world.node.services.store(Arc::new(services));
        world
    }

    fn strain(&self, lag: u64) {
        let lag = Duration::from_millis(lag);
        let pressure = Pressure { lag, ..Pressure::default() };
        self.node.load.take(pressure, &mut Grader::default(), Instant::now());
    }
}

/// The access log has the client that a trusted forwarder names; nobody else is believed, and
/// no origin hears of it.
#[tokio::test]
async fn forwarders_are_believed_where_they_are_trusted() {
    let fields = [
        ("x-forwarded-for", "127.0.0.1, 198.51.100.7"),
        ("forwarded", "for=203.0.113.1"),
        ("x-real-ip", "203.0.113.2"),
    ];
    let check = async |network: &str, client: &str| {
        let world = World::behind(network);
        let answer = world.get("/page", &fields).await;
        assert_eq!(answer.field("x-fields"), "via", "what goes upstream");
        let lines = world.lines();
        assert!(lines.contains(&format!("\"client\":\"{client}\"")), "{network}: {lines}");
    };
    check("192.0.2.0/24", "198.51.100.0").await;
    check("192.0.2.78", "192.0.2.0").await;
    check("10.0.0.0/8", "192.0.2.0").await;
}

#[tokio::test]
async fn what_is_here_is_served_and_what_is_cold_refused() {
    let world = World::new();
    world.get("/open/a", &[]).await;
    world.strain(200);
    assert_eq!(world.get("/open/a", &[]).await.status, StatusCode::OK);
    let origin = [("origin", "https://player.example")];
    let cold = world.get("/open/b", &origin).await;
    assert_eq!(cold.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!((cold.field("retry-after"), cold.field("cache-control")), ("2", "no-store"));
    assert_eq!(cold.field("access-control-allow-origin"), "*", "a page may read it");
    assert_eq!(world.send(Method::HEAD, "/open/b", &[]).await.status.as_u16(), 503);
    // What is stale is asked for: something of it is here.
    world.clock.advance_millis(61_000);
    assert_eq!(world.get("/open/a", &[]).await.status, StatusCode::OK);
    assert_eq!((world.requests(), world.node.load.refused(Shed::Cold)), (2, 2));
    let text = world.node.metrics.encode(&world.node);
    assert!(text.contains("edge_shed_requests_total{reason=\"cold\"} 2"), "{text}");
    assert!(text.contains("edge_overload_grade 2"), "{text}");
    world.strain(0);
    assert_eq!(world.get("/open/b", &[]).await.status, StatusCode::OK);
}

/// Before its token and the cache are looked at.
#[tokio::test]
async fn who_has_more_than_a_share_is_refused_first() {
    let world = World::new();
    let client = "192.0.2.77".parse().unwrap();
    let of = |address| world.node.services.load().clients().client(address);
    let held: Vec<_> = (0..100).map(|_| world.node.load.enter(of(client)).unwrap()).collect();
    let others = (1..30).map(|last| format!("198.51.100.{last}").parse().unwrap());
    let others: Vec<_> = others.map(|other| world.node.load.enter(of(other)).unwrap()).collect();
    assert_eq!(world.get("/open/a", &[]).await.status, StatusCode::OK, "there is enough for all");
    world.strain(150);
    for path in ["/open/a", "/t/x/vod/a", "/nowhere"] {
        let refused = world.get(path, &[]).await;
        assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE, "{path}");
        assert_eq!(refused.field("retry-after"), "1");
    }
    drop(held);
    assert_eq!(world.get("/open/a", &[]).await.status, StatusCode::OK);
    drop(others);
    assert_eq!(world.node.load.clients(), 0, "every place is given back");
}

#[tokio::test]
async fn status_says_what_is_scarce() {
    let world = World::new();
    let status = async || {
        let answer = world.admin_answer(Method::GET, "/v1/status", "").await;
        String::from_utf8(answer.body).unwrap()
    };
    assert!(!status().await.contains("overload"));
    world.strain(300);
    let said = status().await;
    assert!(said.contains("overload 120 %: workers are 300 ms late"), "{said}");
    assert!(said.contains("new connections are refused"), "{said}");
}
