//! What our own packager writes is read back to the last segment, and any bytes do no harm.

use std::collections::BTreeSet;

use proptest::prelude::*;
use weir_edge_playlist::{
    Format, ITEMS_MAX, Item, Ladder, TEXT_MAX, URL_MAX, Variables, What, format_of, read,
};
use weir_origin_media::{
    dash, hls,
    presentation::{Presentation, Rendition, RenditionKind, SegmentFacts},
    rate::FrameRate,
};

use crate::URL;

fn rendition(id: &str, bytes: u64, kind: RenditionKind) -> Rendition {
    let segment = |number: u64| SegmentFacts {
        start: number * 96,
        shown_from: number * 96,
        duration: if number == 24 { 40 } else { 96 },
        samples: 96,
        bytes,
        independent: true,
    };
    let (id, codec) = (id.to_owned(), "avc1.64001f".to_owned());
    Rendition { id, codec, timescale: 24, segments: (0..25).map(segment).collect(), kind }
}

fn film() -> Presentation {
    let rate = FrameRate::new(24, 1).unwrap();
    let video = |id, bytes, height| {
        rendition(id, bytes, RenditionKind::Video { width: height * 2, height, rate })
    };
    let sound = RenditionKind::Audio { sample_rate: 48_000, channels: 2, language: None };
    Presentation {
        video: vec![video("v720", 900_000, 720), video("v360", 200_000, 360)],
        audio: vec![rendition("a128", 60_000, sound)],
    }
}

fn files(format: Format, text: &str, url: &str, ladder: Ladder) -> BTreeSet<Item> {
    assert_eq!(format_of(None, text.as_bytes()), Some(format));
    let found = read(format, text.as_bytes(), url, ladder, &Variables::default()).unwrap();
    assert_eq!(found.skipped, []);
    assert!(!found.live);
    found.items.into_iter().collect()
}

#[test]
fn both_formats_of_a_film_list_the_same_files() {
    let film = film();
    for (ladder, renditions) in [(Ladder::All, 3), (Ladder::Top, 2)] {
        let mut by_hls = BTreeSet::new();
        let lists = files(Format::Hls, &hls::multivariant(&film), "http://h/f/m", ladder);
        assert_eq!(lists.len(), renditions);
        for list in lists {
            assert_eq!(list.what, What::Playlist);
            let id = list.url.split('/').nth_back(1).unwrap();
            let all = film.video.iter().chain(&film.audio);
            let rendition = all.into_iter().find(|rendition| rendition.id == id).unwrap();
            by_hls.extend(files(Format::Hls, &hls::media(rendition), &list.url, ladder));
        }
        let by_dash = files(Format::Dash, &dash::mpd(&film), "http://h/f/manifest.mpd", ladder);
        assert_eq!(by_hls, by_dash);
        assert_eq!(by_dash.len(), renditions * 26);
    }
}

/// Pieces of playlists, so that not everything is refused at once.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "#EXTM3U\n",
        "#EXTINF:1,\n",
        "#EXT-X-MAP:URI=\"",
        "\"\n",
        "a/b\n",
        "#EXT-X-BYTERANGE:9@1\n",
        "#EXT-X-STREAM-INF:BANDWIDTH=5,AUDIO=\"a\"\n",
        "#EXT-X-DEFINE:NAME=\"n\",VALUE=\"{$n}\"\n",
        "{$n}",
        "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",URI=\"",
        "../",
        "//",
        "?",
        "#",
        ":",
        "=",
        "<MPD>",
        "</MPD>",
        "<Period>",
        "</Period>",
        "<AdaptationSet>",
        "</AdaptationSet>",
        "<Representation id='r' bandwidth='1'>",
        "</Representation>",
        "<BaseURL>",
        "</BaseURL>",
        "<SegmentTemplate media='$Number%09d$' duration='1' ",
        "/>",
        ">",
        "</SegmentTemplate>",
        "<SegmentTimeline><S d='1' r='99999'/></SegmentTimeline>",
        "r='-1'",
        "&amp;",
        "\u{e9}",
        "<SegmentList><SegmentURL media='x' mediaRange='1-2'/></SegmentList>",
        "18446744073709551615",
    ]);
    prop::collection::vec(prop_oneof![9 => piece.prop_map(str::to_owned), 1 => ".{0,9}"], 0..40)
        .prop_map(|pieces| pieces.concat())
}

fn holds(bytes: &[u8]) {
    for format in [Format::Hls, Format::Dash] {
        let list = |ladder| read(format, bytes, URL, ladder, &Variables::default());
        let (all, top) = (list(Ladder::All), list(Ladder::Top));
        // The ladder changes what is listed, never whether it can be read, but for the bounds.
        let (Ok(all), Ok(top)) = (all, top) else { continue };
        assert!(all.items.len() <= ITEMS_MAX);
        assert!(all.items.iter().map(|item| item.url.len()).sum::<usize>() <= TEXT_MAX);
        for item in &all.items {
            assert!(item.url.len() <= URL_MAX && item.url.bytes().all(|b| b.is_ascii_graphic()));
            assert!(item.url.to_ascii_lowercase().starts_with("http"), "{}", item.url);
            assert!(item.range.is_none_or(|range| range.first <= range.last));
        }
        let all: BTreeSet<_> = all.items.into_iter().collect();
        assert!(top.items.iter().all(|item| all.contains(item)), "the top is among all");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        holds(&bytes);
    }

    #[test]
    fn no_piece_of_a_playlist_panics(text in pieces()) {
        holds(text.as_bytes());
        holds(format!("#EXTM3U\n{text}").as_bytes());
        holds(format!("<MPD><Period><AdaptationSet>{text}").as_bytes());
    }
}
