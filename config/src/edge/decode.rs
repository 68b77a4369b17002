//! `edge.toml`, section by section.

mod access;
mod clients;
mod limits;
mod overload;
mod service;
mod traces;
mod upstream;

use std::{
    num::{NonZeroU16, NonZeroUsize},
    path::{Path, PathBuf},
    time::Duration,
};

use weir_config_units::ByteSize;

use super::{
    Admin, Admission, Cache, Certificate, Clients, Disk, EdgeConfig, Fill, Listen, Node, Steering,
    Tls, TlsVersion,
};
use crate::{
    common::{self, Address, days, duration},
    judge::Judge,
    sheet::Finding,
    table::Table,
    value::{Value, flawed},
};

/// Some hundred drives are more than a host takes.
const DISKS_MAX: usize = 64;

pub(super) fn edge(root: &Table<'_>, judge: &dyn Judge) -> Option<EdgeConfig> {
    let node = node(root);
    let (listen, mut bound) = listen(root);
    let admin = admin(root, &mut bound);
    common::no_clash(root, bound.iter());
    // What is not known because of a mistake is taken for absent: no second mistake from it.
    let https = listen.as_ref().is_some_and(|listen| !listen.https.is_empty());
    let tls = tls(root, https, judge);
    let fill = fill(root);
    let cache = cache(root, fill.as_ref());
    let clients = clients::clients(root);
    let overload = overload::overload(root, cache.as_ref());
    let limits = limits::limits(root);
    proxies(root, listen.as_ref(), clients.as_ref());
    let (log, access) = common::log_with(root, access::access);
    let traces = traces::traces(root);
    let steering = steering(root);
    let shutdown = common::shutdown(root);
    let (upstreams, ids) = upstream::upstreams(root);
    let services = service::services(root, &ids, judge);
    Some(EdgeConfig {
        file: root.sheet.file().to_path_buf(),
        node: node?,
        listen: listen?,
        admin: admin?,
        tls: tls?,
        cache: cache?,
        fill: fill?,
        clients: clients?,
        overload: overload?,
        limits: limits?,
        log: log?,
        access: access?,
        traces: traces?,
        steering: steering?,
        shutdown: shutdown?,
        upstreams: upstreams?,
        services: services?,
    })
}

fn node(root: &Table<'_>) -> Option<Node> {
    let table = root.table("node");
    let name = table.required("name", "\"edge-1\"", |v| v.name());
    let site = table.or("site", "\"lim-01\"", "default".to_owned(), |v| v.name());
    let workers = table.optional("workers", "4", |v| {
        let count = usize::try_from(v.integer(1, 1024)?).ok()?;
        NonZeroUsize::new(count)
    });
    table.finish();
    Some(Node { name: name?, site: site?, workers: workers? })
}

fn listen(root: &Table<'_>) -> (Option<Listen>, Vec<Address>) {
    let table = root.table("listen");
    let https = table.or("https", "[\"0.0.0.0:443\", \"[::]:443\"]", vec![], common::addresses);
    let http = table.or("http", "[\"0.0.0.0:80\"]", vec![], common::addresses);
    let both_empty = |(a, b): (&Vec<_>, &Vec<_>)| a.is_empty() && b.is_empty();
    if https.as_ref().zip(http.as_ref()).is_some_and(both_empty) {
        table.missing("https", "[\"0.0.0.0:443\", \"[::]:443\"]");
    }
    let tls = https.as_ref().is_some_and(|https| !https.is_empty());
    let http3 = table.or("http3", "true", tls, |v| match v.boolean()? {
        // QUIC is TLS: it shares the addresses and certificates of `https`.
        true if !tls && https.is_some() => v.refuse(
            Finding::new("`listen.http3` needs `listen.https`")
                .help("HTTP/3 is served on the UDP ports of those addresses"),
        ),
        wanted => Some(wanted),
    });
    let served = |address: &Address| {
        let mut all = https.iter().chain(&http).flatten();
        all.any(|other| other.address == address.address)
    };
    let proxied = table.or("proxy_protocol", "[\"10.0.0.5:443\"]", vec![], |v| {
        v.list(|v| match common::address(v)? {
            known if https.is_none() || http.is_none() || served(&known) => Some(known),
            unknown => v.refuse(
                Finding::new(format!("`{}`: {} is not served", v.path, unknown.address))
                    .help("it names one of the addresses of `listen.https` and `listen.http`"),
            ),
        })
    });
    let max_age = table.or("alt_svc_max_age", "\"24h\"", days(1), |v| {
        duration(v, Duration::from_secs(1), days(365))
    });
    table.finish();
    let plain = |list: &[Address]| list.iter().map(|bound| bound.address).collect();
    let listen = (|| {
        Some(Listen {
            https: plain(https.as_deref()?),
            http: plain(http.as_deref()?),
            http3: http3?,
            proxy_protocol: plain(proxied.as_deref()?),
            alt_svc_max_age: max_age?,
        })
    })();
    let bound = https.into_iter().chain(http).flatten().collect();
    (listen, bound)
}

