//! Upstreams from their configuration.

use std::{sync::Arc, time::Duration};

use weir_config::edge::{
    Credentials, EdgeConfig, S3Upstream as S3Told, Upstream as Told, UpstreamKind,
};
use weir_edge_fill::{
    guard::{Guard, Rules},
    upstream::Upstream,
};
use weir_edge_http::client::{Client, ClientLimits, Deadlines};
use weir_edge_parent::{BaseUrl, Host, HttpUpstream};
use weir_edge_transport::connect::{Connector, Roots, client_config};
use weir_origin_s3::{S3Config, S3Credentials, S3Store};

use super::{Kept, StartError};
use crate::{
    journal::Journal,
    metrics::Metrics,
    observe::{Observed, Told as OfOne},
    s3_upstream::S3Upstream,
    traces::Peer,
};

/// A connection that is not there by then is another upstream's chance.
const CONNECT: Duration = Duration::from_secs(1);

/// One pool of connections to all upstreams.
pub(super) fn pool() -> Result<Client, StartError> {
    let tls = client_config(&Roots::Public)?;
    Ok(Client::new(Connector::new(tls), ClientLimits::default()))
}

/// All upstreams, watched.
pub(super) fn all(
    config: &EdgeConfig,
    metrics: &Metrics,
    journal: &Journal,
    client: &Client,
    kept: Option<&Kept<'_>>,
) -> Result<Vec<Arc<Observed>>, StartError> {
    let fills = kept.map_or_else(|| usize::from(config.fill.concurrency.get()), |kept| kept.fills);
    let rules = Rules::of(config.fill.deadline);
    config
        .upstreams
        .iter()
        .map(|told| {
            let fills = max_fills(config, told, fills);
            let same = kept.and_then(|kept| same(kept, told));
            // Where it is the same server, what was learned of it holds.
            let guard = match &same {
                Some(same) => same.guard().under(fills, &rules),
                None => Guard::new(told.id.as_str(), fills, rules.clone()),
            };
            let deadline = kept.map(|kept| kept.config.fill.deadline);
            if let Some(same) = same.filter(|_| deadline == Some(config.fill.deadline)) {
                return Ok(same.under(guard));
            }
            let id = told.id.as_str();
            let refused = |reason: String| StartError::Upstream { id: id.to_owned(), reason };
            let (upstream, kind): (Arc<dyn Upstream>, _) = match &told.kind {
                UpstreamKind::S3(s3) => {
                    let store = S3Store::new(&s3_config(s3, config.fill.deadline), client.clone())
                        .map_err(|error| refused(error.to_string()))?;
                    (Arc::new(S3Upstream::new(id, Arc::new(store), &s3.bucket)), "s3")
                }
                UpstreamKind::Http(http) => {
                    let base: BaseUrl =
                        http.url.as_str().parse().map_err(
                            |error: weir_edge_parent::BaseError| refused(error.to_string()),
                        )?;
                    let client = client.clone();
                    let parent = HttpUpstream::new(id, base, Host::Upstream, client, CONNECT);
                    (Arc::new(parent), "http")
                }
            };
            let label = metrics.origins.label(id);
            let metrics = OfOne {
                label: label.to_owned(),
                received: metrics.origin_bytes.with_label_values(&[label]),
                codes: metrics.origin_requests.clone(),
                ttfb: metrics.origin_ttfb.with_label_values(&[label]),
                withheld: metrics.origin_withheld.with_label_values(&[label]),
                hedges: metrics.origin_hedges.clone(),
                peer: Arc::new(peer(&told.kind)),
                exchanges: Arc::clone(&journal.exchanges),
            };
            Ok(Arc::new(Observed::new(upstream, kind, guard, metrics)))
        })
        .collect()
}

/// Where nothing is said, one of several upstreams leaves a quarter of the fills to the others.
fn max_fills(config: &EdgeConfig, told: &Told, all: usize) -> usize {
    let several = config.upstreams.len() > 1;
    let usual = if several { (all * 3 / 4).max(1) } else { all };
    told.max_fills.map_or(usual, |own| usize::from(own.get()))
}

/// The upstream that runs, where the same server is told of in the same way.
fn same<'k>(kept: &Kept<'k>, told: &Told) -> Option<&'k Arc<Observed>> {
    let before = kept.config.upstream(&told.id)?;
    let found = kept.upstreams.iter().find(|upstream| upstream.id() == told.id);
    found.filter(|_| before.kind == told.kind)
}

