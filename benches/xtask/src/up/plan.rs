//! What `up` is to do: its options, and the addresses, ports and directories that follow.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket},
    path::{Path, PathBuf},
};

use crate::{Failure, args::Args, up::holder};

/// The port of HTTPS and HTTP/3 where `--listen` names none.
pub const HTTPS_PORT: u16 = 8443;
/// The port of plain HTTP.
pub const HTTP_PORT: u16 = 8080;
/// More edges than this on one machine show nothing new.
const MOST_EDGES: usize = 8;

/// What the person asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// `--film`: none is the sample film.
    pub film: Option<PathBuf>,
    /// `--listen`: one edge each; empty is one edge on the loopback addresses.
    pub listen: Vec<SocketAddr>,
    /// `--port`, of HTTPS and HTTP/3 where an address names none.
    pub port: u16,
    /// `--plain-http`.
    pub plain_http: bool,
    /// `--dir`, absolute.
    pub dir: PathBuf,
    /// `--check`.
    pub check: bool,
    /// `--short`: the check as CI runs it.
    pub short: bool,
    /// `--no-build`: programs are taken as they are.
    pub built: bool,
}

/// One edge to start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edge {
    /// `edge-1`, …
    pub name: String,
    /// TLS over TCP, and QUIC.
    pub https: Vec<SocketAddr>,
    /// Plain HTTP; may be empty.
    pub http: Vec<SocketAddr>,
    /// Health and metrics.
    pub admin: SocketAddr,
    /// All of its files.
    pub dir: PathBuf,
}

impl Options {
    /// Reads the options; relative paths start at `here`.
    pub fn read(args: &mut Args, here: &Path) -> Result<Self, Failure> {
        let film = args.value("--film")?.map(|film| here.join(film));
        if let Some(film) = film.as_ref().filter(|film| !film.is_file()) {
            return Err(Failure::new(format!("--film {}: there is no such file", film.display())));
        }
        let port = match args.value("--port")? {
            None => HTTPS_PORT,
            Some(text) => text.parse().ok().filter(|port| *port > 0).ok_or_else(|| {
                Failure::usage(format!("--port: `{text}` is no port, 1 to 65535"))
            })?,
        };
        let listen = match args.value("--listen")? {
            Some(list) => addresses(&list, port)?,
            None => Vec::new(),
        };
        Ok(Self {
            film,
            listen,
            port,
            plain_http: args.flag("--plain-http"),
            dir: here.join(args.value("--dir")?.unwrap_or_else(|| ".weir".to_owned())),
            check: args.flag("--check"),
            short: args.flag("--short"),
            built: args.flag("--no-build"),
        })
    }

    /// The sample film played by itself, in `dir` and on ports that are free.
    pub fn alone(dir: PathBuf, short: bool) -> Result<Self, Failure> {
        let port = Ports::default().loopback()?;
        let (film, listen) = (None, Vec::new());
        Ok(Self { film, listen, port, plain_http: false, dir, check: true, short, built: false })
    }

    /// The edges that follow from the options. Addresses that clients do not see are taken
    /// where they are free.
    pub fn edges(&self, ports: &mut Ports) -> Result<Vec<Edge>, Failure> {
        let mut groups: Vec<Vec<SocketAddr>> = self.listen.iter().map(|a| vec![*a]).collect();
        if groups.is_empty() {
            let v4 = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
            let v6 = SocketAddr::from((Ipv6Addr::LOCALHOST, self.port));
            // Containers are often without IPv6.
            let both = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok();
            groups.push(if both { vec![v4, v6] } else { vec![v4] });
        }
        let mut edges = Vec::new();
        for (at, https) in groups.into_iter().enumerate() {
            let name = format!("edge-{}", at + 1);
            let http = match self.plain_http {
                true => https.iter().map(|a| SocketAddr::new(a.ip(), HTTP_PORT)).collect(),
                false => Vec::new(),
            };
            for address in &https {
                claim(*address, true)?;
            }
            for address in &http {
                claim(*address, false)?;
            }
            let admin = ports.take(9_911 + at as u16)?;
            edges.push(Edge { dir: self.dir.join(&name), name, https, http, admin });
        }
        Ok(edges)
    }
}

