//! What keeps an upstream in trouble from dragging others along: its circuit, its budget of
//! repeats, its places among the fills, and the least rate of a body.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures::{FutureExt, StreamExt, future::BoxFuture, join};
use http::{HeaderMap, StatusCode};
use tokio::sync::Semaphore;
use weir_benches_content::Content;
use weir_edge_fill::{
    Ask, Failover,
    guard::{Breaker, Budget, Call, Circuit, Guard, Rules, Sort, Verdict},
    upstream::{Filling, Upstream, UpstreamError, UpstreamRequest, UpstreamResponse},
};

use crate::script::{MIB, Origin, Step, World, good, truncated, whole};

static SHORT: Content = Content { object: 6, version: 1, size: MIB / 2 };

const GOOD: Call = Call::Answered { took: Duration::from_millis(10) };
const SLOW: Call = Call::Answered { took: Duration::from_millis(900) };

fn breaker() -> Breaker {
    Breaker::new(Rules::of(Duration::from_millis(800)))
}

fn at(start: Instant, millis: u64) -> Instant {
    start + Duration::from_millis(millis)
}

/// Calls in a row, 10 ms apart: how often one passes.
fn calls(breaker: &mut Breaker, start: Instant, from: u64, count: u64, call: Call) -> u64 {
    let mut passed = 0;
    for now in (0..count).map(|n| at(start, from + 10 * n)) {
        if breaker.ask(now, Sort::Plain) == Verdict::Pass {
            passed += 1;
            breaker.told(now, now, call);
        }
    }
    passed
}

/// What came before, in tens of milliseconds, and how the circuit stands then.
#[test]
fn when_it_opens() {
    let check = |what: &str, before: &[(u64, Call)], expected: Circuit| {
        let (mut breaker, start) = (breaker(), Instant::now());
        let mut now = 0;
        for (count, call) in before {
            calls(&mut breaker, start, now, *count, *call);
            now += 10 * count;
        }
        assert_eq!(breaker.circuit(at(start, now)), expected, "{what}");
    };
    check("nothing", &[], Circuit::Closed);
    check("good ones", &[(500, GOOD)], Circuit::Closed);
    check("too few to say anything", &[(19, Call::Bad)], Circuit::Closed);
    check("all bad", &[(20, Call::Bad)], Circuit::Open);
    check("slow ones", &[(20, SLOW)], Circuit::Open);
    check("less than half", &[(21, GOOD), (20, Call::Bad)], Circuit::Closed);
    check("half", &[(20, GOOD), (20, Call::Bad)], Circuit::Open);
    check("bad clients", &[(100, Call::Nothing)], Circuit::Closed);
    check("bad ones long ago", &[(19, Call::Bad), (1200, GOOD), (5, Call::Bad)], Circuit::Closed);
}

#[test]
fn how_it_closes() {
    let (mut breaker, start) = (breaker(), Instant::now());
    assert_eq!(calls(&mut breaker, start, 0, 30, Call::Bad), 20, "it opens at the twentieth");
    let refused = Verdict::Refuse { after: Duration::from_millis(690) };
    assert_eq!(breaker.ask(at(start, 500), Sort::Plain), refused);
    // One at a time once it has rested.
    let half = at(start, 1200);
    assert_eq!(breaker.circuit(half), Circuit::HalfOpen);
    assert_eq!(breaker.ask(half, Sort::Plain), Verdict::Pass);
    assert!(matches!(breaker.ask(half, Sort::Plain), Verdict::Refuse { .. }));
    // A bad one opens it for twice as long, up to its most.
    breaker.told(half, half, Call::Bad);
    assert_eq!(breaker.ask(half, Sort::Plain), Verdict::Refuse { after: Duration::from_secs(2) });
    let mut now = 3200;
    for rest in [4, 8, 16, 30, 30] {
        assert_eq!(breaker.ask(at(start, now), Sort::Plain), Verdict::Pass, "at {now} ms");
        breaker.told(at(start, now), at(start, now), Call::Bad);
        let refused = Verdict::Refuse { after: Duration::from_secs(rest) };
        assert_eq!(breaker.ask(at(start, now), Sort::Plain), refused);
        now += rest * 1000;
    }
    // What says nothing makes room for the next trial; three good ones in a row, and it recovers.
    for call in [Call::Nothing, GOOD, GOOD, GOOD] {
        assert_eq!(breaker.circuit(at(start, now)), Circuit::HalfOpen);
        assert_eq!(breaker.ask(at(start, now), Sort::Plain), Verdict::Pass);
        breaker.told(at(start, now), at(start, now), call);
    }
    assert_eq!(breaker.circuit(at(start, now)), Circuit::Recovering);
    assert_eq!(breaker.circuit(at(start, now + 10_000)), Circuit::Closed);
    // From the beginning.
    calls(&mut breaker, start, now + 10_000, 20, Call::Bad);
    let refused = Verdict::Refuse { after: Duration::from_secs(1) };
    assert_eq!(breaker.ask(at(start, now + 10_190), Sort::Plain), refused);
}