/// Where it is, as traces tell it.
fn peer(told: &UpstreamKind) -> Peer {
    let (url, bucket) = match told {
        UpstreamKind::Http(http) => (Some(&http.url), String::new()),
        UpstreamKind::S3(s3) => (s3.endpoint.as_ref(), format!("/{}", s3.bucket)),
    };
    match (url, told) {
        (None, UpstreamKind::S3(s3)) => {
            let address = format!("{}.s3.{}.amazonaws.com", s3.bucket, s3.region);
            Peer { base: format!("https://{address}"), address, port: 443 }
        }
        (url, _) => {
            let text = url.map_or("", |url| url.as_str()).trim_end_matches('/');
            let host = url.and_then(|url| url.host_str()).unwrap_or_default();
            let port = url.and_then(|url| url.port_or_known_default()).unwrap_or_default();
            Peer { base: format!("{text}{bucket}"), address: host.to_owned(), port }
        }
    }
}

fn s3_config(told: &S3Told, deadline: Duration) -> S3Config {
    S3Config {
        endpoint: told.endpoint.as_ref().map(|url| url.as_str().trim_end_matches('/').to_owned()),
        region: told.region.clone(),
        path_style: told.path_style,
        credentials: match &told.credentials {
            Credentials::Anonymous => S3Credentials::Anonymous,
            Credentials::Env => S3Credentials::Env,
            Credentials::Imds => S3Credentials::Imds,
            Credentials::Static { access_key, secret_key } => S3Credentials::Static {
                access_key: access_key.clone(),
                secret_key: secret_key.expose().to_owned(),
                session_token: None,
            },
        },
        deadlines: Deadlines { connect: CONNECT.min(deadline), ..Deadlines::all(deadline) },
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;
    use weir_config_telemetry::Metrics as Registry;
    use weir_edge_fill::guard::{Circuit, Sort};

    use super::*;

    fn config(concurrency: u16, deadline: &str, upstreams: &str) -> EdgeConfig {
        let text = format!(
            "[node]\nname = \"e1\"\n[listen]\nhttp = [\"127.0.0.1:0\"]\n[admin]\nsocket = \"a\"\n\
             [cache]\nmemory = \"512 MiB\"\n\
             [fill]\nconcurrency = {concurrency}\ndeadline = \"{deadline}\"\n\
             [[service]]\nid = \"site\"\npreset = \"proxy\"\nupstreams = [\"web\"]\n{upstreams}"
        );
        EdgeConfig::parse("edge.toml", &text).unwrap()
    }

    fn web(port: u16, more: &str) -> String {
        let id = "[[upstream]]\nid = \"web\"\nkind = \"http\"\n";
        format!("{id}url = \"http://127.0.0.1:{port}\"\n{more}\n")
    }

    /// What a reload makes of an upstream whose circuit is open: how the circuit stands, and how
    /// many fills it may have.
    #[tokio::test]
    async fn what_a_reload_keeps() {
        let (metrics, pool) = (Metrics::new(Registry::new()), pool().unwrap());
        let journal = Journal::new(1);
        let before = config(8, "2 s", &web(9, ""));
        let check = |what: &str, now: EdgeConfig, circuit: Circuit, fills: usize| {
            let running = all(&before, &metrics, &journal, &pool, None).unwrap();
            for _ in 0..20 {
                let asked = Instant::now().into_std();
                drop(running[0].guard().ask(asked, Sort::Plain, false).unwrap());
            }
            let kept = Kept { config: &before, fills: 8, upstreams: &running };
            let upstreams = all(&now, &metrics, &journal, &pool, Some(&kept)).unwrap();
            assert_eq!(upstreams[0].circuit(), circuit, "{what}");
            assert_eq!(upstreams[0].guard().slots().available_permits(), fills, "{what}");
            assert_eq!(running[0].circuit(), Circuit::Open, "{what}");
        };
        let other = "[[upstream]]\nid = \"b\"\nkind = \"http\"\nurl = \"http://127.0.0.1:8\"\n";
        check("nothing new", config(8, "2 s", &web(9, "")), Circuit::Open, 8);
        check("fills that wait for a restart", config(64, "2 s", &web(9, "")), Circuit::Open, 8);
        check("fills of its own", config(8, "2 s", &web(9, "max_fills = 3")), Circuit::Open, 3);
        check("one more", config(8, "2 s", &(web(9, "") + other)), Circuit::Open, 6);
        check("a deadline", config(8, "4 s", &web(9, "")), Circuit::Open, 8);
        check("another server", config(8, "2 s", &web(7, "")), Circuit::Closed, 8);
    }
}