impl Edge {
    /// What the certificate must carry for this edge.
    pub fn names(&self) -> Vec<String> {
        self.https.iter().map(|a| a.ip().to_string()).collect()
    }

    /// Where a browser finds it: `https://localhost:8443` or by address.
    pub fn url(&self) -> String {
        let first = self.https[0];
        let loopback = self.https.iter().all(|a| is_default_loopback(a.ip()));
        let host = if loopback { "localhost".to_owned() } else { host(first.ip()) };
        format!("https://{host}:{}", first.port())
    }

    /// The same without TLS, where it is served.
    pub fn plain_url(&self) -> Option<String> {
        let first = self.http.first()?;
        Some(format!("http://{}:{}", host(first.ip()), first.port()))
    }

    /// Where cachectl asks.
    pub fn socket(&self) -> PathBuf {
        self.dir.join("run/admin.sock")
    }

    /// One JSON line a request.
    pub fn access_log(&self) -> PathBuf {
        self.dir.join("log/access.jsonl")
    }
}

fn is_default_loopback(ip: IpAddr) -> bool {
    ip == IpAddr::from(Ipv4Addr::LOCALHOST) || ip == IpAddr::from(Ipv6Addr::LOCALHOST)
}

fn host(ip: IpAddr) -> String {
    if ip.is_ipv6() { format!("[{ip}]") } else { ip.to_string() }
}

/// `A,B`, each an address with or without port.
fn addresses(list: &str, port: u16) -> Result<Vec<SocketAddr>, Failure> {
    let mut found = Vec::new();
    for text in list.split(',').map(str::trim) {
        let address = text
            .parse::<SocketAddr>()
            .or_else(|_| text.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, port)))
            .map_err(|_| {
                Failure::usage(format!(
                    "--listen: `{text}` is no address; write 192.0.2.7, 192.0.2.7:8443 or \
                     [2001:db8::7]:8443, more than one with commas"
                ))
            })?;
        if address.ip().is_unspecified() {
            return Err(Failure::usage(format!(
                "--listen: {} means every address of this machine, but the certificate has to \
                 name them; `hostname -I` lists them",
                address.ip()
            )));
        }
        if address.port() == 0 {
            return Err(Failure::usage(format!("--listen: `{text}` needs a port above 0")));
        }
        if found.contains(&address) {
            return Err(Failure::usage(format!("--listen: {address} is named twice")));
        }
        found.push(address);
    }
    if found.len() > MOST_EDGES {
        return Err(Failure::usage(format!("--listen takes at most {MOST_EDGES} addresses")));
    }
    Ok(found)
}

/// Refuses an address that cannot be served now, with whoever holds it.
fn claim(address: SocketAddr, https: bool) -> Result<(), Failure> {
    let explain = |why: std::io::Error, kind: &str| {
        let text = match why.kind() {
            std::io::ErrorKind::AddrInUse => {
                let by = holder::of(address, kind == "UDP");
                let by = by.map_or_else(String::new, |by| format!(" by {by}"));
                let change =
                    if https { "take another with --port" } else { "leave --plain-http out" };
                format!(
                    "{kind} port {} of {} is in use{by}; end that, or {change}",
                    address.port(),
                    address.ip()
                )
            }
            std::io::ErrorKind::AddrNotAvailable => {
                format!("{} is no address of this machine; `hostname -I` lists them", address.ip())
            }
            _ => format!("{kind} {address} cannot be served: {why}"),
        };
        Failure::new(text)
    };
    TcpListener::bind(address).map_err(|why| explain(why, "TCP"))?;
    if https {
        UdpSocket::bind(address).map_err(|why| explain(why, "UDP"))?;
    }
    Ok(())
}

