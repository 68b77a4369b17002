//! The scripted origin does what scripts say, seen through the small client.

use std::time::Duration;

use weir_benches_content::{Checker, Content, Expected};
use weir_benches_testbed::{
    Act, Client, Ended, Fault, Origin,
    origin::{BadHead, BadRange, Pace},
};

const PATH: &str = "/vod/a-100000.bin";

fn content() -> Content {
    Content::new(0xa, 1, 100_000)
}

async fn both() -> (Origin, Client) {
    let origin = Origin::start().await.expect("a free port");
    let client = Client::new(origin.address());
    (origin, client)
}

#[tokio::test]
async fn a_healthy_origin_serves_wholes_ranges_and_conditions() {
    let (origin, client) = both().await;
    let whole = client.get(PATH, &[]).await;
    assert_eq!((whole.status, whole.ended), (200, Ended::Whole));
    assert!(Checker::check(Expected::all(&content()), &whole.body).is_clean());
    let part = client.get(PATH, &[("range", "bytes=33-70000")]).await;
    assert_eq!(part.status, 206);
    assert_eq!(part.header("content-range"), Some("bytes 33-70000/100000"));
    assert!(Checker::check(Expected::range(&content(), 33..70_001), &part.body).is_clean());
    let same = client.get(PATH, &[("if-none-match", whole.header("etag").unwrap())]).await;
    assert_eq!((same.status, same.body.len()), (304, 0));
    let head = client.ask("HEAD", PATH, &[], b"").await;
    assert_eq!(head.header("content-length"), Some("100000"));
    origin.set_version(PATH, 2);
    let new = client.get(PATH, &[]).await;
    assert!(Checker::check(Expected::all(&content().at_version(2)), &new.body).is_clean());
    assert_ne!(new.header("etag"), whole.header("etag"));
    assert_eq!(origin.requests(PATH), 5);
    assert_eq!(origin.counts(PATH).body_bytes, 269_968);
    assert_eq!(origin.seen(PATH)[1].header("range"), Some("bytes=33-70000"));
}

#[tokio::test]
async fn scripts_run_in_order_and_then_the_origin_heals() {
    let (origin, client) = both().await;
    origin.script(
        PATH,
        [
            Act::fault(Fault::Reset { after: 5000 }),
            Act::fault(Fault::Short { after: 5000 }),
            Act::fault(Fault::Short { after: 5000 }).chunked(),
            Act::fault(Fault::CloseBeforeHead),
            Act::status(503),
        ],
    );
    let reply = client.get(PATH, &[]).await;
    assert_eq!((reply.ended, reply.body.len()), (Ended::Reset, 5000));
    for _ in 0..2 {
        let reply = client.get(PATH, &[]).await;
        assert_eq!((reply.ended, reply.body.len()), (Ended::Cut, 5000));
    }
    let reply = client.get(PATH, &[]).await;
    assert_eq!((reply.status, reply.ended), (0, Ended::Cut));
    assert_eq!(client.get(PATH, &[]).await.status, 503);
    let healed = client.get(PATH, &[]).await;
    assert!(Checker::check(Expected::all(&content()), &healed.body).is_clean());
}

#[tokio::test]
async fn long_bodies_and_lies_are_seen_by_the_checker() {
    let (origin, client) = both().await;
    let long = Fault::Long { extra: 10, forged: false };
    origin.script(PATH, [Act::fault(long).chunked(), Act::fault(Fault::Lie)]);
    let part = client.get(PATH, &[("range", "bytes=0-99")]).await;
    assert_eq!((part.status, part.ended, part.body.len()), (206, Ended::Whole, 110));
    let reply = client.get(PATH, &[]).await;
    let verdict = Checker::check(Expected::all(&content()), &reply.body).to_string();
    assert!(verdict.ends_with("wrong_object=100000"), "{verdict}");
}

#[tokio::test]
async fn an_understated_part_contradicts_its_content_range() {
    let (origin, client) = both().await;
    origin.always(PATH, Act::fault(Fault::Understated { by: 7 }));
    let part = client.get(PATH, &[("range", "bytes=0-99")]).await;
    assert_eq!((part.status, part.ended, part.body.len()), (206, Ended::Whole, 93));
    assert_eq!(part.header("content-range"), Some("bytes 0-99/100000"));
    assert_eq!(client.get(PATH, &[]).await.body.len(), 100_000);
}

#[tokio::test]
async fn bad_heads_are_no_http_and_bad_ranges_lie() {
    let (origin, client) = both().await;
    for bad in [BadHead::StatusLine, BadHead::Noise, BadHead::ChunkSize, BadHead::ChunkEnd] {
        origin.script(PATH, [Act::fault(Fault::Head(bad))]);
        let reply = client.get(PATH, &[]).await;
        assert_eq!(reply.ended, Ended::Garbage, "{bad:?}");
    }
    origin.script(PATH, [Act::fault(Fault::Head(BadHead::TwoLengths))]);
    let reply = client.get(PATH, &[]).await;
    assert_eq!(reply.headers.iter().filter(|(name, _)| name == "content-length").count(), 2);
    let check = |bad: BadRange, expected: Option<&'static str>| {
        origin.script(PATH, [Act::fault(Fault::ContentRange(bad))]);
        async move {
            let reply = client.get(PATH, &[("range", "bytes=10-19")]).await;
            assert_eq!((reply.status, reply.header("content-range")), (206, expected), "{bad:?}");
        }
    };
    check(BadRange::Shifted, Some("bytes 11-20/100000")).await;
    check(BadRange::Total, Some("bytes 10-19/101000")).await;
    check(BadRange::Missing, None).await;
    check(BadRange::Elsewhere, Some("bytes 9-18/100000")).await;
}

/// Real time, since a paused clock runs ahead of sockets; the bounds are loose.
#[tokio::test]
async fn pace_and_silence_take_their_time() {
    let (origin, mut client) = both().await;
    let (wait, over) = (Duration::from_millis(60), Duration::from_millis(140));
    origin.script(PATH, [Act::paced(wait, over)]);
    let begun = tokio::time::Instant::now();
    let reply = client.get(PATH, &[]).await;
    assert!(reply.first_body_byte.unwrap() >= wait);
    assert!(begun.elapsed() >= wait + over);
    assert!(Checker::check(Expected::all(&content()), &reply.body).is_clean());
    let counts = origin.counts(PATH);
    let spread = counts.last_body_byte.unwrap() - counts.first_body_byte.unwrap();
    assert!(spread >= over.mul_f32(0.9), "{spread:?}");
    client.deadline = Duration::from_millis(100);
    origin.script(
        PATH,
        [
            Act::fault(Fault::SilentBeforeHead),
            Act::fault(Fault::SilentInHead),
            Act::fault(Fault::SilentInBody { after: 10 }),
            Act::well().pace(Pace::Drip { piece: 10, gap: Duration::from_millis(30) }),
        ],
    );
    for (status, bytes) in [(0, 0..1), (0, 0..1), (200, 10..11), (200, 10..60)] {
        let reply = client.get(PATH, &[]).await;
        assert_eq!((reply.status, reply.ended), (status, Ended::TimedOut));
        assert!(bytes.contains(&reply.body.len()), "{}", reply.body.len());
    }
}
