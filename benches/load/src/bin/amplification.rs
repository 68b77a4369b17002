//! `cargo xtask bench amplification`: one client who lets an edge fetch much and takes little
//! of it: what comes from upstream for each byte that goes to the client.

use std::{net::SocketAddr, process::ExitCode, time::Duration};

use clap::Parser;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::timeout,
};
use weir_benches_content::Content;
use weir_benches_load::campaign::{
    CampaignError, Edge, Figures, Options, Place, Settings, program,
};
use weir_benches_testbed::Origin;

/// Each object is asked for by one request, and nobody has it.
const SIZE: u64 = 8 << 20;
const REQUESTS: (u64, u64) = (400, 60);
/// Of a download that is given up.
const READ: usize = 16 << 10;
const PATIENCE: Duration = Duration::from_secs(5);
/// After the last request, for fills that go on.
const AFTER: Duration = Duration::from_secs(2);
const PACE: Duration = Duration::from_millis(10);

/// What the client does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// One byte of each object, wherever.
    Tiny,
    /// Many single bytes, a chunk apart.
    Scattered,
    /// All of it, and gone after the first bytes.
    Aborted,
    /// The last byte.
    Tail,
}

impl Way {
    const ALL: [Self; 4] = [Self::Tiny, Self::Scattered, Self::Aborted, Self::Tail];

    fn as_str(self) -> &'static str {
        match self {
            Self::Tiny => "single bytes",
            Self::Scattered => "eight bytes in eight ranges",
            Self::Aborted => "downloads given up",
            Self::Tail => "last bytes",
        }
    }

    fn range(self, number: u64) -> Option<String> {
        match self {
            Self::Tiny => {
                let at = number * 7_777_777 % SIZE;
                Some(format!("bytes={at}-{at}"))
            }
            Self::Scattered => {
                let each: Vec<_> =
                    (0..8).map(|at| format!("{0}-{0}", at * (1 << 20) + 9)).collect();
                Some(format!("bytes={}", each.join(",")))
            }
            Self::Aborted => None,
            Self::Tail => Some("bytes=-1".into()),
        }
    }
}

fn main() -> ExitCode {
    let options = Options::parse();
    program::run("amplification", 2, |_| run(options))
}

async fn run(options: Options) -> Result<bool, CampaignError> {
    let place = Place::new(&options)?;
    let requests = if options.quick { REQUESTS.1 } else { REQUESTS.0 };
    let (mut worst, mut notes) = (0.0_f64, Vec::new());
    for (number, way) in Way::ALL.into_iter().enumerate() {
        // Each way finds a node that owes nobody anything.
        let origin = Origin::start().await?;
        let settings = Settings { disk: None, ..Settings::new(origin.url()) };
        let mut edge = Edge::start(place.path(), &settings)?;
        let (mut received, mut answers) = (0, Vec::new());
        let mut names = Vec::new();
        for request in 0..requests {
            let id = ((number as u64 + 1) << 32) + request;
            let name = Content::new(id, 1, SIZE).name();
            let path = edge.path(&format!("/{name}"));
            let (bytes, status) = ask(edge.http(), &path, way, request).await?;
            received += bytes;
            answers.push(status);
            names.push(name);
            tokio::time::sleep(PACE).await;
        }
        tokio::time::sleep(AFTER).await;
        let fetched: u64 =
            names.iter().map(|name| origin.counts(&format!("/{name}")).body_bytes).sum();
        edge.check()?;
        edge.stop()?;
        let ratio = fetched as f64 / (received as f64).max(1.0);
        answers.sort();
        let mut counted: Vec<(String, usize)> = Vec::new();
        for status in answers {
            match counted.last_mut().filter(|(known, _)| *known == status) {
                Some((_, count)) => *count += 1,
                None => counted.push((status, 1)),
            }
        }
        let counted: Vec<_> =
            counted.iter().map(|(status, count)| format!("{count} answered {status}")).collect();
        let note = format!(
            "{}: {ratio:.2} ({:.1} MB fetched, {:.3} MB sent; {})",
            way.as_str(),
            fetched as f64 / 1e6,
            received as f64 / 1e6,
            counted.join(", ")
        );
        println!("{note}");
        worst = worst.max(ratio);
        notes.push(note);
    }
    let mut figures = Figures::of("amplification");
    figures.add(
        "amplification.range",
        "Body bytes that come from upstream / bytes that go to a client who asks for parts of what \
         is not cached, or gives up; heads of answers count as sent; the worst of the ways",
        ("<= 2", "bytes/byte"),
        worst,
        requests * Way::ALL.len() as u64,
        Some(notes.join("; ")),
    );
    figures.finish(&options)
}

/// Bytes that came, and the status.
async fn ask(
    server: SocketAddr,
    path: &str,
    way: Way,
    number: u64,
) -> Result<(u64, String), CampaignError> {
    let socket = TcpSocket::new_v4()?;
    // A client who gives up has not taken much more into its kernel.
    socket.set_recv_buffer_size(READ as u32)?;
    let mut stream: TcpStream = socket.connect(server).await?;
    let range = way.range(number).map_or(String::new(), |range| format!("Range: {range}\r\n"));
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{range}Connection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    let most = if way == Way::Aborted { READ } else { usize::MAX };
    while answer.len() < most {
        match timeout(PATIENCE, stream.read_buf(&mut answer)).await {
            Ok(Ok(1..)) => {}
            _ => break,
        }
    }
    let status = answer.strip_prefix(b"HTTP/1.1 ").and_then(|rest| rest.get(..3));
    let status = status.map_or("not".into(), |code| String::from_utf8_lossy(code).into_owned());
    Ok((answer.len() as u64, status))
}
