//! What the manifests look like, and what must hold of any.

use expect_test::expect;
use proptest::prelude::*;
use weir_origin_media::{
    FrameRate, Presentation, Rendition, RenditionKind, SegmentFacts, dash, hls,
    presentation::target_duration,
};

fn rendition(id: &str, codec: &str, timescale: u32, segments: &[(u64, u64)]) -> Rendition {
    let mut start = 0;
    let facts = segments.iter().map(|(duration, bytes)| {
        let facts = SegmentFacts {
            start,
            shown_from: start,
            duration: *duration,
            samples: 1,
            bytes: *bytes,
            independent: true,
        };
        start += duration;
        facts
    });
    Rendition {
        id: id.into(),
        codec: codec.into(),
        timescale,
        segments: facts.collect(),
        kind: RenditionKind::Audio {
            sample_rate: 48_000,
            channels: 2,
            language: Some("de".into()),
        },
    }
}

fn video(id: &str, width: u32, height: u32, bytes: u64) -> Rendition {
    // 29.97: two full segments and a short one.
    let segments = [(120_120, bytes), (120_120, bytes * 2), (30_030, bytes)];
    let mut rendition = rendition(id, "avc1.64001F", 30_000, &segments);
    let rate = FrameRate::parse("30000/1001").expect("a rate");
    rendition.kind = RenditionKind::Video { width, height, rate };
    rendition
}

fn film() -> Presentation {
    Presentation {
        video: vec![video("v720", 1280, 720, 1_000_000), video("v360", 640, 360, 250_000)],
        audio: vec![rendition(
            "a128",
            "mp4a.40.2",
            48_000,
            &[(192_512, 65_000), (191_488, 65_000), (48_448, 16_000)],
        )],
    }
}