/// Where proxies alone may come, somebody has to be one.
fn proxies(root: &Table<'_>, listen: Option<&Listen>, clients: Option<&Clients>) {
    let (Some(listen), Some(clients)) = (listen, clients) else { return };
    if listen.proxy_protocol.is_empty() || !clients.trusted_forwarders.is_empty() {
        return;
    }
    let finding = Finding::new(
        "`listen.proxy_protocol` needs `clients.trusted_forwarders`: nobody could connect there",
    );
    let table = root.table("listen");
    if let Some(value) = table.value("proxy_protocol", "[\"10.0.0.5:443\"]") {
        value.wrong(finding.example("[clients] trusted_forwarders = [\"10.0.0.0/8\"]"));
    }
}

fn admin(root: &Table<'_>, bound: &mut Vec<Address>) -> Option<Admin> {
    let table = root.table("admin");
    let default = PathBuf::from("/run/weir/admin.sock");
    let socket = table.or("socket", "\"/run/weir/admin.sock\"", default, |v| {
        let path = v.path()?;
        // unix(7): sun_path holds 108 bytes with its NUL.
        if path.as_os_str().len() > 107 {
            return v.refuse(
                Finding::new(format!(
                    "`admin.socket` is longer than 107 bytes: {}",
                    path.display()
                ))
                .help("the system takes no longer name for a socket"),
            );
        }
        Some(path)
    });
    let listen = table.optional("listen", "\"127.0.0.1:9900\"", common::address);
    let names = "[\"edge-1.ops.example\"]";
    let hosts = table.or("hosts", names, Vec::new(), |v| v.list(Value::host));
    table.finish();
    let listen = listen?.map(|found| {
        let address = found.address;
        bound.push(found);
        address
    });
    Some(Admin { socket: socket?, listen, hosts: hosts? })
}

fn tls(root: &Table<'_>, https: bool, judge: &dyn Judge) -> Option<Tls> {
    let table = root.table("tls");
    let versions = [("1.2", TlsVersion::Tls12), ("1.3", TlsVersion::Tls13)];
    let min_version =
        table.or("min_version", "\"1.3\"", TlsVersion::Tls13, |v| v.choice(&versions));
    let default = root.sheet.resolve("state/transport-keys");
    let keys = table.or("keys", "\"state/transport-keys\"", default.clone(), |v| {
        v.judged(v.path()?, |file| judge.transport_keys(file))
    });
    // The file that stands at the default's place can be a bad one, too.
    if https
        && !table.has("keys")
        && let Some(flaw) = judge.transport_keys(&default)
    {
        table.wrong(flawed("tls.keys", flaw));
    }
    let written = table.tables("certificate");
    let certificates: Option<Vec<_>> = {
        let found: Vec<_> = written.iter().map(|table| certificate(table, judge)).collect();
        found.into_iter().collect()
    };
    if https && !table.has("certificate") {
        let example =
            Finding::new("`listen.https` needs a certificate: `tls.certificate` is missing")
                .example("[[tls.certificate]] chain = \"tls/edge.pem\" key = \"tls/edge.key\"");
        table.wrong(example);
    }
    table.finish();
    Some(Tls { min_version: min_version?, keys: keys?, certificates: certificates? })
}

fn certificate(table: &Table<'_>, judge: &dyn Judge) -> Option<Certificate> {
    let chain = table
        .required("chain", "\"tls/edge.pem\"", |v| v.judged(v.file()?, |file| judge.chain(file)));
    let sound_key = |v: &Value<'_>| v.judged(v.file()?, |file| judge.private_key(file));
    let key = table.required("key", "\"tls/edge.key\"", |v| {
        let key = sound_key(v)?;
        match &chain {
            Some(chain) => v.judged(key, |key| judge.pair(chain, key)),
            None => Some(key),
        }
    });
    table.finish();
    Some(Certificate { chain: chain?, key: key? })
}

fn steering(root: &Table<'_>) -> Option<Steering> {
    let table = root.table("steering");
    let state = table.or("state", "\"state/steering\"", None, |v| v.path().map(Some));
    let serves = table.or("serves", "[\"https://edge-1.example:443\"]", Vec::new(), |v| {
        let all = v.list(|v| {
            let text = v.some_text()?;
            let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
            let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._:[]".contains(&b);
            if rest.is_some_and(|rest| !rest.is_empty() && rest.bytes().all(plain)) {
                return Some(text.to_owned());
            }
            let finding = Finding::new(format!("`{}` is no base of URLs: \"{text}\"", v.path));
            v.refuse(finding.help("scheme, host and perhaps a port, without a slash at the end"))
        })?;
        if all.len() > 16 {
            return v.refuse(Finding::new("`steering.serves` has at most 16 bases"));
        }
        Some(all)
    });
    table.finish();
    Some(Steering { state: state?, serves: serves? })
}