/// However many come at once, what recovers gets little more than it had when it was well.
#[test]
fn a_recovering_upstream_is_not_stormed() {
    for steady in [5, 100, 1000] {
        let (mut breaker, start) = (breaker(), Instant::now());
        let mut passed = Vec::new();
        for milli in 0..100_000 {
            let now = at(start, milli);
            let down = (60_000..70_000).contains(&milli);
            // Whoever is refused comes again, and those that are behind come too.
            let demand = if milli < 60_000 { steady } else { steady * 10 };
            let due = |milli: u64| milli * demand / 1000;
            for _ in due(milli)..due(milli + 1) {
                if breaker.ask(now, Sort::Plain) == Verdict::Pass {
                    breaker.told(now, now, if down { Call::Bad } else { GOOD });
                    passed.push((milli, breaker.circuit(now)));
                }
            }
        }
        let back = passed.iter().filter(|(milli, _)| *milli >= 70_000);
        let ramp = back.filter(|(_, circuit)| *circuit != Circuit::Closed);
        let ramp: Vec<u64> = ramp.map(|(milli, _)| *milli).collect();
        let most = ramp.iter().map(|from| {
            let second = *from..*from + 1000;
            ramp.iter().filter(|milli| second.contains(milli)).count() as u64
        });
        let most = most.max().unwrap();
        assert!(most * 2 <= steady * 3, "{most} calls in a second after {steady}");
        assert!(ramp.len() as u64 > steady * 3, "it recovers at all: {}", ramp.len());
        let last = passed.last().unwrap();
        assert_eq!(last.1, Circuit::Closed, "after {steady}");
    }
}

#[test]
fn repeats_are_a_share_of_what_is_asked() {
    let mut budget = Budget::default();
    let now = Instant::now();
    let spend =
        |budget: &mut Budget, times: usize| (0..times).filter(|_| budget.spend(now)).count();
    assert_eq!(spend(&mut budget, 100), 20, "what is saved up at the start");
    (0..4).for_each(|_| budget.earn());
    assert_eq!(spend(&mut budget, 1), 0);
    budget.earn();
    assert_eq!(spend(&mut budget, 2), 1);
    (0..10_000).for_each(|_| budget.earn());
    assert_eq!(spend(&mut budget, 100), 20, "and no more is ever saved");
    let later = |millis: u64| now + Duration::from_millis(millis);
    assert!(!budget.spend(later(99)));
    assert!(budget.spend(later(100)) && !budget.spend(later(100)), "ten a second are free");
    let day = later(86_400_000);
    assert_eq!((0..100).filter(|_| budget.spend(day)).count(), 20, "and are saved no further");
}

