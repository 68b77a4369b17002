//! The batching TLS stream against a client that is slow, stubborn or gone.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on shall stop where it is")]

use std::{
    future::{Future, poll_fn},
    io::IoSlice,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::Poll,
    time::Duration,
};

use rand::{Rng, SeedableRng, rngs::SmallRng};
use rustls::pki_types::ServerName;
use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split},
    net::{TcpListener, TcpStream},
    task::yield_now,
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream as ClientStream};
use weir_edge_transport::{
    stream::{Flusher, TlsStream},
    tls::{Certificates, Keys, MinVersion, Negotiated, Tls},
};

/// Byte `at` of everything that is sent.
fn byte_at(at: usize) -> u8 {
    let word = ((at / 8) as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
    word.to_le_bytes()[at % 8]
}

fn content(from: usize, length: usize) -> Vec<u8> {
    (from..from + length).map(byte_at).collect()
}

struct Pair {
    server: TlsStream,
    negotiated: Negotiated,
    client: ClientStream<TcpStream>,
}

/// Both ends of a connection; `buffer` is what each socket holds to send, or the system's
/// choice. What it holds of what it receives stays above a segment of loopback's 64 KiB, below
/// which plain TCP crawls as well.
async fn pair(min: MinVersion, buffer: Option<usize>) -> Pair {
    let folder = tempfile::tempdir().unwrap();
    let (chain, key) = (folder.path().join("chain"), folder.path().join("key"));
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(&chain, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let keys = Keys::ephemeral(Arc::new(|| 0)).unwrap();
    let tls = Tls::new(Certificates::load([(&chain, &key)]).unwrap(), keys, min).unwrap();

    let mut roots = rustls::RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let versions = match min {
        MinVersion::Tls12 => &[&rustls::version::TLS12][..],
        MinVersion::Tls13 => &[&rustls::version::TLS13][..],
    };
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let socket = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let accepted = listener.accept().await.unwrap().0;
    for socket in [&socket, &accepted] {
        socket.set_nodelay(true).unwrap();
        if let Some(bytes) = buffer {
            SockRef::from(socket).set_send_buffer_size(bytes).unwrap();
            SockRef::from(socket).set_recv_buffer_size(100_000).unwrap();
        }
    }
    let name = ServerName::try_from("localhost").unwrap();
    let connected = TlsConnector::from(Arc::new(config)).connect(name, socket);
    let (client, accepted) = tokio::join!(connected, tls.accept(accepted));
    let (server, negotiated) = accepted.unwrap();
    Pair { server, negotiated, client: client.unwrap() }
}

/// Sends `total` bytes in pieces of random sizes, some of them in several slices.
async fn send<W: AsyncWrite + Unpin>(to: &mut W, total: usize, mut random: SmallRng) {
    let mut at = 0;
    while at < total {
        let most =
            *[1, 300, 9_000, 16_384, 70_000, 600_000].get(random.random_range(0..6)).unwrap();
        let bytes = content(at, random.random_range(1..=most).min(total - at));
        if random.random_bool(0.5) {
            to.write_all(&bytes).await.unwrap();
            at += bytes.len();
        } else {
            let (one, rest) = bytes.split_at(random.random_range(0..=bytes.len()));
            let (two, three) = rest.split_at(random.random_range(0..=rest.len()));
            let slices = [one, two, three].map(IoSlice::new);
            at += to.write_vectored(&slices).await.unwrap();
        }
        if random.random_bool(0.2) {
            to.flush().await.unwrap();
        }
        if random.random_bool(0.1) {
            yield_now().await;
        }
    }
}

/// Reads to the end in bites of random sizes and checks each byte.
async fn receive<R: AsyncRead + Unpin>(from: &mut R, total: usize, mut random: SmallRng) {
    let mut at = 0;
    let mut buffer = vec![0; 100_000];
    loop {
        let most = buffer.len() >> random.random_range(0..16);
        let bite = random.random_range(1..=most);
        let read = from.read(&mut buffer[..bite]).await.unwrap();
        if read == 0 {
            break;
        }
        for (offset, byte) in buffer[..read].iter().enumerate() {
            assert_eq!(*byte, byte_at(at + offset), "byte {}", at + offset);
        }
        at += read;
        for _ in 0..random.random_range(0..3) {
            yield_now().await;
        }
    }
    assert_eq!(at, total);
}

/// Runs `work`, and flushes each time it has been polled, as a connection's driver does.
async fn driven<F: Future>(work: F, flusher: Option<Flusher>) -> F::Output {
    let mut work = pin!(work);
    let mut flusher = flusher;
    poll_fn(|cx| {
        let result = work.as_mut().poll(cx);
        if let Some(flusher) = &mut flusher
            && let Poll::Ready(sent) = flusher.poll_flush(cx)
        {
            sent.unwrap();
        }
        result
    })
    .await
}

async fn check(seed: u64, deferred: bool) {
    let mut random = SmallRng::seed_from_u64(seed);
    let min = if random.random_bool(0.3) { MinVersion::Tls12 } else { MinVersion::Tls13 };
    let buffer = random.random_bool(0.7).then(|| random.random_range(8_000..60_000));
    let totals = [random.random_range(1..2_000_000), random.random_range(1..500_000)];
    let mut random = || SmallRng::seed_from_u64(random.random());
    let Pair { mut server, client, .. } = pair(min, buffer).await;
    if seed.is_multiple_of(3) {
        server.set_limit(1 + (seed as usize * 977) % 40_000);
    }
    let (server, flusher) = if deferred {
        let (stream, flusher) = server.deferred();
        (stream, Some(flusher))
    } else {
        (server, None)
    };
    let (mut server_reads, mut server_writes) = split(server);
    let (mut client_reads, mut client_writes) = split(client);
    let (one, two, three, four) = (random(), random(), random(), random());
    let served = driven(
        async move {
            let down = async {
                send(&mut server_writes, totals[0], one).await;
                server_writes.shutdown().await.unwrap();
            };
            tokio::join!(down, receive(&mut server_reads, totals[1], two));
        },
        flusher,
    );
    let asked = async {
        let up = async {
            send(&mut client_writes, totals[1], three).await;
            client_writes.shutdown().await.unwrap();
        };
        tokio::join!(up, receive(&mut client_reads, totals[0], four));
    };
    let both = async { tokio::join!(tokio::spawn(served), asked).0.unwrap() };
    timeout(Duration::from_secs(60), both)
        .await
        .unwrap_or_else(|_| panic!("seed {seed} stalled (deferred: {deferred})"));
}

#[tokio::test]
async fn every_byte_both_ways_flushing_as_asked() {
    for seed in 0..24 {
        check(seed, false).await;
    }
}

#[tokio::test]
async fn every_byte_both_ways_flushing_after_each_poll() {
    for seed in 100..124 {
        check(seed, true).await;
    }
}

/// Polls of a task that nobody should wake.
struct Counted<F>(Pin<Box<F>>, Arc<AtomicUsize>);

impl<F: Future> Future for Counted<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut std::task::Context<'_>) -> Poll<F::Output> {
        self.1.fetch_add(1, Relaxed);
        self.0.as_mut().poll(cx)
    }
}

