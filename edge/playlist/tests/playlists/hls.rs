//! RFC 8216 and its successor's drafts.

use weir_edge_playlist::{Format::Hls, ITEMS_MAX, Ladder, Variables, read};

use crate::{URL, check, listed, refused};

#[test]
fn media_playlists() {
    let check = |text: &str, expected: &[&str], skipped: &[&str]| {
        check(Hls, &format!("#EXTM3U\n{text}"), Ladder::All, expected, skipped);
    };
    check("", &[], &[]);
    check("# a comment\n\n#EXTINF:4,\r\n  1.m4s \r\n", &["seg 1.m4s"], &[]);
    check(
        "#EXT-X-MAP:URI=\"i.mp4\",BYTERANGE=\"100@0\"\n#EXT-X-BYTERANGE:50@100\nf.mp4\n\
         #EXT-X-BYTERANGE:25\nf.mp4\n#EXT-X-BYTERANGE:5@0\ng.mp4\n",
        &["init i.mp4 0-99", "seg f.mp4 100-149", "seg f.mp4 150-174", "seg g.mp4 0-4"],
        &[],
    );
    // RFC 8216 §4.3.2.5: another map holds for what follows it.
    check(
        "#EXT-X-MAP:URI=\"a\"\n1\n#EXT-X-DISCONTINUITY\n#EXT-X-MAP:URI=\"b\"\n2\n",
        &["init a", "seg 1", "init b", "seg 2"],
        &[],
    );
    check(
        "#EXT-X-KEY:METHOD=AES-128,URI=\"k\"\n1\n#EXT-X-KEY:METHOD=NONE,URI=\"no\"\n\
         #EXT-X-KEY:METHOD=SAMPLE-AES,URI=\"skd://a\"\n2\n",
        &["key k", "seg 1", "seg 2"],
        &["skd://a: neither http nor https"],
    );
    check(
        "#EXT-X-PART:DURATION=1,URI=\"p1\"\n#EXT-X-GAP\n#EXTINF:1,\ngone\nthere\n\
         #EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"p2\"\n",
        &["seg there"],
        &[
            "p1: a part of a segment, whose bytes the segment has",
            "gone: the playlist says that it is not there",
            "p2: a part of a segment, whose bytes the segment has",
        ],
    );
    check(
        "#EXT-X-DATERANGE:ID=\"a\",X-ASSET-URI=\"ad\"\n../b/1\n//o/x\n/y#z\n",
        &["seg https://h/vod/b/1", "seg https://o/x", "seg https://h/y"],
        &["ad: no part of the film"],
    );
}

#[test]
fn live_is_what_has_no_end() {
    let live = |text: &str| listed(Hls, &format!("#EXTM3U\n{text}"), Ladder::All).live;
    assert!(live("#EXTINF:1,\na\n"));
    assert!(!live("#EXTINF:1,\na\n#EXT-X-ENDLIST\n"));
    assert!(!live("#EXT-X-STREAM-INF:BANDWIDTH=1\na\n"));
}

const MASTER: &str = "#EXTM3U\n\
    #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"lo\",NAME=\"a\",URI=\"alo/i\"\n\
    #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"hi\",NAME=\"a\",URI=\"ahi/i\"\n\
    #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"hi\",NAME=\"b\",URI=\"bhi/i\"\n\
    #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"hi\",NAME=\"inside\"\n\
    #EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID=\"s\",NAME=\"s\",URI=\"s/i\"\n\
    #EXT-X-MEDIA:TYPE=CLOSED-CAPTIONS,GROUP-ID=\"c\",INSTREAM-ID=\"CC1\"\n\
    #EXT-X-STREAM-INF:BANDWIDTH=100,AUDIO=\"lo\"\nv1/i\n\
    #EXT-X-STREAM-INF:BANDWIDTH=900,AUDIO=\"hi\",SUBTITLES=\"s\"\n# between\nv2/i\n\
    #EXT-X-STREAM-INF:BANDWIDTH=900,AUDIO=\"hi\"\nbackup/i\n\
    #EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=9,URI=\"t/i\"\n\
    #EXT-X-SESSION-DATA:DATA-ID=\"d\",URI=\"d.json\"\n\
    #EXT-X-SESSION-KEY:METHOD=AES-128,URI=\"k\"\n";

#[test]
fn multivariant_playlists() {
    let beside = ["d.json: no part of the film"];
    let all = [
        "key k",
        "list v1/i",
        "list v2/i",
        "list backup/i",
        "list alo/i",
        "list ahi/i",
        "list bhi/i",
        "list s/i",
        "list t/i",
    ];
    check(Hls, MASTER, Ladder::All, &all, &beside);
    let top = ["key k", "list v2/i", "list ahi/i", "list bhi/i", "list s/i"];
    check(Hls, MASTER, Ladder::Top, &top, &beside);
}

#[test]
fn variables() {
    let text = "#EXTM3U\n#EXT-X-DEFINE:NAME=\"p\",VALUE=\"q\"\n#EXT-X-DEFINE:QUERYPARAM=\"x\"\n\
                #EXT-X-STREAM-INF:BANDWIDTH=1\n{$p}/{$x}\n";
    let found = listed(Hls, text, Ladder::All);
    assert_eq!(found.items[0].url, "https://h/vod/a/q/1");
    let inner = "#EXTM3U\n#EXT-X-DEFINE:IMPORT=\"p\"\n#EXT-X-MAP:URI=\"{$p}.mp4\"\n";
    let inner = read(Hls, inner.as_bytes(), URL, Ladder::All, &found.variables).unwrap();
    assert_eq!(inner.items[0].url, "https://h/vod/a/q.mp4");
    let import = "#EXTM3U\n#EXT-X-DEFINE:IMPORT=\"p\"\n";
    assert!(read(Hls, import.as_bytes(), URL, Ladder::All, &Variables::default()).is_err());
}

#[test]
fn refusals() {
    let check = |text: &str, why: &str| refused(Hls, text, why);
    check("", "first line");
    check("#EXTM3U8\n", "first line");
    check("\u{feff}#EXTM3U\n", "byte order mark");
    check("#EXTM3U\n#EXTINF:1,\na\n#EXT-X-STREAM-INF:BANDWIDTH=1\nb\n", "multivariant");
    check("#EXTM3U\n\n#EXT-X-MAP:BYTERANGE=\"1@2\"\n", "line 3: a map without its URI");
    check("#EXTM3U\n#EXT-X-MAP:URI=\"a\n", "line 2: a quote without its end");
    check("#EXTM3U\n#EXT-X-BYTERANGE:x\n", "line 2: no byte range");
    check("#EXTM3U\n#EXT-X-BYTERANGE:0@5\na\n", "line 3: no byte range");
    check("#EXTM3U\n#EXT-X-BYTERANGE:2@18446744073709551615\na\n", "no byte range");
    check("#EXTM3U\n#EXT-X-BYTERANGE:5\na\n", "a byte range that follows none");
    check("#EXTM3U\n#EXT-X-BYTERANGE:5@0\na\n#EXT-X-BYTERANGE:5\nb\n", "follows none");
    check("#EXTM3U\n{$p}\n", "a variable that nobody defined");
    let twice = "#EXT-X-DEFINE:NAME=\"p\",VALUE=\"q\"\n";
    check(&format!("#EXTM3U\n{twice}{twice}"), "defined already");
    check(&format!("#EXTM3U\n{}", "a\n".repeat(ITEMS_MAX + 1)), "lists more than");
    assert!(read(Hls, b"#EXTM3U\n\xff", URL, Ladder::All, &Variables::default()).is_err());
}