/// Whoever uploads decides how long that takes. He cannot open a circuit by it, nor hold one shut.
#[test]
fn uploads_keep_nobody_out() {
    let response = |status: StatusCode| {
        let (headers, body) = (HeaderMap::new(), futures::stream::empty().boxed());
        Ok(UpstreamResponse { status, headers, content_length: None, body })
    };
    let check = |sort: Sort, seconds: u64, status: u16, expected: Circuit| {
        let guard = Guard::new("web", 1, Rules::of(Duration::from_secs(2)));
        let began = Instant::now();
        let now = began + Duration::from_secs(seconds);
        let status = StatusCode::from_u16(status).unwrap();
        for leave in (0..40).map(|_| guard.ask(began, sort, false).unwrap()).collect::<Vec<_>>() {
            leave.told(now, &response(status));
        }
        assert_eq!(guard.circuit(now), expected, "{sort:?}, {seconds} s, {status}");
    };
    check(Sort::Plain, 1, 200, Circuit::Closed);
    check(Sort::Plain, 2, 200, Circuit::Open);
    check(Sort::Upload, 60, 200, Circuit::Closed);
    check(Sort::Upload, 1, 503, Circuit::Open);
    // What one path answers says nothing of the others.
    check(Sort::Plain, 0, 500, Circuit::Closed);
    check(Sort::Plain, 0, 501, Circuit::Closed);
    check(Sort::Plain, 0, 502, Circuit::Open);
    check(Sort::Plain, 0, 503, Circuit::Open);
    check(Sort::Plain, 0, 504, Circuit::Open);
    check(Sort::Plain, 0, 505, Circuit::Closed);

    let start = Instant::now();
    let half_open = || {
        let mut breaker = breaker();
        calls(&mut breaker, start, 0, 20, Call::Bad);
        assert_eq!(breaker.circuit(at(start, 2000)), Circuit::HalfOpen);
        breaker
    };
    // An upload that never ends is beside the trial, and one a second may be.
    let mut breaker = half_open();
    let half = at(start, 2000);
    assert_eq!(breaker.ask(half, Sort::Upload), Verdict::Pass);
    assert!(matches!(breaker.ask(half, Sort::Upload), Verdict::Refuse { .. }));
    for _ in 0..3 {
        assert_eq!(breaker.ask(half, Sort::Plain), Verdict::Pass);
        breaker.told(half, half, GOOD);
    }
    assert_eq!(breaker.circuit(half), Circuit::Recovering);
    // A trial without end makes room for the next one after the deadline.
    let mut breaker = half_open();
    assert_eq!(breaker.ask(half, Sort::Plain), Verdict::Pass);
    let refused = Verdict::Refuse { after: Duration::from_secs(1) };
    assert_eq!(breaker.ask(at(start, 2799), Sort::Plain), refused);
    assert_eq!(breaker.ask(at(start, 2800), Sort::Plain), Verdict::Pass);
    // How one ends that began before the circuit opened is nothing new.
    breaker.told(at(start, 100), at(start, 2900), Call::Bad);
    assert_eq!(breaker.circuit(at(start, 2900)), Circuit::HalfOpen);
    // Where nothing but uploads comes, they close it.
    let mut breaker = half_open();
    for second in 2..5 {
        let now = at(start, second * 1000);
        assert_eq!(breaker.ask(now, Sort::Upload), Verdict::Pass);
        breaker.told(now, now, GOOD);
    }
    assert_eq!(breaker.circuit(at(start, 5000)), Circuit::Recovering);
}

/// A call whose end nobody waited for is a bad one.
#[test]
fn what_is_given_up_counts() {
    let guard = Guard::new("web", 1, Rules::of(Duration::from_secs(1)));
    let now = Instant::now();
    for _ in 0..20 {
        drop(guard.ask(now, Sort::Plain, false).unwrap());
    }
    let error = guard.ask(now, Sort::Plain, false).unwrap_err().to_string();
    assert_eq!(error, "upstream web takes no requests now: its circuit is open, for 1 s or more");
}

/// An origin with places of its own among the fills.
#[derive(Debug)]
struct Bounded {
    origin: Arc<Origin>,
    slots: Arc<Semaphore>,
}

