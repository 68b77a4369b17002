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
    metrics::Metrics,
    observe::{Observed, Told as OfOne},
    s3_upstream::S3Upstream,
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
    client: &Client,
    kept: Option<&Kept<'_>>,
) -> Result<Vec<Arc<Observed>>, StartError> {
    config
        .upstreams
        .iter()
        .map(|told| {
            if let Some(same) = kept.and_then(|kept| same(kept, config, told)) {
                return Ok(same);
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
            let metrics = OfOne {
                received: metrics.origin_bytes.with_label_values(&[id]),
                codes: metrics.origin_requests.clone(),
                ttfb: metrics.origin_ttfb.with_label_values(&[id]),
                withheld: metrics.origin_withheld.with_label_values(&[id]),
            };
            let rules = Rules::of(config.fill.deadline);
            let guard = Guard::new(id, max_fills(config, told), rules);
            Ok(Arc::new(Observed::new(upstream, kind, guard, metrics)))
        })
        .collect()
}

/// Where nothing is said, one of several upstreams leaves a quarter of the fills to the others.
fn max_fills(config: &EdgeConfig, told: &Told) -> usize {
    let all = usize::from(config.fill.concurrency.get());
    let several = config.upstreams.len() > 1;
    let usual = if several { (all * 3 / 4).max(1) } else { all };
    told.max_fills.map_or(usual, |own| usize::from(own.get()))
}

/// The upstream that runs, where it would come out the same.
fn same(kept: &Kept<'_>, config: &EdgeConfig, told: &Told) -> Option<Arc<Observed>> {
    let as_before = kept.config.upstream(&told.id) == Some(told)
        && kept.config.fill.deadline == config.fill.deadline
        && max_fills(kept.config, told) == max_fills(config, told);
    let found = kept.upstreams.iter().find(|upstream| upstream.id() == told.id);
    found.filter(|_| as_before).map(Arc::clone)
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
