//! Warming as an operator orders it: what the upstream is asked, and what clients find then.

use std::sync::Arc;

use bytes::Bytes;
use futures::{FutureExt, StreamExt, future::BoxFuture};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use parking_lot::Mutex;
use serde_json::{Value, json};
use weir_edge::service::{Preset, Services};
use weir_edge_fill::upstream::{Upstream, UpstreamError, UpstreamRequest, UpstreamResponse};

use super::{World, service};

const MASTER: &str = "#EXTM3U\n\
    #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"a\",URI=\"a/i.m3u8\"\n\
    #EXT-X-STREAM-INF:BANDWIDTH=100,AUDIO=\"a\"\nlow/i.m3u8\n\
    #EXT-X-STREAM-INF:BANDWIDTH=900,AUDIO=\"a\"\nhigh/i.m3u8\n";
const MEDIA: &str = "#EXTM3U\n#EXT-X-MAP:URI=\"init.mp4\"\n#EXTINF:4,\n1.m4s\n#EXTINF:4,\n2.m4s\n\
    #EXT-X-ENDLIST\n";
const MPD: &str = "<MPD mediaPresentationDuration=\"PT8S\"><Period>\
    <AdaptationSet contentType=\"video\">\
    <SegmentTemplate initialization=\"$RepresentationID$/init.mp4\" duration=\"4\" \
    media=\"$RepresentationID$/$Number$.m4s\"/>\
    <Representation id=\"low\" bandwidth=\"1\"/><Representation id=\"high\" bandwidth=\"2\"/>\
    </AdaptationSet></Period></MPD>";
const ODD: &str = "#EXTM3U\n#EXT-X-KEY:METHOD=AES-128,URI=\"/keys/k\"\n#EXTINF:4,\n\
    http://elsewhere.example/none/1\n#EXTINF:4,\ngone.m4s\n#EXTINF:4,\nhigh/1.m4s\n";
const RANGES: &str = "#EXTM3U\n#EXT-X-MAP:URI=\"big.mp4\",BYTERANGE=\"1000@0\"\n\
    #EXT-X-BYTERANGE:2000@1000\nbig.mp4\n#EXT-X-BYTERANGE:5000@9000\nbig.mp4\n#EXT-X-ENDLIST\n";
/// Lists itself, and what lists it.
const LOOP: &str = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nloop.m3u8\n\
    #EXT-X-STREAM-INF:BANDWIDTH=2\n../film/loop.m3u8\n#EXT-X-STREAM-INF:BANDWIDTH=3\nhigh/i.m3u8\n";
const SEGMENT: usize = 100_000;

/// Serves a film, and notes what it was asked.
#[derive(Debug, Default)]
struct Library {
    asked: Mutex<Vec<String>>,
}

impl Upstream for Library {
    fn id(&self) -> &str {
        "library"
    }

    fn send(
        &self,
        request: UpstreamRequest,
    ) -> BoxFuture<'_, Result<UpstreamResponse, UpstreamError>> {
        let path = request.path_and_query.clone();
        let range = request.headers.get(header::RANGE).map(|range| range.to_str().unwrap());
        self.asked.lock().push(format!("{path} {}", range.unwrap_or_default()).trim().to_owned());
        let name = path.rsplit('/').next().unwrap();
        let (kind, whole) = match name {
            "master.m3u8" => ("application/vnd.apple.mpegurl", Bytes::from(MASTER)),
            "i.m3u8" => ("application/vnd.apple.mpegurl", Bytes::from(MEDIA)),
            // Some servers know no name for it.
            "film.mpd" => ("text/xml", Bytes::from(MPD)),
            "odd.m3u8" => ("text/plain", Bytes::from(ODD)),
            "ranges.m3u8" => ("audio/mpegurl", Bytes::from(RANGES)),
            "loop.m3u8" => ("audio/mpegurl", Bytes::from(LOOP)),
            "huge.m3u8" => ("application/vnd.apple.mpegurl", huge()),
            "broken.m3u8" => ("audio/mpegurl", Bytes::from("#EXTM3U\n#EXT-X-MAP:X\n")),
            _ => ("video/mp4", Bytes::from(vec![7; SEGMENT])),
        };
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("max-age=60"));
        headers.insert(header::ETAG, HeaderValue::from_static("\"v1\""));
        let part = range.map(|range| {
            let (first, last) = range.strip_prefix("bytes=").unwrap().split_once('-').unwrap();
            let last: usize = last.parse().unwrap_or(usize::MAX);
            first.parse().unwrap()..(last.min(whole.len() - 1) + 1)
        });
        let (status, body) = match part {
            _ if name == "gone.m4s" => (StatusCode::NOT_FOUND, Bytes::new()),
            Some(part) => {
                let place = format!("bytes {}-{}/{}", part.start, part.end - 1, whole.len());
                headers.insert(header::CONTENT_RANGE, place.parse().unwrap());
                (StatusCode::PARTIAL_CONTENT, whole.slice(part))
            }
            None => (StatusCode::OK, whole),
        };
        let slow = name == "slow.m4s";
        async move {
            if slow {
                tokio::time::sleep(std::time::Duration::from_millis(500)).await;
            }
            let content_length = Some(body.len() as u64);
            let body = futures::stream::iter([Ok(body)]).boxed();
            Ok(UpstreamResponse { status, headers, content_length, body })
        }
        .boxed()
    }
}

