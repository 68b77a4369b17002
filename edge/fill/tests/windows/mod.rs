//! Clients that have nothing left: what is fetched for them follows what has come to them.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures::{StreamExt, stream::BoxStream};
use http::{StatusCode, header};
use tokio::time::{Instant, sleep, timeout};
use weir_benches_content::{Checker, Content, Expected};
use weir_edge_fill::{
    Answer, Ask, Outlet,
    account::{Account, Burst},
    upstream::UpstreamError,
};

use super::script::{MIB, Origin, Step, World, good, truncated, whole};

static FILM: Content = Content { object: 1, version: 1, size: 3 * MIB + 777 };
const KIB: u64 = 1 << 10;

type Body = BoxStream<'static, Result<Bytes, UpstreamError>>;

/// A connection, and what of the bytes that went into it has come to its client; nobody knows that
/// where it is more than all.
#[derive(Debug, Default)]
struct Wire {
    handed: AtomicU64,
    came: AtomicU64,
}

impl Outlet for Wire {
    fn unacknowledged(&self) -> Option<u64> {
        self.handed.load(Ordering::SeqCst).checked_sub(self.came.load(Ordering::SeqCst))
    }
}

/// A client that owes for a long time, and its connection.
struct Client {
    account: Arc<Account>,
    wire: Arc<Wire>,
}

impl Client {
    fn new() -> Self {
        let account = Account::new(Burst::of(MIB), Instant::now());
        account.spend(1000 * MIB, Instant::now());
        Self { account: Arc::new(account), wire: Arc::default() }
    }

    fn asks(&self, ask: Ask) -> Ask {
        let outlet: Arc<dyn Outlet> = Arc::<Wire>::clone(&self.wire);
        Ask { client: Some(Arc::clone(&self.account)), outlet: Some(outlet), ..ask }
    }

    async fn opens(&self, world: &World, ask: Ask) -> Body {
        let ask = self.asks(ask);
        let found = world.found(&ask).await;
        let range = ask
            .range
            .map(|(first, last)| first..last.map_or(found.size().unwrap(), |last| last + 1));
        self.wire.handed.store(0, Ordering::SeqCst);
        self.wire.came.store(0, Ordering::SeqCst);
        world.engine.open(&ask, &found, range).await.unwrap().into_stream().boxed()
    }

    /// Takes what is handed over until nothing more comes, or all is there. What is taken has come
    /// only where that is said.
    async fn takes(&self, body: &mut Body, came: bool) -> Vec<u8> {
        let mut bytes = Vec::new();
        while let Ok(Some(piece)) = timeout(Duration::from_secs(1), body.next()).await {
            let piece = piece.unwrap();
            let handed = &self.wire.handed;
            let all = handed.fetch_add(piece.len() as u64, Ordering::SeqCst) + piece.len() as u64;
            if came {
                self.wire.came.store(all, Ordering::SeqCst);
            }
            bytes.extend_from_slice(&piece);
        }
        bytes
    }

    fn has(&self, bytes: u64) {
        self.wire.came.store(bytes, Ordering::SeqCst);
    }
}

fn world() -> World {
    World::new(Origin::new(|_, seen| Ok(good(&FILM, seen))))
}

fn fetched(world: &World) -> u64 {
    world.engine.counters().upstream_bytes.load(Ordering::Relaxed)
}

fn ranges(world: &World) -> Vec<String> {
    let asked = |at| world.origin.seen(at).range.unwrap_or_default();
    (0..world.origin.requests()).map(asked).collect()
}

fn right(content: &Content, bytes: &[u8]) {
    let verdict = Checker::check(Expected::all(content), bytes);
    assert!(verdict.is_clean(), "{verdict:?}");
}

/// Each window is as far as what has come, not as what was handed over.
#[tokio::test(start_paused = true)]
async fn a_fill_goes_as_far_ahead_as_its_client_has_come() {
    let (world, client) = (world(), Client::new());
    let mut body = client.opens(&world, world.ask("/a")).await;
    let mut all = client.takes(&mut body, false).await;
    assert_eq!((all.len() as u64, fetched(&world)), (16 * KIB, 16 * KIB));
    for (came, handed) in
        [(8, 16), (16, 32), (23, 32), (24, 48), (31, 48), (40, 80), (53, 80), (56, 112)]
    {
        client.has(came * KIB);
        all.extend(client.takes(&mut body, false).await);
        assert_eq!(all.len() as u64, handed * KIB, "after {came} KiB");
        assert_eq!(fetched(&world), handed * KIB, "after {came} KiB");
    }
    client.has(u64::MAX);
    all.extend(client.takes(&mut body, false).await);
    assert_eq!(fetched(&world), 112 * KIB, "nothing is known");
    client.has(112 * KIB);
    all.extend(client.takes(&mut body, true).await);
    right(&FILM, &all);
    assert_eq!(fetched(&world), FILM.size);
}