/// Hands out ports of 127.0.0.1 for what only this machine sees. A port is held until it is
/// dropped, so that none is given twice.
#[derive(Debug, Default)]
pub struct Ports {
    held: Vec<TcpListener>,
}

impl Ports {
    /// The preferred port when it is free, else any.
    pub fn take(&mut self, preferred: u16) -> Result<SocketAddr, Failure> {
        let bound = TcpListener::bind((Ipv4Addr::LOCALHOST, preferred))
            .or_else(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)));
        let listener =
            bound.map_err(|why| Failure::new(format!("127.0.0.1 has no free port: {why}")))?;
        let address = listener.local_addr();
        self.held.push(listener);
        address.map_err(|why| Failure::new(format!("a port of 127.0.0.1 is not known: {why}")))
    }

    /// A port that is free for TCP and UDP on every loopback address there is.
    pub fn loopback(&mut self) -> Result<u16, Failure> {
        let v6 = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok();
        for _ in 0..50 {
            let port = self.take(0)?.port();
            let other = (Ipv6Addr::LOCALHOST, port);
            let free = !v6 || (TcpListener::bind(other).is_ok() && UdpSocket::bind(other).is_ok());
            if free && UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
                return Ok(port);
            }
        }
        Err(Failure::new("no port is free for TCP and UDP on the loopback addresses"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(line: &str) -> Result<Options, Failure> {
        let mut args = Args::new(line.split_whitespace().map(str::to_owned));
        let options = Options::read(&mut args, Path::new("/here"))?;
        args.end()?;
        Ok(options)
    }

    #[test]
    fn addresses_get_the_usual_port() {
        let check = |text: &str, expected: &[&str]| {
            let got = options(&format!("--listen {text}")).expect(text).listen;
            let got: Vec<String> = got.iter().map(ToString::to_string).collect();
            assert_eq!(got, expected, "{text}");
        };
        check("127.0.0.2", &["127.0.0.2:8443"]);
        check("127.0.0.2:1,[::1]:2,::1", &["127.0.0.2:1", "[::1]:2", "[::1]:8443"]);
    }

    #[test]
    fn what_cannot_be_served_is_refused() {
        let check = |line: &str, expected: &str| {
            let text = options(line).expect_err(line).to_string();
            assert!(text.contains(expected), "{line}: {text}");
        };
        check("--listen localhost", "is no address");
        check("--listen 0.0.0.0", "every address");
        check("--port 0", "is no port");
        check("--port 99999", "is no port");
        check("--listen 127.0.0.1:0", "above 0");
        check("--listen 127.0.0.1,127.0.0.1:8443", "named twice");
        check("--film /no/such/film.mp4", "no such file");
        check("--chekc", "did you mean --check?");
    }

    #[test]
    fn one_edge_an_address() {
        let mut ports = Ports::default();
        let free = Ports::default().loopback().expect("loopback has free ports");
        let options = options(&format!("--listen 127.0.0.1,127.0.0.2 --dir d --port {free}"));
        let edges = options.expect("reads").edges(&mut ports).expect("free ports");
        let urls: Vec<String> = edges.iter().map(Edge::url).collect();
        let expected = [format!("https://localhost:{free}"), format!("https://127.0.0.2:{free}")];
        assert_eq!(urls, expected);
        assert_eq!(edges[1].dir, Path::new("/here/d/edge-2"));
        assert_ne!(edges[0].admin, edges[1].admin);
    }

    #[test]
    fn a_port_in_use_is_named_with_its_holder() {
        let mut ports = Ports::default();
        let address = ports.take(0).expect("a free port");
        let text = claim(address, false).expect_err("held above").to_string();
        let expected = format!("is in use by process {}", std::process::id());
        assert!(text.contains(&expected) && text.contains("--plain-http"), "{text}");
    }
}