impl Upstream for Bounded {
    fn id(&self) -> &str {
        "bounded"
    }

    fn slots(&self) -> Option<Arc<Semaphore>> {
        Some(Arc::clone(&self.slots))
    }

    fn send(
        &self,
        request: UpstreamRequest,
    ) -> BoxFuture<'_, Result<UpstreamResponse, UpstreamError>> {
        self.origin.send(request).boxed()
    }
}

/// Bodies that drip hold the places of their own upstream, and none of another one's.
#[tokio::test(start_paused = true)]
async fn a_dripping_upstream_starves_itself_only() {
    let dripping = Origin::new(|_, _| {
        let mut reply = whole(&SHORT);
        reply.steps = (0..60).map(|_| Step::Wait(Duration::from_secs(1))).collect();
        reply.steps.push(Step::Send(SHORT.all()));
        Ok(reply)
    });
    let world = World::new(Origin::new(|_, seen| Ok(good(&SHORT, seen))));
    let slots = Arc::new(Semaphore::new(4));
    let bounded = Arc::new(Bounded { origin: dripping, slots: Arc::clone(&slots) });
    let theirs = |n: usize| Ask {
        upstream: Arc::clone(&bounded) as _,
        ..world.ask_under(&format!("/drip/{n}"), |policy| policy.deadline = Duration::from_secs(90))
    };
    // More than there are places for all upstreams together.
    let dripped = futures::future::join_all((0..100).map(|n| {
        let ask = theirs(n);
        let world = &world;
        async move { world.engine.resolve(&ask).await.map(|_| ()) }
    }));
    let ours = async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert_eq!((slots.available_permits(), world.engine.slots_free()), (0, 60));
        let begun = tokio::time::Instant::now();
        world.read_right(&world.ask("/a"), &SHORT).await;
        assert!(begun.elapsed() < Duration::from_millis(10));
    };
    let (ends, ()) = join!(dripped, ours);
    let without = ends.iter().filter(|end| end.is_err()).count();
    assert!(without >= 90, "{without} of those that found no place were told so");
}

/// A body that trickles in is given up, one that is slow and worth it is not.
#[tokio::test(start_paused = true)]
async fn a_body_has_a_least_rate() {
    for (bytes_a_second, whole_in_the_end) in [(200, false), (2000, true)] {
        let origin = Origin::new(move |_, _| {
            let mut reply = whole(&SHORT);
            reply.headers.remove(http::header::ETAG);
            let pieces = SHORT
                .all()
                .chunks(bytes_a_second)
                .map(bytes::Bytes::copy_from_slice)
                .collect::<Vec<_>>();
            let second = Duration::from_secs(1);
            reply.steps = pieces
                .into_iter()
                .flat_map(|piece| [Step::Wait(second), Step::Send(piece)])
                .collect();
            Ok(reply)
        });
        let world = World::new(origin);
        let (bytes, end) = world.read(&world.ask("/a")).await;
        assert_eq!(end.is_ok(), whole_in_the_end, "{bytes_a_second} bytes a second");
        if let Err(error) = end {
            assert_eq!(
                error.to_string(),
                "upstream origin sent 6000 bytes in 30s, less than 1024 a second"
            );
            assert_eq!(bytes.len(), 5800);
        }
        assert_eq!(world.engine.slots_free(), 64);
    }
}

/// An origin whose guard is asked first.
#[derive(Debug)]
struct Guarded {
    origin: Arc<Origin>,
    guard: Arc<Guard>,
}

impl Guarded {
    async fn ask(
        &self,
        again: bool,
        request: UpstreamRequest,
    ) -> Result<UpstreamResponse, UpstreamError> {
        let now = || tokio::time::Instant::now().into_std();
        let leave = self.guard.ask(now(), Sort::Plain, again)?;
        let result = self.origin.send(request).await;
        leave.told(now(), &result);
        result
    }
}

impl Upstream for Guarded {
    fn id(&self) -> &str {
        "guarded"
    }