#[tokio::test]
async fn a_client_that_does_not_read_costs_a_bounded_buffer_and_no_time() {
    const TOTAL: usize = 4 << 20;
    let Pair { server, mut client, .. } = pair(MinVersion::Tls13, Some(30_000)).await;
    let (mut server, flusher) = server.deferred();
    let (polls, accepted) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let count = Arc::clone(&accepted);
    let work = async move {
        let bytes = content(0, TOTAL);
        let mut at = 0;
        while at < TOTAL {
            at += server.write(&bytes[at..]).await.unwrap();
            count.store(at, Relaxed);
        }
        server.shutdown().await.unwrap();
    };
    let driven = driven(work, Some(flusher));
    let served = tokio::spawn(Counted(Box::pin(driven), Arc::clone(&polls)));
    // Quiet for so many turns of the runtime: it waits.
    let (mut before, mut quiet) = (usize::MAX, 0);
    while quiet < 5_000 {
        yield_now().await;
        let now = polls.load(Relaxed);
        quiet = if now == before { quiet + 1 } else { 0 };
        before = now;
    }
    // The limit and one record, and what the two sockets hold.
    let held = accepted.load(Relaxed);
    assert!((256_000..600_000).contains(&held), "{held} bytes are held for the client");
    assert!(before < 20, "{before} polls for one full socket");

    let mut seen = Vec::new();
    client.read_to_end(&mut seen).await.unwrap();
    assert_eq!(seen.len(), TOTAL);
    assert!(seen.iter().enumerate().all(|(at, byte)| *byte == byte_at(at)));
    served.await.unwrap();
}

#[tokio::test]
async fn a_client_that_is_gone_is_an_error_and_no_end() {
    let Pair { mut server, client, .. } = pair(MinVersion::Tls13, None).await;
    drop(client);
    let bytes = content(0, 1 << 20);
    let written = async {
        loop {
            if let Err(error) = server.write_all(&bytes).await {
                return error;
            }
        }
    };
    timeout(Duration::from_secs(10), written).await.expect("a dead peer is noticed");

    // Cut without a close_notify: not an end.
    let Pair { mut server, client, .. } = pair(MinVersion::Tls13, None).await;
    drop(client.into_inner().0);
    let error = server.read(&mut [0; 10]).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof);
}

#[tokio::test]
async fn a_record_that_was_changed_on_the_way_is_refused() {
    let Pair { mut server, client, negotiated } = pair(MinVersion::Tls13, None).await;
    assert_eq!((negotiated.version, negotiated.resumed), ("1.3", false));
    let (mut socket, _) = client.into_inner();
    // An application data record that no key has sealed.
    let mut forged = vec![23, 3, 3, 0, 32];
    forged.extend([7; 32]);
    socket.write_all(&forged).await.unwrap();
    let error = server.read(&mut [0; 10]).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidData);
}

#[tokio::test]
async fn the_peer_may_change_its_keys() {
    let Pair { mut server, mut client, .. } = pair(MinVersion::Tls13, None).await;
    for round in 0..3 {
        client.get_mut().1.refresh_traffic_keys().unwrap();
        let (up, down) = (content(round, 5000), content(round, 7000));
        client.write_all(&up).await.unwrap();
        client.flush().await.unwrap();
        let mut seen = vec![0; up.len()];
        server.read_exact(&mut seen).await.unwrap();
        assert_eq!(seen, up);
        server.write_all(&down).await.unwrap();
        server.flush().await.unwrap();
        let mut seen = vec![0; down.len()];
        client.read_exact(&mut seen).await.unwrap();
        assert_eq!(seen, down);
    }
}
