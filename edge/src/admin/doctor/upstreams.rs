//! Whether upstreams can be reached from here, by new connections.

use std::time::Duration;

use weir_config::edge::{Upstream, UpstreamKind};
use weir_config_admin::{Check, Finding};
use weir_edge_transport::connect::{Connector, DialError, ProbeError, Reached, Target};

use super::own::{DAY_S, SOON_S};
use crate::judge::{chain, span};

pub(super) async fn check(
    connector: &Connector,
    upstream: &Upstream,
    limit: Duration,
    now: u64,
) -> Check {
    let target = target(&upstream.kind);
    let reached = connector.probe(&target, limit).await;
    judged(&upstream.id, &target, reached, now)
}

/// Where fills connect to.
fn target(kind: &UpstreamKind) -> Target {
    let (url, bucket, region) = match kind {
        UpstreamKind::Http(http) => (Some(&http.url), None, ""),
        UpstreamKind::S3(s3) => {
            let bucket = (!s3.path_style).then_some(s3.bucket.as_str());
            (s3.endpoint.as_ref(), bucket, s3.region.as_str())
        }
    };
    let (tls, host, port) = match url {
        Some(url) => {
            let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
            let tls = url.scheme() == "https";
            (tls, host, url.port_or_known_default().unwrap_or(if tls { 443 } else { 80 }))
        }
        None => (true, format!("s3.{region}.amazonaws.com"), 443),
    };
    let host = bucket.map_or_else(|| host.clone(), |bucket| format!("{bucket}.{host}"));
    Target { tls, host, port }
}

fn judged(id: &str, target: &Target, reached: Result<Reached, ProbeError>, now: u64) -> Check {
    let check = |finding, what: String| Check::new(format!("upstream {id}"), finding, what);
    let reached = match reached {
        Ok(reached) => reached,
        Err(error) => {
            let next = match &error {
                ProbeError::Dial(error) => advice(error, target),
                ProbeError::Late { .. } => format!("ping {}, then look at firewalls", target.host),
            };
            return check(Finding::Fail, format!("{target} cannot be reached"))
                .why(chain(&error))
                .next(next);
        }
    };
    let ms = |time: Duration| format!("{:.1} ms", time.as_secs_f64() * 1e3);
    let addresses = if reached.addresses == 1 { "address" } else { "addresses" };
    let mut what = format!(
        "{target}: {} {addresses} in {}, TCP in {}",
        reached.addresses,
        ms(reached.resolved),
        ms(reached.connected)
    );
    let Some(secured) = reached.secured else { return check(Finding::Ok, what) };
    what.push_str(&format!(", TLS in {}", ms(secured.took)));
    let Some(validity) = secured.validity else { return check(Finding::Ok, what) };
    // One that has expired already was refused by the handshake.
    let left = validity.not_after.saturating_sub(now);
    what.push_str(&format!(", certificate good for {}", span(left)));
    if left < SOON_S {
        return check(Finding::Warn, what)
            .why(format!("certificates are renewed {} days before their end", SOON_S / DAY_S))
            .next("whoever runs that server has to renew it");
    }
    check(Finding::Ok, what)
}

fn advice(error: &DialError, target: &Target) -> String {
    let Target { host, port, .. } = target;
    match error {
        DialError::Name(_) => "cachectl config show upstream".to_owned(),
        DialError::Resolve { .. } | DialError::NoAddress(_) => {
            format!("getent ahosts {host}, and look at /etc/resolv.conf")
        }
        DialError::Tcp { .. } => {
            format!("is a server running there? curl -v telnet://{host}:{port}")
        }
        DialError::Tls { .. } => {
            format!("openssl s_client -connect {host}:{port} -servername {host}")
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use weir_config::edge::EdgeConfig;
    use weir_edge_transport::{connect::Secured, tls::Validity};

    use super::*;

    const NOW: u64 = 1_800_000_000;

    #[test]
    fn targets() {
        let check = |told: &str, expected: &str| {
            let text = format!(
                "[node]\nname = \"e\"\n[listen]\nhttp = [\"127.0.0.1:0\"]\n\
                 [[upstream]]\nid = \"u\"\n{told}\n\
                 [[service]]\nid = \"s\"\npreset = \"media\"\nupstreams = [\"u\"]\n"
            );
            let config = EdgeConfig::parse("edge.toml", &text).unwrap();
            assert_eq!(target(&config.upstreams[0].kind).to_string(), expected);
        };
        check("kind = \"http\"\nurl = \"http://o.example/a\"", "http://o.example:80");
        check("kind = \"http\"\nurl = \"https://[::1]:8443\"", "https://[::1]:8443");
        let s3 = "kind = \"s3\"\nbucket = \"films\"\nregion = \"eu-1\"\n";
        check(s3, "https://films.s3.eu-1.amazonaws.com:443");
        check(&format!("{s3}path_style = true"), "https://s3.eu-1.amazonaws.com:443");
        check(&format!("{s3}endpoint = \"http://127.0.0.1:9000\""), "http://127.0.0.1:9000");
    }

    fn reached(not_after: u64) -> Reached {
        let ms = Duration::from_millis;
        let validity = Some(Validity { not_before: 0, not_after });
        let secured = Some(Secured { took: ms(12), validity });
        Reached { addresses: 2, resolved: ms(1), peer: None, connected: ms(3), secured }
    }

    #[test]
    fn what_is_said_of_them() {
        let target = Target { tls: true, host: "o.example".into(), port: 443 };
        let check = |reached, finding, what: &str, next: Option<&str>| {
            let found = judged("film", &target, reached, NOW);
            assert_eq!(
                (found.name.as_str(), found.finding, found.what.as_str(), found.next.as_deref()),
                ("upstream film", finding, what, next)
            );
        };
        let told = "https://o.example:443: 2 addresses in 1.0 ms, TCP in 3.0 ms, TLS in 12.0 ms, \
                    certificate good for";
        let renew = Some("whoever runs that server has to renew it");
        check(Ok(reached(NOW + 90 * DAY_S)), Finding::Ok, &format!("{told} 90 days"), None);
        check(Ok(reached(NOW + 3 * DAY_S)), Finding::Warn, &format!("{told} 3 days"), renew);
        let plain = Reached { secured: None, addresses: 1, ..reached(0) };
        let told = "https://o.example:443: 1 address in 1.0 ms, TCP in 3.0 ms";
        check(Ok(plain), Finding::Ok, told, None);
        let broken = || io::Error::other("broken");
        let failed = |error: DialError, next: &str| {
            let what = "https://o.example:443 cannot be reached";
            check(Err(error.into()), Finding::Fail, what, Some(next));
        };
        failed(
            DialError::Resolve { host: "o.example".into(), source: broken() },
            "getent ahosts o.example, and look at /etc/resolv.conf",
        );
        failed(
            DialError::Tcp { address: "192.0.2.1:443".parse().unwrap(), source: broken() },
            "is a server running there? curl -v telnet://o.example:443",
        );
        failed(
            DialError::Tls { host: "o.example".into(), source: broken() },
            "openssl s_client -connect o.example:443 -servername o.example",
        );
    }
}