    fn send(
        &self,
        request: UpstreamRequest,
    ) -> BoxFuture<'_, Result<UpstreamResponse, UpstreamError>> {
        self.ask(false, request).boxed()
    }

    fn fill(
        &self,
        filling: Filling,
        request: UpstreamRequest,
    ) -> BoxFuture<'_, Result<UpstreamResponse, UpstreamError>> {
        self.ask(filling.failures > 0 && !filling.earned, request).boxed()
    }
}

/// A connection dies with many bodies on it, and its server is back at once: more of them than
/// there are repeats saved up are brought to their end, those that had brought much at once and
/// the others one after the other.
#[tokio::test(start_paused = true)]
async fn bodies_that_break_off_together_all_go_on() {
    for (bodies, first_bytes, within_millis) in [(60, 64 << 10, 500), (36, 1 << 10, 2500)] {
        let origin = Origin::new(move |_, seen| {
            let mut reply = good(&SHORT, seen);
            if seen.range.is_none() {
                let piece = SHORT.all().slice(..first_bytes);
                let second = Duration::from_secs(1);
                reply.steps = vec![Step::Send(piece), Step::Wait(second), Step::Fail(truncated(0))];
            }
            Ok(reply)
        });
        let world = World::new(origin);
        let guard = Guard::new("guarded", 64, Rules::of(Duration::from_secs(2)));
        let guarded = Arc::new(Guarded { origin: Arc::clone(&world.origin), guard });
        let begun = tokio::time::Instant::now();
        let all = (0..bodies).map(|n| {
            let upstream = Arc::clone(&guarded) as _;
            let ask = Ask { upstream, ..world.ask(&format!("/body/{n}")) };
            let world = &world;
            async move { world.read_right(&ask, &SHORT).await }
        });
        futures::future::join_all(all).await;
        let took = begun.elapsed();
        assert!(took < Duration::from_millis(1000 + within_millis), "{bodies}: {took:?}");
        assert_eq!(world.origin.requests(), 2 * bodies);
    }
}

/// What another upstream brings holds its places, not only those of the first that is down.
#[tokio::test(start_paused = true)]
async fn the_second_upstream_has_its_own_places() {
    let gone = || UpstreamError::Connect { upstream: "first".into(), reason: "refused".into() };
    let first = Origin::new(move |_, _| Err(gone()));
    let second = Origin::new(|_, _| {
        let mut reply = whole(&SHORT);
        reply.steps.insert(0, Step::Wait(Duration::from_secs(1)));
        Ok(reply)
    });
    let bounded = |origin: &Arc<Origin>, places: usize| {
        let slots = Arc::new(Semaphore::new(places));
        Arc::new(Bounded { origin: Arc::clone(origin), slots })
    };
    let world = World::new(Arc::clone(&second));
    let (one, two) = (bounded(&first, 48), bounded(&second, 8));
    let both = Arc::new(Failover::new(vec![one as _, Arc::clone(&two) as _]).unwrap());
    let all = futures::future::join_all((0..48).map(|n| {
        let ask = Ask { upstream: Arc::clone(&both) as _, ..world.ask(&format!("/{n}")) };
        let world = &world;
        async move { world.read(&ask).await.1 }
    }));
    let watch = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert_eq!((first.requests(), second.requests()), (48, 8));
        // Who takes no place passes.
        let ask = Ask { upstream: Arc::clone(&both) as _, ..world.ask("/alone") };
        let passed = world.engine.pass_by(&ask, http::Method::GET, None, None).await;
        assert!(passed.is_ok());
        tokio::time::sleep(Duration::from_millis(1000)).await;
        assert_eq!(second.requests(), 17, "8, who passed, and 8 after them");
    };
    let (ends, ()) = join!(all, watch);
    let brought = ends.iter().filter(|end| end.is_ok()).count();
    assert!((8..=24).contains(&brought), "{brought}");
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!((two.slots.available_permits(), world.engine.slots_free()), (8, 64));
}
