//! The examples of this repository load, and say what they seem to say.

use std::{fs, path::Path, time::Duration};

use weir_config::{
    Level, LogFormat,
    edge::{Credentials, EdgeConfig, Preset, TlsVersion, UpstreamKind},
    origin::{Allow, OriginConfig},
    steering::{Role, SteeringConfig},
};
use weir_config_units::ByteSize;

/// A folder with an example and the files it names.
fn folder(name: &str, files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(name);
    fs::copy(example, folder.path().join(name)).expect("the example is there");
    for (file, text) in files {
        let path = folder.path().join(file);
        fs::create_dir_all(path.parent().expect("it has a folder")).expect("a folder");
        fs::write(path, text).expect("a file");
    }
    folder
}

#[test]
fn edge() {
    let folder = folder(
        "edge.toml",
        &[
            ("tls/edge.pem", "chain"),
            ("tls/edge.key", "key"),
            ("keys/jwks.json", "{}"),
            ("s3-credentials.toml", "access_key = \"edge\"\nsecret_key = \"hunter2hunter2\"\n"),
        ],
    );
    let at = |path: &str| folder.path().join(path);
    let config = EdgeConfig::load(at("edge.toml")).unwrap();
    assert_eq!((&*config.node.name, &*config.node.site), ("edge-1", "local"));
    assert_eq!(config.node.workers.map(usize::from), Some(2));
    assert_eq!(config.listen.https.len(), 2);
    assert_eq!(config.listen.http, ["127.0.0.1:8080".parse().unwrap()]);
    assert!(config.listen.http3);
    assert_eq!(config.listen.alt_svc_max_age, Duration::from_secs(86_400));
    assert_eq!(config.admin.socket, at("run/admin.sock"));
    assert_eq!(config.tls.min_version, TlsVersion::Tls13);
    assert_eq!(config.tls.certificates[0].chain, at("tls/edge.pem"));
    assert_eq!(config.cache.memory, ByteSize::mib(512));
    assert_eq!(config.cache.disks[0].size, ByteSize::gib(10));
    let parts = config.cache.parts(&config.fill).unwrap();
    assert_eq!(
        (parts.fills, parts.disk_buffers, parts.objects),
        (ByteSize::mib(64), ByteSize::mib(64), 167_772)
    );
    let all = [parts.fills, parts.disk_buffers, parts.metadata, parts.ram];
    assert_eq!(all.map(ByteSize::as_u64).iter().sum::<u64>(), config.cache.memory.as_u64());
    assert_eq!((config.log.level, config.log.format), (Level::Info, LogFormat::Json));
    assert_eq!(config.log.access, Some(at("log/access.jsonl")));
    let UpstreamKind::S3(s3) = &config.upstream("s3-main").unwrap().kind else { panic!("S3") };
    assert!(s3.path_style);
    let Credentials::Static { access_key, secret_key } = &s3.credentials else { panic!("static") };
    assert_eq!((&**access_key, secret_key.expose()), ("edge", "hunter2hunter2"));
    let film = &config.services[0];
    assert_eq!(film.hosts, ["cdn.localhost", "localhost", "127.0.0.1"]);
    assert_eq!((film.preset, &*film.path_prefix), (Preset::Media, "/vod/"));
    assert_eq!(film.strip_prefix.as_deref(), Some("/vod/"));
    assert_eq!(film.cors.as_ref().unwrap().origins, ["*"]);
    let token = film.token.as_ref().unwrap();
    assert!(token.required && token.audience == "film" && token.jwks == at("keys/jwks.json"));
    let headers = &film.response_headers;
    assert_eq!(headers.set, [("x-content-type-options".into(), "nosniff".into())]);
    assert_eq!(headers.remove, ["x-amz-request-id"]);
    let site = &config.services[1];
    assert_eq!((site.preset, site.hosts.len(), &site.token), (Preset::Proxy, 0, &None));
    assert!(!format!("{config:?}").contains("hunter2"), "secrets are not printed");
}

#[test]
fn origin() {
    let folder = folder(
        "origin.toml",
        &[
            ("keys/edge.secret", "0123456789abcdef\n"),
            ("keys/packager.secret", "fedcba9876543210\n"),
        ],
    );
    let config = OriginConfig::load(folder.path().join("origin.toml")).unwrap();
    assert_eq!(config.listen.http, ["127.0.0.1:9000".parse().unwrap()]);
    assert_eq!(config.store.path, folder.path().join("store"));
    assert_eq!(config.store.buckets, ["films"]);
    assert_eq!(config.shutdown.deadline, Duration::from_secs(10));
    let [edge, packager] = &config.access_keys[..] else { panic!("two keys") };
    assert_eq!((edge.allow, packager.allow), (Allow::Read, Allow::Write));
    assert_eq!(edge.secret.expose(), "0123456789abcdef");
    assert!(!format!("{config:?}").contains("0123456789abcdef"), "secrets are not printed");
}

#[test]
fn steering() {
    let folder = folder("steering.toml", &[]);
    let at = |path: &str| folder.path().join(path);
    let config = SteeringConfig::load(at("steering.toml")).unwrap();
    assert_eq!(config.steering.roles, [Role::Fleet]);
    assert_eq!(config.listen.nodes, ["127.0.0.1:8441".parse().unwrap()]);
    assert_eq!(config.listen.names, ["localhost", "127.0.0.1"]);
    assert_eq!(config.admin.socket, at("run/steering.sock"));
    assert_eq!((&config.store.sqlite, config.store.postgres), (&at("state/steering.db"), None));
    assert_eq!(config.store.authority, at("state/authority"));
    assert_eq!(config.fleet.certificate, Duration::from_secs(7 * 86_400));
}
