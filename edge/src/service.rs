//! Services: which rules hold for a request, found by host and then by the longest path
//! prefix.

use std::{collections::HashMap, sync::Arc};

use http::{HeaderMap, HeaderName, HeaderValue};
use parking_lot::Mutex;
pub use weir_config::edge::Preset;
use weir_edge_fill::{Policy, hedge::Hedge, upstream::Upstream};
use weir_edge_token::{Memo, Reject, Verifier};

use crate::clients::Rules;

/// Fields by which an upstream tags its responses, see `weir_edge_cache::purge::tags_of`.
static TAGS: [HeaderName; 2] =
    [HeaderName::from_static("surrogate-key"), HeaderName::from_static("cache-tag")];

/// Cross-origin rules of a service.
#[derive(Debug, Clone)]
pub struct Cors {
    /// `None` allows every origin.
    pub origins: Option<Vec<String>>,
    pub max_age_seconds: u64,
}

/// Tokens each worker remembers as verified; at most about 3 MiB.
const MEMO_PLACES: usize = 4096;

/// What a token must be for a service.
#[derive(Debug)]
pub struct TokenRule {
    pub required: bool,
    audience: String,
    verifier: Verifier,
    /// One for each worker, so that none waits for another.
    memos: Vec<Mutex<Memo>>,
}

impl TokenRule {
    pub fn new(required: bool, audience: String, verifier: Verifier, workers: usize) -> Self {
        let memos = (0..workers.max(1)).map(|_| Mutex::new(Memo::new(MEMO_PLACES))).collect();
        Self { required, audience, verifier, memos }
    }

    /// Session id of a token that opens `path`.
    pub fn verify(
        &self,
        token: &str,
        path: &str,
        now_seconds: u64,
        worker: usize,
    ) -> Result<Option<String>, Reject> {
        let mut memo = self.memos[worker % self.memos.len()].lock();
        let claims =
            self.verifier.verify_memo(&mut memo, token, &self.audience, path, now_seconds)?;
        Ok(claims.sid.clone())
    }
}

/// One service, as the configuration tells it.
#[derive(Debug)]
pub struct Service {
    pub id: Arc<str>,
    /// Lower case, without port. Empty serves every host.
    pub hosts: Vec<String>,
    /// Begins and ends with `/`.
    pub path_prefix: String,
    /// Taken off before the upstream is asked; a prefix of `path_prefix` or equal to it.
    pub strip_prefix: Option<String>,
    pub preset: Preset,
    /// Query keys that name different objects, sorted.
    pub query_keys: Vec<String>,
    pub cors: Option<Cors>,
    pub token: Option<TokenRule>,
    pub set_headers: Vec<(HeaderName, HeaderValue)>,
    pub remove_headers: Vec<HeaderName>,
    /// Whether answers tell how long their fill took.
    pub server_timing: bool,
    pub upstream: Arc<dyn Upstream>,
    /// When the second upstream is asked too; none where it never is.
    pub hedge: Option<Arc<Hedge>>,
    pub policy: Arc<Policy>,
    /// Where the configuration says so: `edge.toml:41`.
    pub rule: String,
}

/// All services of a node.
#[derive(Debug, Default)]
pub struct Services {
    by_host: HashMap<String, Vec<Arc<Service>>>,
    any_host: Vec<Arc<Service>>,
    all: Vec<Arc<Service>>,
    clients: Rules,
}

impl Services {
    pub fn new(services: Vec<Service>) -> Self {
        let mut found = Self::default();
        for service in services.into_iter().map(Arc::new) {
            if service.hosts.is_empty() {
                found.any_host.push(Arc::clone(&service));
            }
            for host in &service.hosts {
                found.by_host.entry(host.clone()).or_default().push(Arc::clone(&service));
            }
            found.all.push(service);
        }
        let longest_first = |list: &mut Vec<Arc<Service>>| {
            list.sort_by_key(|service| std::cmp::Reverse(service.path_prefix.len()));
        };
        found.by_host.values_mut().for_each(longest_first);
        longest_first(&mut found.any_host);
        found
    }

    /// The service of a request. `host` is lower case and without port. Services of the very
    /// host come before those of every host.
    pub fn find(&self, host: &str, path: &str) -> Option<&Arc<Service>> {
        let of = |list: &'_ Vec<Arc<Service>>| {
            list.iter().position(|service| under(path, &service.path_prefix))
        };
        if let Some(list) = self.by_host.get(host)
            && let Some(at) = of(list)
        {
            return list.get(at);
        }
        of(&self.any_host).and_then(|at| self.any_host.get(at))
    }

    pub fn all(&self) -> &[Arc<Service>] {
        &self.all
    }

    /// The same for clients by these rules.
    #[must_use]
    pub fn with_clients(self, clients: Rules) -> Self {
        Self { clients, ..self }
    }

    /// Who a client is.
    pub fn clients(&self) -> &Rules {
        &self.clients
    }
}

fn under(path: &str, prefix: &str) -> bool {
    path.starts_with(prefix) || path == prefix.trim_end_matches('/')
}

impl Service {
    /// Header rules of the service, on a response.
    pub fn shape(&self, headers: &mut HeaderMap) {
        // For caches only, and those behind a proxy may be caches too.
        if self.preset == Preset::Media {
            TAGS.iter().for_each(|name| drop(headers.remove(name)));
        }
        for name in &self.remove_headers {
            headers.remove(name);
        }
        for (name, value) in &self.set_headers {
            headers.insert(name, value.clone());
        }
    }

    /// The path as the upstream is asked for it.
    pub fn upstream_path<'a>(&self, path: &'a str) -> std::borrow::Cow<'a, str> {
        stripped(path, self.strip_prefix.as_deref().unwrap_or_default())
    }
}

/// `path` without `prefix`, still beginning with `/`. No slash more is taken off: `/vod//a` is
/// another object than `/vod/a`, as it has another key here.
fn stripped<'a>(path: &'a str, prefix: &str) -> std::borrow::Cow<'a, str> {
    match path.strip_prefix(prefix.trim_end_matches('/')) {
        Some(rest) if rest.starts_with('/') => rest.into(),
        Some(rest) => format!("/{rest}").into(),
        None => path.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::stripped;

    #[test]
    fn a_prefix_is_taken_off_and_nothing_more() {
        let check =
            |path: &str, prefix: &str, asked: &str| assert_eq!(stripped(path, prefix), asked);
        check("/vod/a/b", "/vod/", "/a/b");
        check("/vod/a/b", "/vod", "/a/b");
        check("/vod/a/b", "", "/vod/a/b");
        check("/vod/a/b", "/", "/vod/a/b");
        check("/vod//a/b", "/vod/", "//a/b");
        check("/vod/", "/vod/", "/");
        check("/vod", "/vod/", "/");
    }
}
