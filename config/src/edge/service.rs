//! What an edge serves under which name.

use std::{path::PathBuf, time::Duration};

/// How strictly a service treats requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preset {
    /// Strict key, allow-listed headers, GET, HEAD and OPTIONS.
    Media,
    /// Transparent, every method.
    Proxy,
}

/// One service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Required, unique.
    pub id: String,
    /// Line of its table in the configuration, for whoever explains a decision.
    pub line: usize,
    /// The file of that line.
    pub file: PathBuf,
    /// Lower case, without port. Default: every host.
    pub hosts: Vec<String>,
    /// Starts with `/`. Default `/`. No two services share a host and a prefix.
    pub path_prefix: String,
    /// Taken off before the upstream is asked; `path_prefix` starts with it. Default: nothing.
    pub strip_prefix: Option<String>,
    /// Required.
    pub preset: Preset,
    /// Ids of upstreams, at least one, in order; all of them exist.
    pub upstreams: Vec<String>,
    /// Query keys that name different objects. Default: none. `proxy` keeps the whole query
    /// and allows none here.
    pub query_keys: Vec<String>,
    /// Freshness of a good response that states none. Default 60 s for media, none for proxy.
    pub default_ttl: Duration,
    /// The same for 404 and 410. Default 1 s for media, none for proxy.
    pub negative_ttl: Duration,
    /// For how long past its freshness an object stands in while no upstream can be reached.
    /// Default 1 h.
    pub stale_if_error: Duration,
    /// Store responses that set cookies, and hand the cookies to everybody. Default false.
    pub store_set_cookie: bool,
    /// Ask the second upstream too where the first takes long. Default false.
    pub hedge: bool,
    /// Send `Server-Timing`. Default false.
    pub server_timing: bool,
    /// `[service.cors]`. Default: no CORS headers.
    pub cors: Option<Cors>,
    /// `[service.token]`. Default: no token asked for.
    pub token: Option<TokenRule>,
    /// `[service.response_headers]`
    pub response_headers: HeaderRules,
}

/// Who may read a service from another site's script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cors {
    /// Origins as browsers send them, or `*` alone.
    pub origins: Vec<String>,
    /// For how long a browser may keep a preflight's answer. Default 2 h.
    pub max_age: Duration,
}

/// Which playback tokens a service takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRule {
    /// Whether a request without a token is refused. Default true.
    pub required: bool,
    /// A token's `aud` must be this. Default: the service's id.
    pub audience: String,
    /// Public keys; the file was there and readable.
    pub jwks: PathBuf,
}

/// Changes to the headers of every response of a service. Names are lower case.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HeaderRules {
    /// Set, replacing what the upstream sent; in the order of names.
    pub set: Vec<(String, String)>,
    /// Removed.
    pub remove: Vec<String>,
}
