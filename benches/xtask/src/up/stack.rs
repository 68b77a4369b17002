//! From nothing to servers that play a film: what a run needs is made where it is missing or
//! broken, and kept where it is right.

use std::{
    fs::File,
    io::Read,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use serde_json::Value;

use crate::{
    Failure, files,
    run::Run,
    s3::S3,
    say,
    up::{
        config,
        film::{self, Film},
        keys, page,
        plan::{Edge, Options, Ports},
        server::Servers,
    },
};

/// The programs that a run starts or asks.
const PROGRAMS: [&str; 4] = ["weir-origin", "weir-edge", "cachectl", "dev-ca"];

/// Where programs and sources are.
#[derive(Debug, Clone)]
pub struct Place {
    /// The repository.
    pub root: PathBuf,
}

impl Place {
    /// A program of ours.
    pub fn program(&self, name: &str) -> PathBuf {
        self.root.join("target/release").join(name)
    }

    /// The players' package.
    pub fn players(&self) -> PathBuf {
        self.root.join("benches/testbed/players")
    }

    /// Builds what a run starts, with cargo's own progress.
    pub fn build(&self) -> Result<(), Failure> {
        say::head("Building in release (the first time takes minutes)");
        // Of the workspace, not of four packages: cargo then resolves the features that the tests
        // have, and the one's dependencies are not compiled again for the other.
        let bins = PROGRAMS.iter().flat_map(|bin| ["--bin", bin]);
        let cargo = Run::new("cargo").args(["build", "--release", "--workspace"]).args(bins);
        cargo.dir(&self.root).shown().map_err(|why| Failure::new(format!("cargo build: {why}")))
    }
}

/// Servers that run, and all that one must know to use them.
#[derive(Debug)]
pub struct Stack {
    /// The origin and the edges.
    pub servers: Servers,
    /// The edges, in the order of `--listen`.
    pub edges: Vec<Edge>,
    /// What plays.
    pub film: Film,
    /// The certificate authority that browsers may trust.
    pub ca: PathBuf,
    /// What Chromium calls the certificate.
    pub spki: String,
    /// Where everything is.
    pub dir: PathBuf,
    /// Whether nobody named an address: then it is for browsers on this machine.
    pub local: bool,
    place: Place,
    s3: S3,
}

/// A directory and addresses that are this run's alone; what can be refused is refused before
/// anything is built.
#[derive(Debug)]
pub struct Reserved {
    servers: Servers,
    edges: Vec<Edge>,
    s3: SocketAddr,
    origin_admin: SocketAddr,
}

impl Reserved {
    /// Takes the directory and looks for ports.
    pub fn take(options: &Options) -> Result<Self, Failure> {
        ours(&options.dir)?;
        let servers = Servers::take(&options.dir)?;
        let mut ports = Ports::default();
        let edges = options.edges(&mut ports)?;
        let (s3, origin_admin) = (ports.take(9_000)?, ports.take(9_901)?);
        Ok(Self { servers, edges, s3, origin_admin })
    }
}

impl Stack {
    /// Sets up and starts everything in `options.dir`. Programs are built already.
    pub fn start(place: &Place, options: &Options, reserved: Reserved) -> Result<Self, Failure> {
        let dir = options.dir.clone();
        let Reserved { mut servers, edges, s3: s3_address, origin_admin } = reserved;
        let (ca, spki) = certificate(place, &dir, &edges)?;
        let jwks = keys::ensure(place, &dir)?;
        let s3 = origin(place, &dir, &mut servers, s3_address, origin_admin)?;
        let film = film::ensure(place, &dir, options.film.as_deref(), &s3)?;
        page::put(&s3, &place.players(), &ca)?;
        let credentials = dir.join("keys/edge-s3.toml");
        let shared = config::Shared {
            s3: s3_address,
            chain: &dir.join("tls/edge.pem"),
            key: &dir.join("tls/edge.key"),
            jwks: &jwks,
            credentials: &credentials,
        };
        for edge in &edges {
            let file = edge.dir.join("edge.toml");
            files::write(&file, config::edge(edge, &shared).as_bytes())?;
            for inside in ["run", "state", "log", "cache"] {
                files::directory(&edge.dir.join(inside))?;
            }
            let path = file.to_string_lossy();
            servers.start(
                &edge.name,
                &place.program("weir-edge"),
                &["--config", &path],
                edge.admin,
            )?;
        }
        let local = options.listen.is_empty();
        Ok(Self { servers, edges, film, ca, spki, dir, local, place: place.clone(), s3 })
    }

    /// A program of ours.
    pub fn program(&self, name: &str) -> PathBuf {
        self.place.program(name)
    }

    /// The path of `manifest` with a token of its own for the session `sid`.
    pub fn mint(&self, manifest: &str, sid: &str) -> Result<String, Failure> {
        let path = format!("{}{manifest}", config::PREFIX);
        let prefix = format!("{}{}", config::PREFIX, self.film.prefix());
        keys::mint(&self.place, &self.dir, &path, &prefix, sid)
    }

    /// Tells the page what plays, with fresh tokens.
    pub fn tell(&self, trust: &str, quic: &str, next: &[(String, String)]) -> Result<(), Failure> {
        let edges: Vec<_> = self.edges.iter().map(|e| (e.name.clone(), e.url())).collect();
        let told = page::Told {
            title: &self.film.title,
            hls: &self.mint(&self.film.hls, "page")?,
            dash: &self.mint(&self.film.dash, "page")?,
            edges: &edges,
            quic_command: quic,
            trust,
            next,
        };
        page::tell(&self.s3, &told)
    }
}

/// Refuses a directory that holds something else.
fn ours(dir: &Path) -> Result<(), Failure> {
    let mut entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    if dir.join("lock").is_file() || entries.next().is_none() {
        return Ok(());
    }
    Err(Failure::new(format!(
        "{} holds files that this command did not make; give it a directory of its own with --dir",
        dir.display()
    )))
}

/// The CA, and a certificate for every name that a browser may use.
fn certificate(place: &Place, dir: &Path, edges: &[Edge]) -> Result<(PathBuf, String), Failure> {
    let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    names.extend(edges.iter().flat_map(Edge::names));
    names.sort();
    names.dedup();
    let tls = dir.join("tls");
    let run = Run::new(place.program("dev-ca")).arg("--json").arg("--dir").arg(&tls);
    let said = names.iter().fold(run, |run, name| run.arg("--name").arg(name)).output()?;
    let said: Value = serde_json::from_str(&said)
        .map_err(|why| Failure::new(format!("dev-ca did not answer with JSON: {why}")))?;
    let spki = said["spki_sha256"].as_str();
    let spki = spki.ok_or_else(|| Failure::new("dev-ca did not say `spki_sha256`"))?;
    Ok((tls.join("ca.pem"), spki.to_owned()))
}

/// Writes the origin's configuration and starts it; returns the owner's access to it.
fn origin(
    place: &Place,
    dir: &Path,
    servers: &mut Servers,
    listen: SocketAddr,
    admin: SocketAddr,
) -> Result<S3, Failure> {
    let home = dir.join("origin");
    let packager = secret(&home.join("keys/packager.secret"))?;
    let reader = secret(&home.join("keys/edge.secret"))?;
    let credentials = config::credentials("edge", &reader);
    files::write_secret(&dir.join("keys/edge-s3.toml"), credentials.as_bytes())?;
    let file = home.join("origin.toml");
    files::write(&file, config::origin(listen, admin).as_bytes())?;
    files::directory(&home.join("log"))?;
    let path = file.to_string_lossy();
    let program = place.program("weir-origin");
    servers.start("origin", &program, &["serve", "--config", &path], admin)?;
    Ok(S3 {
        endpoint: listen,
        region: config::REGION.to_owned(),
        access_key: "packager".to_owned(),
        secret_key: packager,
    })
}

/// A secret of 40 hexadecimal digits, made when there is none or a broken one.
fn secret(path: &Path) -> Result<String, Failure> {
    let good = |text: &String| text.len() == 40 && text.bytes().all(|b| b.is_ascii_hexdigit());
    if let Some(kept) = files::read(path)?.map(|text| text.trim().to_owned()).filter(good) {
        return Ok(kept);
    }
    let mut bytes = [0u8; 20];
    let source = Path::new("/dev/urandom");
    let read = File::open(source).and_then(|mut file| file.read_exact(&mut bytes));
    read.map_err(|why| Failure::path("read", source, &why))?;
    let made = crate::s3::hex(&bytes);
    files::write_secret(path, made.as_bytes())?;
    Ok(made)
}
