//! Whether the ports of the configuration are those of this process.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use futures::future::join_all;
use tokio::{net::TcpStream, time::timeout};
use weir_config::edge::EdgeConfig;
use weir_config_admin::{Check, Finding};

/// The kernel answers for a listener whose backlog has room, at once.
const LIMIT: Duration = Duration::from_millis(1500);

/// One check of each address. Port 0 is any free one, which only the log tells.
pub(super) async fn ports(config: &EdgeConfig) -> Vec<Check> {
    let listen = &config.listen;
    let https = listen.https.iter().map(|address| (*address, "https"));
    let http = listen.http.iter().map(|address| (*address, "http"));
    let admin = config.admin.listen.iter().map(|address| (*address, "management"));
    let all: Vec<_> = https.chain(http).chain(admin).filter(|(at, _)| at.port() != 0).collect();
    let known = ["/proc/self/net/udp", "/proc/self/net/udp6"];
    let udp: String = known.iter().filter_map(|path| fs::read_to_string(path).ok()).collect();
    let looks = all.into_iter().map(async |(address, kind)| {
        let near = near(address);
        let tcp = match timeout(LIMIT, TcpStream::connect(near)).await {
            Ok(Ok(_)) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some("its backlog is full: the workers accept nothing".to_owned()),
        };
        let quic = (kind == "https" && listen.http3).then(|| udp_is_bound(&udp, address.port()));
        judged(address, kind, tcp, quic)
    });
    join_all(looks).await
}

/// How an address that is listened on is reached from this host.
pub(in crate::admin) fn near(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// `/proc/net/udp`: a head, and a line for each socket whose second word is its address and port,
/// in hexadecimal digits.
fn udp_is_bound(table: &str, port: u16) -> bool {
    let port_of = |line: &str| {
        let local = line.split_ascii_whitespace().nth(1)?;
        u16::from_str_radix(local.rsplit_once(':')?.1, 16).ok()
    };
    table.lines().any(|line| port_of(line) == Some(port))
}

fn judged(address: SocketAddr, kind: &str, tcp: Option<String>, quic: Option<bool>) -> Check {
    let check = |finding, what: &str| Check::new(format!("port {address}"), finding, what);
    let next = format!("ss -lntup | grep {}, and the log of the server", address.port());
    match (tcp, quic) {
        (Some(why), _) => {
            check(Finding::Fail, &format!("{kind} is not answered")).why(why).next(next)
        }
        (None, Some(false)) => check(Finding::Fail, "https is answered, HTTP/3 is not bound")
            .why("no UDP socket of this host has that port")
            .next(next),
        (None, Some(true)) => check(Finding::Ok, "https and HTTP/3 are bound"),
        (None, None) => check(Finding::Ok, &format!("{kind} is bound")),
    }
}

#[cfg(test)]
mod tests {
    use super::{Finding, judged, near, udp_is_bound};

    #[test]
    fn tables_of_sockets() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue\n\
                     1: 0100007F:20FB 00000000:0000 07 00000000:00000000\n\
                     2: 00000000000000000000000001000000:01BB 0000:0000 07\n\nx\n3: y z\n";
        let check = |port, expected| assert_eq!(udp_is_bound(table, port), expected, "{port}");
        check(8443, true);
        check(443, true);
        check(80, false);
        check(0, false);
    }

    #[test]
    fn addresses_of_all_interfaces_are_reached_here() {
        let check = |given: &str, expected: &str| {
            assert_eq!(near(given.parse().unwrap()), expected.parse().unwrap());
        };
        check("0.0.0.0:80", "127.0.0.1:80");
        check("[::]:80", "[::1]:80");
        check("192.0.2.1:80", "192.0.2.1:80");
    }

    #[test]
    fn what_is_said_of_them() {
        let check = |tcp: Option<&str>, quic, finding, what: &str| {
            let address = "0.0.0.0:443".parse().unwrap();
            let found = judged(address, "https", tcp.map(str::to_owned), quic);
            assert_eq!((found.finding, found.what.as_str()), (finding, what));
        };
        check(None, Some(true), Finding::Ok, "https and HTTP/3 are bound");
        check(None, None, Finding::Ok, "https is bound");
        check(None, Some(false), Finding::Fail, "https is answered, HTTP/3 is not bound");
        check(Some("refused"), Some(true), Finding::Fail, "https is not answered");
    }
}
