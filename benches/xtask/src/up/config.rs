//! The configuration files of a run, as `config/examples/` shows them.

use std::{net::SocketAddr, path::Path};

use serde_json::Value;

use crate::up::plan::Edge;

/// The bucket of films.
pub(super) const FILMS: &str = "films";
/// The bucket of the page and the players.
pub(super) const PAGES: &str = "pages";
/// The region that signatures name.
pub(super) const REGION: &str = "local";
/// What a token must be for.
pub(super) const AUDIENCE: &str = "film";
/// Where films are under an edge's URL.
pub(super) const PREFIX: &str = "/vod/";

/// TOML's basic strings are JSON's, but for the delete character, which JSON leaves as it is.
fn text(value: impl Into<String>) -> String {
    Value::String(value.into()).to_string().replace('\u{7f}', "\\u007f")
}

fn path(value: &Path) -> String {
    text(value.to_string_lossy())
}

fn list(addresses: &[SocketAddr]) -> String {
    let all: Vec<String> = addresses.iter().map(|a| text(a.to_string())).collect();
    format!("[{}]", all.join(", "))
}

/// `origin.toml`, for a folder that holds `keys/`.
pub(super) fn origin(s3: SocketAddr, admin: SocketAddr) -> String {
    format!(
        r#"# Written by `cargo xtask up`, anew at each start.
[listen]
http = {s3}

[admin]
listen = {admin}

[store]
path = "store"
buckets = ["{FILMS}", "{PAGES}"]
region = "{REGION}"

[log]
level = "info"
format = "json"
access = "log/access.jsonl"

[shutdown]
deadline = "5s"

[[access_key]]
id = "edge"
secret_file = "keys/edge.secret"
allow = "read"
buckets = ["{FILMS}", "{PAGES}"]

[[access_key]]
id = "packager"
secret_file = "keys/packager.secret"
allow = "write"
buckets = ["{FILMS}", "{PAGES}"]
"#,
        s3 = list(&[s3]),
        admin = text(admin.to_string()),
    )
}

/// What all edges of a run share.
#[derive(Debug)]
pub(super) struct Shared<'a> {
    /// The embedded S3 server.
    pub(super) s3: SocketAddr,
    /// Certificate chain.
    pub(super) chain: &'a Path,
    /// Its key.
    pub(super) key: &'a Path,
    /// Public keys of tokens.
    pub(super) jwks: &'a Path,
    /// Access key of the S3 server.
    pub(super) credentials: &'a Path,
}

/// `edge.toml` for one edge.
pub(super) fn edge(edge: &Edge, shared: &Shared<'_>) -> String {
    let upstream = |id: &str, bucket: &str| {
        format!(
            r#"
[[upstream]]
id = "{id}"
kind = "s3"
endpoint = "http://{s3}"
bucket = "{bucket}"
region = "{REGION}"
path_style = true
credentials = {{ file = {credentials} }}
"#,
            s3 = shared.s3,
            credentials = path(shared.credentials),
        )
    };
    let http = match edge.http.is_empty() {
        true => String::new(),
        false => format!("http = {}\n", list(&edge.http)),
    };
    format!(
        r#"# Written by `cargo xtask up`, anew at each start.
[node]
name = "{name}"
site = "local"

[listen]
https = {https}
{http}http3 = true

[admin]
socket = "run/admin.sock"
listen = {admin}

[tls]
keys = "state/transport-keys"

[[tls.certificate]]
chain = {chain}
key = {key}

[cache]
memory = "256 MiB"
# A film that is played once shall come from the disk after a restart.
admission = "always"
state = "state/metadata.redb"

[[cache.disk]]
path = "cache/disk0"
size = "2 GiB"

[fill]
concurrency = 64
deadline = "2s"
resumes = 3

[log]
level = "info"
format = "json"
access = "log/access.jsonl"

[shutdown]
deadline = "5s"
{films}{pages}
[[service]]
id = "film"
path_prefix = "{PREFIX}"
strip_prefix = "{PREFIX}"
preset = "media"
upstreams = ["films"]

[service.cors]
origins = ["*"]
max_age = "2h"

[service.token]
required = true
audience = "{AUDIENCE}"
jwks = {jwks}

# The page of another edge shows what this one says.
[service.response_headers.set]
timing-allow-origin = "*"
access-control-expose-headers = "cache-status, content-length, content-range, age"

[[service]]
id = "page"
path_prefix = "/"
strip_prefix = "/"
preset = "media"
upstreams = ["pages"]

[service.response_headers.set]
x-content-type-options = "nosniff"
referrer-policy = "no-referrer"
"#,
        name = edge.name,
        https = list(&edge.https),
        admin = text(edge.admin.to_string()),
        chain = path(shared.chain),
        key = path(shared.key),
        jwks = path(shared.jwks),
        films = upstream("films", FILMS),
        pages = upstream("pages", PAGES),
    )
}

/// The file that an upstream's `credentials` names.
pub(super) fn credentials(access_key: &str, secret_key: &str) -> String {
    format!("access_key = {}\nsecret_key = {}\n", text(access_key), text(secret_key))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use weir_config::{edge::EdgeConfig, origin::OriginConfig};

    use super::*;
    use crate::files;

    /// The servers' own reader accepts what is written here, whatever the directory is called.
    #[test]
    fn the_servers_accept_them() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let home = dir.path().join("a \"quoted\" place");
        let file = |name: &str, text: &str| {
            let path = home.join(name);
            files::write_secret(&path, text.as_bytes()).expect("writes");
            path
        };
        for name in ["keys/edge.secret", "keys/packager.secret"] {
            file(name, "0123456789abcdef0123456789abcdef01234567");
        }
        let address = |port: u16| SocketAddr::from(([127, 0, 0, 1], port));
        let toml = file("origin.toml", &origin(address(9_000), address(9_901)));
        let read = OriginConfig::load(&toml).expect("a whole configuration");
        assert_eq!(read.listen.http, [address(9_000)]);

        let shared = Shared {
            s3: address(9_000),
            chain: &file("tls/edge.pem", "-"),
            key: &file("tls/edge.key", "-"),
            jwks: &file("keys/jwks.json", "{\"keys\": []}"),
            credentials: &file("keys/s3.toml", &credentials("edge", "a\\b\"c'd")),
        };
        for http in [vec![], vec![address(8_080)]] {
            let one = Edge {
                name: "edge-1".into(),
                https: vec![address(8_443)],
                http: http.clone(),
                admin: address(9_911),
                dir: home.clone(),
            };
            let toml = file("edge.toml", &edge(&one, &shared));
            let shown = fs::read_to_string(&toml).expect("reads");
            let read = EdgeConfig::load(&toml).unwrap_or_else(|why| panic!("{why}\n{shown}"));
            assert_eq!((read.listen.http, read.listen.http3), (http, true));
            assert_eq!(read.services.len(), 2);
        }
    }
}