fn fill(root: &Table<'_>) -> Option<Fill> {
    let table = root.table("fill");
    let default = NonZeroU16::new(64).expect("64 is not 0");
    let concurrency = table.or("concurrency", "64", default, |v| {
        NonZeroU16::new(u16::try_from(v.integer(1, 65_535)?).ok()?)
    });
    let deadline = table.or("deadline", "\"2s\"", Duration::from_secs(2), |v| {
        duration(v, Duration::from_millis(10), Duration::from_secs(600))
    });
    let resumes =
        table.or("resumes", "3", 3, |v| v.integer(0, 100).and_then(|n| u32::try_from(n).ok()));
    table.finish();
    Some(Fill { concurrency: concurrency?, deadline: deadline?, resumes: resumes? })
}

fn cache(root: &Table<'_>, fill: Option<&Fill>) -> Option<Cache> {
    let table = root.table("cache");
    let most = ByteSize::bytes(1 << 50);
    let memory = table
        .or("memory", "\"512 MiB\"", ByteSize::mib(512), |v| v.quantity(ByteSize::mib(16), most));
    let objects =
        table.or("objects", "1_000_000", None, |v| v.integer(1_000, 1_000_000_000).map(Some));
    let default = root.sheet.resolve("state/metadata.redb");
    let state = table.or("state", "\"state/metadata.redb\"", default, |v| v.path());
    let choices = [("second-hit", Admission::SecondHit), ("always", Admission::Always)];
    let admission =
        table.or("admission", "\"second-hit\"", Admission::default(), |v| v.choice(&choices));
    let written = table.tables("disk");
    if written.len() > DISKS_MAX {
        let finding = format!("there are {} `[[cache.disk]]`", written.len());
        table.wrong(Finding::new(finding).help(format!("a node has at most {DISKS_MAX}")));
    }
    let disks = disks(&written, state.as_deref());
    table.finish();
    let (memory, objects, state) = (memory?, objects?, state?);
    let cache = Cache { memory, objects, state, admission: admission?, disks: disks? };
    match fill {
        Some(fill) if cache.parts(fill).is_none() => {
            let least = cache.least_memory(fill);
            let fewer =
                if cache.objects.is_some() { "fewer fills or objects" } else { "fewer fills" };
            let finding = Finding::new(format!(
                "`cache.memory` {} is too small for its parts: {}",
                cache.memory,
                cache.shares(fill)
            ))
            .help(format!("at least {least}, or {fewer}"));
            // The default can be too small as well: then no value is there to point at.
            match table.value("memory", "\"512 MiB\"") {
                Some(value) => value.wrong(finding),
                None => table.wrong(finding),
            }
            None
        }
        _ => Some(cache),
    }
}

fn disks(written: &[Table<'_>], state: Option<&Path>) -> Option<Vec<Disk>> {
    let mut seen: Vec<(PathBuf, usize)> = Vec::new();
    let mut disk = |table: &Table<'_>| {
        let most = ByteSize::bytes(1 << 60);
        let path = table.required("path", "\"/var/cache/weir/disk0\"", |v| {
            let path = v.path()?;
            // One store inside another would be emptied with it.
            let inside = |(other, _): &&(PathBuf, usize)| {
                path.starts_with(other) || other.starts_with(&path)
            };
            if let Some((other, at)) = seen.iter().find(inside) {
                let earlier = table.sheet.line_seen_from(*at, v.span.start);
                let same = if *other == path { "is the same folder as" } else { "overlaps" };
                return v.refuse(Finding::new(format!(
                    "`{}` {same} that of the disk at {earlier}: {}",
                    v.path,
                    other.display()
                )));
            }
            if state.is_some_and(|state| state.starts_with(&path)) {
                let what = format!("`{}` holds `cache.state`: {}", v.path, path.display());
                return v.refuse(Finding::new(what).help("a disk has a folder of its own"));
            }
            seen.push((path.clone(), table.at()));
            Some(path)
        });
        let size = table.required("size", "\"100 GiB\"", |v| v.quantity(ByteSize::mib(256), most));
        table.finish();
        Some(Disk { path: path?, size: size? })
    };
    let found: Vec<_> = written.iter().map(&mut disk).collect();
    found.into_iter().collect()
}
