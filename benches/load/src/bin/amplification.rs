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
/// Of a download that is given up.
const READ: usize = 16 << 10;
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

    /// Requests, in full and in short. What an edge lets any client begin with counts: small
    /// answers have to be so many that it is little beside them.
    fn requests(self) -> (u64, u64) {
        match self {
            Self::Tiny | Self::Tail => (20_000, 200),
            Self::Scattered | Self::Aborted => (400, 40),
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
    let (mut worst, mut all, mut notes) = (0.0_f64, 0, Vec::new());
    for (number, way) in Way::ALL.into_iter().enumerate() {
        // Each way finds a node that owes nobody anything.
        let origin = Origin::start().await?;
        let settings = Settings { disk: None, ..Settings::new(origin.url()) };
        let mut edge = Edge::start(place.path(), &settings)?;
        let requests = if options.quick { way.requests().1 } else { way.requests().0 };
        all += requests;
        let (mut received, mut answers) = (0, Vec::new());
        let mut kept = None;
        let mut names = Vec::new();
        for request in 0..requests {
            let id = ((number as u64 + 1) << 32) + request;
            let name = Content::new(id, 1, SIZE).name();
            let path = edge.path(&format!("/{name}"));
            let (bytes, status) = ask(edge.http(), &mut kept, &path, way, request).await?;
            received += bytes;
            answers.push(status);
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
        ("<= 2", "ratio"),
        worst,
        all,
        Some(notes.join("; ")),
    );
    figures.finish(&options)
}

/// Bytes that came, and the status. A connection on which all of an answer came is `kept`.
async fn ask(
    server: SocketAddr,
    kept: &mut Option<TcpStream>,
    path: &str,
    way: Way,
    number: u64,
) -> Result<(u64, String), CampaignError> {
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
        return Ok((0, "not".into()));
    }
    let mut answer = Vec::new();
    let mut most = if way == Way::Aborted { READ } else { usize::MAX };
    while answer.len() < most {
        match timeout(PATIENCE, stream.read_buf(&mut answer)).await {
            Ok(Ok(1..)) => {}
            _ => break,
        }
        if most == usize::MAX
            && let Some(length) = whole(&answer)
        {
            most = length;
        }
    }
    if way != Way::Aborted && answer.len() == most {
        *kept = Some(stream);
    }
    let status = answer.strip_prefix(b"HTTP/1.1 ").and_then(|rest| rest.get(..3));
    let status = status.map_or("not".into(), |code| String::from_utf8_lossy(code).into_owned());
    Ok((answer.len() as u64, status))
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