/// Whoever leaves inside of a chunk stops its fill there; nothing of that chunk stays, and it is
/// never taken for whole.
#[tokio::test(start_paused = true)]
async fn what_is_left_inside_of_a_chunk_is_never_taken_for_a_chunk() {
    let (world, client) = (world(), Client::new());
    let mut body = client.opens(&world, world.ask("/a")).await;
    client.takes(&mut body, false).await;
    client.has(16 * KIB);
    client.takes(&mut body, false).await;
    drop(body);
    sleep(Duration::from_secs(2)).await;
    assert_eq!((world.engine.under_way(), fetched(&world)), (0, 32 * KIB));
    let ask = world.ask("/a");
    let object = world.found(&ask).await.object().clone();
    assert!(world.engine.at_hand(&object, &(0..1)).is_none());
    assert!(world.engine.cache().has_chunk(&object.chunk_key(0)).is_none());
    world.read_right(&ask, &FILM).await;
    assert_eq!(ranges(&world)[2..], ["bytes=0-3146504"]);
    assert_eq!(fetched(&world), 32 * KIB + FILM.size);
}

/// A thousand downloads that are given up cost at most twice what came of them.
#[tokio::test(start_paused = true)]
async fn downloads_given_up_cost_twice_what_came() {
    let (world, client) = (world(), Client::new());
    let mut came = 0;
    for number in 0..1000_u64 {
        let mut body = client.opens(&world, world.ask(&format!("/{number}"))).await;
        let windows = number % 5;
        for _ in 0..windows {
            client.takes(&mut body, false).await;
            client.has(client.wire.handed.load(Ordering::SeqCst));
        }
        came += client.wire.came.load(Ordering::SeqCst);
        drop(body);
        client.account.spend(MIB, Instant::now());
    }
    sleep(Duration::from_secs(2)).await;
    assert_eq!(world.engine.under_way(), 0);
    // And the first window of those who took nothing.
    let most = 2 * came + 200 * 16 * KIB;
    assert!(fetched(&world) <= most, "{} for {came}", fetched(&world));
}

/// A client that takes nothing for a while comes back to the middle of a chunk that is gone.
#[tokio::test(start_paused = true)]
async fn who_pauses_inside_of_a_chunk_goes_on() {
    let (world, client) = (world(), Client::new());
    let mut body = client.opens(&world, world.ask("/a")).await;
    let mut all = client.takes(&mut body, false).await;
    sleep(Duration::from_secs(15)).await;
    client.has(16 * KIB);
    all.extend(client.takes(&mut body, true).await);
    right(&FILM, &all);
    assert!(fetched(&world) <= FILM.size + 64 * KIB, "{}", fetched(&world));
}

/// The object changes between two windows: what came of it is never joined to the new one.
#[tokio::test(start_paused = true)]
async fn windows_of_two_versions_are_never_joined() {
    static NEXT: Content = Content { object: 1, version: 2, size: 3 * MIB + 777 };
    let origin = Origin::new(|at, seen| Ok(good(if at < 2 { &FILM } else { &NEXT }, seen)));
    let (world, client) = (World::new(origin), Client::new());
    let mut body = client.opens(&world, world.ask("/a")).await;
    let mut all = client.takes(&mut body, false).await;
    client.has(16 * KIB);
    all.extend(client.takes(&mut body, false).await);
    client.has(32 * KIB);
    assert!(body.next().await.unwrap().is_err(), "cut");
    assert!(all == FILM.bytes(0..32 * KIB), "{} bytes", all.len());
    world.read_right(&world.ask("/a"), &NEXT).await;
}

/// Upstreams that break off, ignore `Range` or give no strong validator.
#[tokio::test(start_paused = true)]
async fn windows_of_difficult_upstreams() {
    let check = async |origin: Arc<Origin>| {
        let (world, client) = (World::new(origin), Client::new());
        let mut body = client.opens(&world, world.ask("/a")).await;
        right(&FILM, &client.takes(&mut body, true).await);
        world.origin.requests()
    };
    let windows = check(Origin::new(|_, seen| Ok(good(&FILM, seen)))).await;
    assert!((8..12).contains(&windows), "{windows}");
    // Breaks off inside of the third window.
    let broken = |at, seen: &_| {
        let mut reply = good(&FILM, seen);
        if at == 2 {
            reply.steps = vec![Step::Send(FILM.bytes(32 * KIB..40 * KIB))];
            reply.steps.push(Step::Fail(truncated(8 * KIB)));
        }
        Ok(reply)
    };
    assert_eq!(check(Origin::new(broken)).await, windows + 1);
    // Sends everything whatever it is asked, from the first request or from the second on.
    assert_eq!(check(Origin::new(|_, _| Ok(whole(&FILM)))).await, 1);
    let later = |at, seen: &_| Ok(if at == 0 { good(&FILM, seen) } else { whole(&FILM) });
    assert_eq!(check(Origin::new(later)).await, 2);
    // What cannot be joined is asked for whole.
    let weak = |_, seen: &_| {
        let mut reply = good(&FILM, seen);
        reply.headers.remove(header::ETAG);
        Ok(reply)
    };
    assert_eq!(check(Origin::new(weak)).await, 2);
    // An upstream that is out of its mind.
    let origin = Origin::new(|at, seen| {
        let mut reply = good(&FILM, seen);
        if at > 0 {
            reply.status = StatusCode::RANGE_NOT_SATISFIABLE;
        }
        Ok(reply)
    });
    let (world, client) = (World::new(origin), Client::new());
    let mut body = client.opens(&world, world.ask("/a")).await;
    assert!(body.next().await.unwrap().unwrap() == FILM.bytes(0..16 * KIB));
    client.wire.handed.store(16 * KIB, Ordering::SeqCst);
    client.has(16 * KIB);
    assert!(body.next().await.unwrap().is_err(), "cut");
}