#[test]
fn a_multivariant_playlist() {
    expect![[r##"
        #EXTM3U
        #EXT-X-VERSION:7
        #EXT-X-INDEPENDENT-SEGMENTS

        #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="audio",NAME="de",LANGUAGE="de",DEFAULT=YES,AUTOSELECT=YES,CHANNELS="2",URI="a128/index.m3u8"

        #EXT-X-STREAM-INF:BANDWIDTH=1329150,AVERAGE-BANDWIDTH=1017645,CODECS="avc1.64001F,mp4a.40.2",RESOLUTION=640x360,FRAME-RATE=29.970,AUDIO="audio"
        v360/index.m3u8
        #EXT-X-STREAM-INF:BANDWIDTH=4925553,AVERAGE-BANDWIDTH=3681648,CODECS="avc1.64001F,mp4a.40.2",RESOLUTION=1280x720,FRAME-RATE=29.970,AUDIO="audio"
        v720/index.m3u8
    "##]].assert_eq(&hls::multivariant(&film()));
}

#[test]
fn a_silent_film_names_no_group() {
    let silent = Presentation { audio: Vec::new(), ..film() };
    expect![[r##"
        #EXTM3U
        #EXT-X-VERSION:7
        #EXT-X-INDEPENDENT-SEGMENTS

        #EXT-X-STREAM-INF:BANDWIDTH=1198802,AVERAGE-BANDWIDTH=888001,CODECS="avc1.64001F",RESOLUTION=640x360,FRAME-RATE=29.970
        v360/index.m3u8
        #EXT-X-STREAM-INF:BANDWIDTH=4795205,AVERAGE-BANDWIDTH=3552004,CODECS="avc1.64001F",RESOLUTION=1280x720,FRAME-RATE=29.970
        v720/index.m3u8
    "##]].assert_eq(&hls::multivariant(&silent));
}

#[test]
fn a_media_playlist() {
    expect![[r##"
        #EXTM3U
        #EXT-X-VERSION:7
        #EXT-X-TARGETDURATION:4
        #EXT-X-MEDIA-SEQUENCE:1
        #EXT-X-PLAYLIST-TYPE:VOD
        #EXT-X-INDEPENDENT-SEGMENTS
        #EXT-X-MAP:URI="init.mp4"
        #EXTINF:4.004000,
        seg-1.m4s
        #EXTINF:4.004000,
        seg-2.m4s
        #EXTINF:1.001000,
        seg-3.m4s
        #EXT-X-ENDLIST
    "##]]
    .assert_eq(&hls::media(&film().video[0]));
}

#[test]
fn an_mpd() {
    expect![[r#"
        <?xml version="1.0" encoding="utf-8"?>
        <MPD xmlns="urn:mpeg:dash:schema:mpd:2011" profiles="urn:mpeg:dash:profile:isoff-live:2011,urn:mpeg:dash:profile:cmaf:2019" type="static" mediaPresentationDuration="PT9.009S" maxSegmentDuration="PT4.010667S" minBufferTime="PT4.010667S">
          <Period id="0" start="PT0S" duration="PT9.009S">
            <AdaptationSet id="1" contentType="video" mimeType="video/mp4" segmentAlignment="true" startWithSAP="1" maxWidth="1280" maxHeight="720" frameRate="30000/1001">
              <Role schemeIdUri="urn:mpeg:dash:role:2011" value="main"/>
              <SegmentTemplate timescale="30000" startNumber="1" initialization="$RepresentationID$/init.mp4" media="$RepresentationID$/seg-$Number$.m4s">
                <SegmentTimeline>
                  <S t="0" d="120120" r="1"/>
                  <S d="30030"/>
                </SegmentTimeline>
              </SegmentTemplate>
              <Representation id="v720" bandwidth="4795205" codecs="avc1.64001F" width="1280" height="720" sar="1:1"/>
              <Representation id="v360" bandwidth="1198802" codecs="avc1.64001F" width="640" height="360" sar="1:1"/>
            </AdaptationSet>
            <AdaptationSet id="2" contentType="audio" lang="de" mimeType="audio/mp4" segmentAlignment="true" startWithSAP="1">
              <Role schemeIdUri="urn:mpeg:dash:role:2011" value="main"/>
              <SegmentTemplate timescale="48000" startNumber="1" initialization="$RepresentationID$/init.mp4" media="$RepresentationID$/seg-$Number$.m4s">
                <SegmentTimeline>
                  <S t="0" d="192512"/>
                  <S d="191488"/>
                  <S d="48448"/>
                </SegmentTimeline>
              </SegmentTemplate>
              <Representation id="a128" bandwidth="130348" codecs="mp4a.40.2" audioSamplingRate="48000">
                <AudioChannelConfiguration schemeIdUri="urn:mpeg:dash:23003:3:audio_channel_configuration:2011" value="2"/>
              </Representation>
            </AdaptationSet>
          </Period>
        </MPD>
    "#]].assert_eq(&dash::mpd(&film()));
}

#[test]
fn the_peak_is_over_runs_near_the_target() {
    // RFC 8216 §4.1: a short last segment counts only together with its neighbours.
    let check = |segments: &[(u64, u64)], expected: u64| {
        let got = rendition("a", "c", 1000, segments).peak_bits_per_second();
        assert_eq!(got, expected, "{segments:?}");
    };
    check(&[(4000, 500_000)], 1_000_000);
    check(&[(4000, 500_000), (4000, 1_000_000)], 2_000_000);
    // Alone the last would be 8 Mbit/s.
    check(&[(4000, 500_000), (1000, 1_000_000)], 2_400_000);
    check(&[(4000, 500_000), (2000, 1_000_000)], 4_000_000);
    check(&[], 0);
}

#[test]
fn target_durations_round() {
    let check = |ticks: u64, expected: u64| {
        assert_eq!(target_duration(&rendition("a", "c", 1000, &[(ticks, 1)])), expected);
    };
    check(4000, 4);
    check(4004, 4);
    check(4499, 4);
    check(4500, 5);
    check(40, 1);
}

proptest! {
    #[test]
    fn playlists_add_up(
        segments in prop::collection::vec((1u64..500_000, 1u64..9_000_000), 1..300),
        timescale in 1000u32..120_000,
    ) {
        let rendition = rendition("a", "c", timescale, &segments);
        let playlist = hls::media(&rendition);
        let lengths: Vec<u64> = playlist
            .lines()
            .filter_map(|line| line.strip_prefix("#EXTINF:")?.strip_suffix(','))
            .map(|text| text.replace('.', "").parse().unwrap())
            .collect();
        prop_assert_eq!(lengths.len(), segments.len());
        prop_assert_eq!(lengths.iter().sum::<u64>(), rendition.duration_micros());
        let target = target_duration(&rendition);
        for lasts in lengths {
            // RFC 8216 §4.3.3.1, give or take the microsecond of a rounded end.
            prop_assert!((lasts + 499_998) / 1_000_000 <= target);
        }
        prop_assert!(playlist.ends_with("#EXT-X-ENDLIST\n"));
        prop_assert!(rendition.peak_bits_per_second() >= rendition.average_bits_per_second());
    }

    #[test]
    fn the_timeline_folds_and_unfolds(
        lengths in prop::collection::vec((1u64..5, 1usize..6), 1..40)
    ) {
        let segments: Vec<(u64, u64)> =
            lengths.iter().flat_map(|(d, n)| std::iter::repeat_n((*d * 1000, 10), *n)).collect();
        let mut film = film();
        film.audio = vec![rendition("a", "c", 1000, &segments)];
        let mpd = dash::mpd(&film);
        let sound = mpd.split("contentType=\"audio\"").nth(1).unwrap();
        let mut unfolded = Vec::new();
        for line in sound.lines().filter(|line| line.trim_start().starts_with("<S ")) {
            let attribute = |name: &str| {
                let after = line.split(&format!(" {name}=\"")).nth(1)?;
                after.split('"').next()?.parse::<u64>().ok()
            };
            let repeats = attribute("r").unwrap_or(0);
            for _ in 0..=repeats {
                unfolded.push(attribute("d").unwrap());
            }
        }
        prop_assert_eq!(unfolded, segments.iter().map(|(d, _)| *d).collect::<Vec<_>>());
    }
}

#[test]
fn no_manifest_names_a_host_or_a_root() {
    let film = film();
    for text in [hls::multivariant(&film), hls::media(&film.video[0]), dash::mpd(&film)] {
        assert!(!text.contains("://"), "{text}");
        assert!(!text.contains("=\"/"), "{text}");
        assert!(text.lines().all(|line| !line.starts_with('/')), "{text}");
    }
}