/// More than is read of a playlist.
fn huge() -> Bytes {
    let line = "#EXTINF:4,\nhigh/1.m4s\n";
    let lines = line.repeat(weir_edge_playlist::PLAYLIST_MAX / line.len() + 1);
    Bytes::from(format!("#EXTM3U\n{lines}"))
}

fn film() -> (World, Arc<Library>) {
    let world = World::new();
    let library = Arc::new(Library::default());
    let of = |id, prefix| service(id, prefix, Preset::Media, Arc::clone(&library) as _);
    world
        .node
        .services
        .store(Arc::new(Services::new(vec![of("film", "/vod/"), of("keys", "/keys/")])));
    (world, library)
}

const BASE: &str = "https://cdn.example/vod/film/";

impl World {
    /// The job when it has ended.
    async fn warmed(&self, path: &str, options: &str) -> Value {
        let body = format!(r#"{{"urls":["{BASE}{path}"]{options}}}"#);
        let (status, job) = self.admin(Method::POST, "/v1/cache/warm", &body).await;
        assert_eq!(status, StatusCode::OK, "{job}");
        self.job(job["job"].as_u64().unwrap()).await
    }

    async fn job(&self, number: u64) -> Value {
        loop {
            let path = format!("/v1/cache/warm?job={number}");
            let (_, job) = self.admin(Method::GET, &path, "").await;
            if job["state"] != "running" {
                return job;
            }
            // Time stands still: it moves when nobody has anything else to do.
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    }
}

fn counts(job: &Value) -> [u64; 4] {
    ["fetched", "had", "failed", "skipped"].map(|name| job[name].as_u64().unwrap())
}

fn sorted(library: &Library) -> Vec<String> {
    let mut asked = library.asked.lock().clone();
    asked.sort();
    asked
}

#[tokio::test(start_paused = true)]
async fn a_film_is_here_before_anybody_asks() {
    let (world, library) = film();
    let job = world.warmed("master.m3u8", "").await;
    assert_eq!((counts(&job), &job["state"]), ([13, 0, 0, 0], &json!("done")), "{job}");
    assert_eq!((&job["playlists"], &job["live"]), (&json!(4), &json!(0)));
    let lists = MASTER.len() + 3 * MEDIA.len();
    assert_eq!(job["fetched_bytes"], json!(9 * SEGMENT + lists));
    let asked = sorted(&library);
    let mut once = asked.clone();
    once.dedup();
    assert_eq!((asked.len(), once.len()), (13, 13), "{asked:?}");
    for path in ["master.m3u8", "a/i.m3u8", "high/init.mp4", "low/2.m4s", "a/1.m4s"] {
        let answer = world.get(&format!("/vod/film/{path}"), &[]).await;
        assert!(answer.field("cache-status").contains("hit;"), "{}", answer.field("cache-status"));
    }
    assert_eq!(sorted(&library).len(), 13, "clients find everything");
    let again = world.warmed("master.m3u8", "").await;
    assert_eq!(counts(&again), [0, 13, 0, 0], "{again}");
    assert_eq!(again["had_bytes"], job["fetched_bytes"]);
    assert_eq!(sorted(&library).len(), 13, "nothing is asked for that is here");
    // What the other format lists is here but for its own manifest.
    assert_eq!(counts(&world.warmed("film.mpd", "").await), [1, 6, 0, 0]);
    // When it is stale, it is asked whether it holds; this library always sends all of it.
    world.clock.advance_millis(61_000);
    assert_eq!(counts(&world.warmed("high/1.m4s", "").await), [1, 0, 0, 0]);
}

#[tokio::test(start_paused = true)]
async fn the_top_rung_with_its_audio() {
    let (world, library) = film();
    let job = world.warmed("master.m3u8", r#","ladder":"top""#).await;
    assert_eq!(counts(&job), [9, 0, 0, 0], "{job}");
    assert!(!sorted(&library).iter().any(|path| path.contains("low/")));
    let (world, _) = film();
    assert_eq!(counts(&world.warmed("film.mpd", r#","ladder":"top""#).await), [4, 0, 0, 0]);
}

#[tokio::test(start_paused = true)]
async fn what_is_left_out_and_what_fails_is_named() {
    let (world, library) = film();
    let job = world.warmed("odd.m3u8", "").await;
    assert_eq!((counts(&job), &job["live"]), ([2, 0, 1, 2], &json!(1)), "{job}");
    let failure = &job["failures"][0];
    assert_eq!(failure["url"], format!("{BASE}gone.m4s"));
    assert_eq!(failure["why"], "the upstream answered 404 Not Found");
    let why = |at: usize| job["skips"][at]["why"].as_str().unwrap();
    assert!(why(0).contains("key of another service"), "{job}");
    assert!(why(1).contains("no service"), "{job}");
    assert!(!sorted(&library).iter().any(|path| path.contains("none") || path == "/k"));
    let broken = world.warmed("broken.m3u8", "").await;
    assert_eq!(counts(&broken), [0, 0, 1, 0]);
    let why = broken["failures"][0]["why"].as_str().unwrap();
    assert_eq!(why, "its playlist: line 2: an attribute without a value");
    // The job says so of a URL of its own that no service takes.
    let body = r#"{"urls":["https://h/none","no url"]}"#;
    let (_, job) = world.admin(Method::POST, "/v1/cache/warm", body).await;
    assert_eq!(counts(&world.job(job["job"].as_u64().unwrap()).await), [0, 0, 2, 0]);
    let metrics = world.node.metrics.encode(&world.node);
    assert!(metrics.contains("edge_warm_objects_total{result=\"failed\"} 4"), "{metrics}");
    assert!(metrics.contains("edge_warm_objects_total{result=\"skipped\"} 2"));
}

#[tokio::test(start_paused = true)]
async fn a_token_is_not_written_down() {
    let (world, _) = film();
    let token = world.token("/vod/", 600);
    let body = format!(r#"{{"urls":["https://h/t/{token}/vod/film/gone.m4s"]}}"#);
    let (_, job) = world.admin(Method::POST, "/v1/cache/warm", &body).await;
    let job = world.job(job["job"].as_u64().unwrap()).await.to_string();
    assert!(!job.contains(&token) && job.contains("/t/-/"), "{job}");
}

#[tokio::test(start_paused = true)]
async fn byte_ranges_are_asked_for_and_no_more() {
    let (world, library) = film();
    let job = world.warmed("ranges.m3u8", "").await;
    // Init and the first segment follow each other.
    assert_eq!((counts(&job)[2], job["objects"].as_u64()), (0, Some(3)), "{job}");
    let asked = sorted(&library);
    assert!(asked[0].starts_with("/film/big.mp4 bytes=0-"), "{asked:?}");
    assert_eq!(asked.len(), 2, "both ranges lie in one chunk: {asked:?}");
}

#[tokio::test(start_paused = true)]
async fn playlists_that_name_each_other_end() {
    let (world, library) = film();
    let job = world.warmed("loop.m3u8", "").await;
    assert_eq!(counts(&job), [5, 0, 0, 0], "{job}");
    assert_eq!(sorted(&library).len(), 5);
}

#[tokio::test(start_paused = true)]
async fn the_rate_holds() {
    let (world, _) = film();
    // 900 kB and the playlists, at 100 kB a second.
    let job = world.warmed("master.m3u8", r#","rate_bits":800000"#).await;
    assert_eq!(counts(&job), [13, 0, 0, 0], "{job}");
    let elapsed = job["elapsed_ms"].as_u64().unwrap();
    assert!((7_500..9_500).contains(&elapsed), "{elapsed}");
    let (_, without) = film().0.admin(Method::GET, "/v1/cache/warm", "").await;
    assert_eq!(without, json!({"jobs": []}));
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_job_asks_for_nothing_more() {
    let (world, library) = film();
    let body = format!(r#"{{"urls":["{BASE}master.m3u8"],"rate_bits":8000}}"#);
    let (_, job) = world.admin(Method::POST, "/v1/cache/warm", &body).await;
    assert_eq!(job["state"], "running");
    tokio::time::sleep(std::time::Duration::from_secs(30)).await;
    let number = format!(r#"{{"job":{}}}"#, job["job"]);
    world.admin(Method::POST, "/v1/cache/warm/cancel", &number).await;
    let job = world.job(1).await;
    assert_eq!(job["state"], "cancelled", "{job}");
    let asked = sorted(&library).len();
    assert!((1..13).contains(&asked), "{asked}");
    tokio::time::sleep(std::time::Duration::from_secs(3600)).await;
    assert_eq!(sorted(&library).len(), asked);
}

/// Tasks that waited through a reload are under its rules: of what is gone nothing more is asked.
#[tokio::test(start_paused = true)]
async fn what_waits_goes_by_the_configuration_of_now() {
    let (world, library) = film();
    let body = format!(r#"{{"urls":["{BASE}master.m3u8"],"rate_bits":80000}}"#);
    let (_, job) = world.admin(Method::POST, "/v1/cache/warm", &body).await;
    let before = world.node.services.load_full();
    let old = Arc::downgrade(before.find("cdn.example", "/vod/").unwrap());
    tokio::time::sleep(std::time::Duration::from_secs(30)).await;
    let asked = sorted(&library).len();
    let keys = service("keys", "/keys/", Preset::Media, Arc::clone(&library) as _);
    world.node.services.store(Arc::new(Services::new(vec![keys])));
    drop(before);
    let job = world.job(job["job"].as_u64().unwrap()).await;
    // What was on its way came to its end.
    let more = sorted(&library).len() - asked;
    assert!(asked < 12 && more <= 1, "{asked} {more}");
    assert_eq!(counts(&job)[2], 13 - (asked + more) as u64, "{job}");
    assert!(job["failures"][0]["why"].as_str().unwrap().contains("no service"), "{job}");
    assert!(old.upgrade().is_none(), "nothing holds the service of before");
}

#[tokio::test(start_paused = true)]
async fn bad_orders_are_refused() {
    let (world, _) = film();
    let check = async |method: Method, path: &str, body: &str, code: u16, what: &str| {
        let (status, answer) = world.admin(method, path, body).await;
        assert_eq!(status.as_u16(), code, "{body} {answer}");
        assert!(answer.to_string().contains(what), "{answer}");
    };
    const WARM: &str = "/v1/cache/warm";
    check(Method::POST, WARM, "", 400, "no request to warm").await;
    check(Method::POST, WARM, r#"{"urls":[]}"#, 400, "empty").await;
    check(Method::POST, WARM, r#"{"urls":["x"],"rate_bits":1}"#, 400, "8 kbit").await;
    check(Method::POST, WARM, r#"{"urls":["x"],"pin":true}"#, 409, "no disk").await;
    check(Method::GET, "/v1/cache/warm?job=x", "", 400, "no number").await;
    check(Method::GET, "/v1/cache/warm?job=7", "", 404, "no job 7").await;
    check(Method::POST, "/v1/cache/warm/cancel", r#"{"job":7}"#, 404, "no job 7").await;
    check(Method::DELETE, WARM, "", 405, "not offered").await;
    let slow = format!(r#"{{"urls":["{BASE}master.m3u8"],"rate_bits":8000}}"#);
    for _ in 0..4 {
        assert_eq!(world.admin(Method::POST, WARM, &slow).await.0, StatusCode::OK);
    }
    check(Method::POST, WARM, &slow, 503, "four jobs").await;
}

#[tokio::test(start_paused = true)]
async fn a_playlist_that_is_too_long_failed() {
    let (world, library) = film();
    let job = world.warmed("huge.m3u8", "").await;
    assert_eq!(counts(&job), [0, 0, 1, 0], "{job}");
    let why = job["failures"][0]["why"].as_str().unwrap();
    assert_eq!(why, "its playlist: it is longer than 8388608 bytes");
    assert!(
        !sorted(&library).iter().any(|asked| asked.contains("1.m4s")),
        "{:?}",
        sorted(&library)
    );
}

/// What came once is told once.
#[tokio::test(start_paused = true)]
async fn jobs_that_meet_on_one_object() {
    let (world, library) = film();
    let (one, two, three) = tokio::join!(
        world.warmed("slow.m4s", ""),
        world.warmed("slow.m4s", ""),
        world.warmed("slow.m4s", ""),
    );
    assert_eq!(sorted(&library).len(), 1, "{:?}", sorted(&library));
    let sum = |name: &str| {
        [&one, &two, &three].iter().map(|job| job[name].as_u64().unwrap()).sum::<u64>()
    };
    let sums = ["fetched", "had", "fetched_bytes", "had_bytes"].map(sum);
    assert_eq!(sums, [1, 2, SEGMENT as u64, 2 * SEGMENT as u64], "{one} {two} {three}");
}