/// A long range is begun as a whole object is.
#[tokio::test(start_paused = true)]
async fn long_ranges_begin_with_a_window() {
    let (world, client) = (world(), Client::new());
    let ask = world.ask_range("/a", MIB + 8 * KIB, 3 * MIB - 1);
    let mut body = client.opens(&world, ask).await;
    let bytes = client.takes(&mut body, true).await;
    assert!(bytes == FILM.bytes(MIB + 8 * KIB..3 * MIB), "{} bytes", bytes.len());
    assert_eq!(ranges(&world)[0], "bytes=1048576-1073151");
    assert_eq!(fetched(&world), 2 * MIB);
    let object = world.found(&world.ask("/a")).await.object().clone();
    let here = |index| world.engine.cache().has_chunk(&object.chunk_key(index)).is_some();
    assert_eq!([here(0), here(1), here(2), here(3)], [false, true, true, false]);
}

/// One that begins far in a chunk is passed in windows, and nothing of it is kept.
#[tokio::test(start_paused = true)]
async fn ranges_from_the_middle_of_a_chunk_are_passed_in_windows() {
    let (first, last) = (MIB + 512 * KIB, 3 * MIB - 1);
    let asked = |world: &World, client: &Client| {
        let fields = super::script::headers(&[("range", &format!("bytes={first}-{last}"))]);
        let ask = client.asks(world.ask_range("/a", first, last));
        Ask { alone_headers: Arc::new(fields), ..ask }
    };
    let passed = async |world: &World, ask: &Ask| match world.engine.resolve(ask).await.unwrap() {
        Answer::Passed(passed) => passed.response,
        Answer::Object(_) => panic!("it is not to be kept"),
    };
    let (world, client) = (world(), Client::new());
    let response = passed(&world, &asked(&world, &client)).await;
    assert_eq!(response.headers[header::CONTENT_RANGE], "bytes 1572864-3145727/3146505");
    assert_eq!(response.content_length, Some(last + 1 - first));
    let mut body = response.body;
    let mut all = client.takes(&mut body, false).await;
    assert_eq!(all.len() as u64, 16 * KIB);
    client.has(16 * KIB);
    all.extend(client.takes(&mut body, false).await);
    assert_eq!(all.len() as u64, 32 * KIB);
    // For long it takes nothing.
    sleep(Duration::from_secs(60)).await;
    client.has(32 * KIB);
    all.extend(client.takes(&mut body, true).await);
    assert!(all == FILM.bytes(first..last + 1), "{} bytes", all.len());
    assert_eq!(ranges(&world)[..2], ["bytes=1572864-1589247", "bytes=1589248-1605631"]);
    assert_eq!(world.engine.cache().stats().objects, 0);

    // Whoever leaves has nothing more asked for.
    let (requests, client) = (world.origin.requests(), Client::new());
    let response = passed(&world, &asked(&world, &client)).await;
    drop(response);
    sleep(Duration::from_secs(2)).await;
    assert_eq!(world.origin.requests(), requests + 1);

    // What changes is cut, and what has no strong validator comes as it was asked for.
    static NEXT: Content = Content { object: 1, version: 2, size: 3 * MIB + 777 };
    let origin = Origin::new(|at, seen| Ok(good(if at == 0 { &FILM } else { &NEXT }, seen)));
    let (world, client) = (World::new(origin), Client::new());
    let mut body = passed(&world, &asked(&world, &client)).await.body;
    assert_eq!(client.takes(&mut body, false).await.len() as u64, 16 * KIB);
    client.has(16 * KIB);
    assert!(body.next().await.unwrap().is_err(), "cut");
    let weak = |_, seen: &_| {
        let mut reply = good(&FILM, seen);
        reply.headers.remove(header::ETAG);
        Ok(reply)
    };
    let (world, client) = (World::new(Origin::new(weak)), Client::new());
    let mut body = passed(&world, &asked(&world, &client)).await.body;
    let all = client.takes(&mut body, true).await;
    assert!(all == FILM.bytes(first..last + 1), "{} bytes", all.len());
    assert_eq!(ranges(&world)[1], format!("bytes={first}-{last}"));
}
