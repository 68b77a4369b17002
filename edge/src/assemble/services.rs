//! Services from their configuration.

use std::sync::Arc;

use weir_config::edge::{EdgeConfig, Service as Told};
use weir_edge_fill::{Failover, Policy, hedge::Hedge, upstream::Upstream};
use weir_edge_token::Verifier;

use super::StartError;
use crate::{
    observe::Observed,
    service::{Cors, Preset, Service, TokenRule},
};

pub(super) fn all(
    config: &EdgeConfig,
    upstreams: &[Arc<Observed>],
    workers: usize,
) -> Result<Vec<Service>, StartError> {
    config.services.iter().map(|told| one(config, told, upstreams, workers)).collect()
}

fn one(
    config: &EdgeConfig,
    told: &Told,
    upstreams: &[Arc<Observed>],
    workers: usize,
) -> Result<Service, StartError> {
    let refused = |reason: String| StartError::Service { id: told.id.clone(), reason };
    let chosen: Vec<&Arc<Observed>> = told
        .upstreams
        .iter()
        .filter_map(|id| upstreams.iter().find(|upstream| upstream.id() == id))
        .collect();
    let hedge = match chosen.as_slice() {
        [first, _, ..] if told.hedge => {
            let tally = Arc::clone(&first.tally);
            Some(Arc::new(Hedge::new(move |winner| tally.hedged(winner))))
        }
        _ => None,
    };
    let upstream: Arc<dyn Upstream> = match chosen.as_slice() {
        [only] => Arc::clone(*only) as _,
        _ => {
            let many = chosen.iter().map(|&upstream| Arc::clone(upstream) as _).collect();
            let many = Failover::new(many);
            let many = many.ok_or_else(|| refused("it names no upstream".into()))?;
            Arc::new(match &hedge {
                Some(hedge) => many.hedged(Arc::clone(hedge)),
                None => many,
            })
        }
    };
    let cors = told.cors.as_ref().map(|cors| Cors {
        origins: (!cors.origins.iter().any(|origin| origin == "*")).then(|| cors.origins.clone()),
        max_age_seconds: cors.max_age.as_secs(),
    });
    let token = match &told.token {
        None => None,
        Some(rule) => {
            let cannot = |why: String| refused(format!("{}: {why}", rule.jwks.display()));
            let jwks = std::fs::read_to_string(&rule.jwks).map_err(|e| cannot(e.to_string()))?;
            let verifier = Verifier::new(&jwks).map_err(|error| cannot(error.to_string()))?;
            Some(TokenRule::new(rule.required, rule.audience.clone(), verifier, workers))
        }
    };
    let mut set_headers = Vec::new();
    for (name, value) in &told.response_headers.set {
        let bad = || refused(format!("{name}: {value} is no header field"));
        set_headers.push((name.parse().map_err(|_| bad())?, value.parse().map_err(|_| bad())?));
    }
    let mut remove_headers = Vec::new();
    for name in &told.response_headers.remove {
        let parsed = name.parse().map_err(|_| refused(format!("{name} is no header name")))?;
        remove_headers.push(parsed);
    }
    let mut query_keys = told.query_keys.clone();
    query_keys.sort_unstable();
    Ok(Service {
        id: told.id.as_str().into(),
        hosts: told.hosts.iter().map(|host| host.to_ascii_lowercase()).collect(),
        path_prefix: told.path_prefix.clone(),
        strip_prefix: told.strip_prefix.clone(),
        preset: told.preset,
        query_keys,
        cors,
        token,
        set_headers,
        remove_headers,
        server_timing: told.server_timing,
        upstream,
        hedge,
        policy: Arc::new(Policy {
            default_ttl: told.default_ttl,
            negative_ttl: told.negative_ttl,
            stale_if_error: told.stale_if_error,
            store_set_cookie: told.store_set_cookie,
            anonymous: told.preset == Preset::Media,
            deadline: config.fill.deadline,
            resumes: config.fill.resumes,
        }),
        rule: rule(config, told),
    })
}

/// `edge.toml:41`, or `conf.d/20-services.toml:3`: seen from the folder of the main file.
fn rule(config: &EdgeConfig, told: &Told) -> String {
    let folder = config.file.parent().unwrap_or(std::path::Path::new(""));
    let file = told.file.strip_prefix(folder).unwrap_or(&told.file);
    format!("{}:{}", file.display(), told.line)
}
