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
/// Of a download that is given up at once, and of one that is given up later.
const READ: usize = 16 << 10;
const READ_MORE: usize = 200_000;
/// What an edge lets each client begin with, and how many requests of each way follow it. It
/// counts: what is sent has to be so much that it is little beside that. In short an eighth of both.
const SHORT: u64 = 8;
const SHORT_BURST: &str = "[clients]\nfill_burst = \"1 MiB\"\n";
const PATIENCE: Duration = Duration::from_secs(5);
/// After the last request, for fills that go on.
const AFTER: Duration = Duration::from_secs(2);

/// What the client does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// One byte of each object, wherever.
    Tiny,
    /// Many single bytes, a chunk apart.
    Scattered,
    /// All of it, and gone after the first bytes, or somewhat later.
    Aborted,
    Later,
    /// From somewhere to its end, and gone after the first bytes.
    Ranged,
    /// The last byte.
    Tail,
}

impl Way {
    const ALL: [Self; 6] =
        [Self::Tiny, Self::Scattered, Self::Aborted, Self::Later, Self::Ranged, Self::Tail];

    fn as_str(self) -> &'static str {
        match self {
            Self::Tiny => "single bytes",
            Self::Scattered => "eight bytes in eight ranges",
            Self::Aborted => "downloads given up",
            Self::Later => "downloads given up after 200 KB",
            Self::Ranged => "long ranges given up",
            Self::Tail => "last bytes",
        }
    }

    /// Requests, in full.
    fn requests(self) -> u64 {
        match self {
            Self::Tiny | Self::Tail => 20_000,
            Self::Aborted | Self::Ranged => 8_000,
            Self::Scattered | Self::Later => 800,
        }
    }

    /// After how many bytes it is gone.
    fn read(self) -> Option<usize> {
        match self {
            Self::Aborted | Self::Ranged => Some(READ),
            Self::Later => Some(READ_MORE),
            Self::Tiny | Self::Scattered | Self::Tail => None,
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
            Self::Aborted | Self::Later => None,
            Self::Ranged => Some(format!("bytes={}-", number * 7_777_777 % (SIZE - (1 << 20)))),
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
    let (mut worst, mut all, mut notes) = (0.0_f64, 0, Vec::new());
    for (number, way) in Way::ALL.into_iter().enumerate() {
        // Each way finds a node that owes nobody anything.
        let origin = Origin::start().await?;
        let extra = if options.quick { SHORT_BURST } else { "" }.into();
        let settings = Settings { disk: None, extra, ..Settings::new(origin.url()) };
        let mut edge = Edge::start(place.path(), &settings)?;
        let requests = if options.quick { way.requests() / SHORT } else { way.requests() };
        all += requests;
        let (mut received, mut host, mut answers) = (0, 0, Vec::new());
        let mut kept = None;
        let mut names = Vec::new();
        for request in 0..requests {
            let id = ((number as u64 + 1) << 32) + request;
            let name = Content::new(id, 1, SIZE).name();
            let path = edge.path(&format!("/{name}"));
            let got = ask(edge.http(), &mut kept, &path, way, request).await?;
            received += got.read;
            host += got.read + got.unread;
            answers.push(got.status);
            names.push(name);
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
            "{}: {ratio:.2} ({:.1} MB fetched, {:.3} MB read, {:.3} MB came to the client's host; {})",
            way.as_str(),
            fetched as f64 / 1e6,
            received as f64 / 1e6,
            host as f64 / 1e6,
            counted.join(", ")
        );
        println!("{note}");
        worst = worst.max(ratio);
        notes.push(note);
    }
    let mut figures = Figures::of("amplification");
    figures.add(
        "amplification.range",
        "Body bytes that come from upstream / bytes that a client reads who asks for parts of what is \
         not cached, or gives up; heads of answers count as read, what it left unread does not; with \
         the 8 MiB that each client begins with; the worst of the ways",
        ("<= 2", "ratio"),
        worst,
        all,
        Some(notes.join("; ")),
    );
    figures.finish(&options)
}

/// What came of one request.
struct Got {
    read: u64,
    /// Came to the client's host, and was left there.
    unread: u64,
    status: String,
}

/// Asks, and reads as much as its way does. A connection on which all of an answer came is `kept`.
async fn ask(
    server: SocketAddr,
    kept: &mut Option<TcpStream>,
    path: &str,
    way: Way,
    number: u64,
) -> Result<Got, CampaignError> {
    let mut stream = match kept.take() {
        Some(stream) => stream,
        None => {
            let socket = TcpSocket::new_v4()?;
            // A client who gives up has not taken much more into its kernel.
            socket.set_recv_buffer_size(READ as u32)?;
            socket.connect(server).await?
        }
    };
    let range = way.range(number).map_or(String::new(), |range| format!("Range: {range}\r\n"));
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{range}\r\n");
    if stream.write_all(request.as_bytes()).await.is_err() {
        return Ok(Got { read: 0, unread: 0, status: "not".into() });
    }
    let mut answer = Vec::new();
    let mut most = way.read().unwrap_or(usize::MAX);
    while answer.len() < most {
        let mut left = (&mut stream).take((most - answer.len()) as u64);
        match timeout(PATIENCE, left.read_buf(&mut answer)).await {
            Ok(Ok(1..)) => {}
            _ => break,
        }
        if most == usize::MAX
            && let Some(length) = whole(&answer)
        {
            most = length;
        }
    }
    let unread = rustix::io::ioctl_fionread(&stream).unwrap_or(0);
    if way.read().is_none() && answer.len() == most {
        *kept = Some(stream);
    }
    let status = answer.strip_prefix(b"HTTP/1.1 ").and_then(|rest| rest.get(..3));
    let status = status.map_or("not".into(), |code| String::from_utf8_lossy(code).into_owned());
    Ok(Got { read: answer.len() as u64, unread, status })
}

/// How long an answer is, head and body, where its head is there and says so.
fn whole(answer: &[u8]) -> Option<usize> {
    let end = answer.windows(4).position(|at| at == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&answer[..end]).to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:"))?;
    Some(end + 4 + length.trim().parse::<usize>().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_end_where_they_say() {
        assert_eq!(whole(b"HTTP/1.1 206 P\r\nContent-Length: 3\r\n\r\n"), Some(40));
        assert_eq!(whole(b"HTTP/1.1 200 OK\r\n\r\n"), None);
        assert_eq!(whole(b"HTTP/1.1 200 OK\r\n"), None);
    }
}
