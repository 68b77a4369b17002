//! ISO/IEC 23009-1.

use weir_edge_playlist::{Format::Dash, Ladder, PlaylistError, URL_MAX, Variables, read};

use crate::{URL, check, listed, refused};

fn mpd(inner: &str) -> String {
    format!("<?xml version=\"1.0\"?><MPD mediaPresentationDuration=\"PT10S\">{inner}</MPD>")
}

fn all(inner: &str, expected: &[&str], skipped: &[&str]) {
    check(Dash, &mpd(inner), Ladder::All, expected, skipped);
}

#[test]
fn templates_are_inherited() {
    all(
        "<Period><AdaptationSet contentType='video'>\
         <SegmentTemplate timescale='10' startNumber='3' initialization='$RepresentationID$/i' \
          media='$RepresentationID$/$Number%03d$-$Time$'>\
         <SegmentTimeline><S t='0' d='40' r='1'/><S d='20'/></SegmentTimeline></SegmentTemplate>\
         <Representation id='a' bandwidth='1'/>\
         <Representation id='b' bandwidth='2'><SegmentTemplate startNumber='9'/></Representation>\
         </AdaptationSet></Period>",
        &[
            "init a/i",
            "seg a/003-0",
            "seg a/004-40",
            "seg a/005-80",
            "init b/i",
            "seg b/009-0",
            "seg b/010-40",
            "seg b/011-80",
        ],
        &[],
    );
}

#[test]
fn durations_count_segments() {
    let with = |attributes: &str| {
        format!(
            "<Period><AdaptationSet><Representation id='a' bandwidth='7'>\
             <SegmentTemplate media='$Bandwidth$/$Number$' {attributes}/></Representation>\
             </AdaptationSet></Period>"
        )
    };
    all(&with("duration='4'"), &["seg 7/1", "seg 7/2", "seg 7/3"], &[]);
    all(&with("duration='5' startNumber='0'"), &["seg 7/0", "seg 7/1"], &[]);
    all(&with("duration='4' endNumber='2'"), &["seg 7/1", "seg 7/2"], &[]);
    all(&with(""), &["seg 7/1"], &[]);
    let one = |attributes| with(attributes).replace("/$Number$", "");
    all(&one(""), &["seg 7"], &[]);
    all(&one("duration='10'"), &["seg 7"], &[]);
    all(&one("duration='4'"), &[], &["$Bandwidth$: a template that is not understood"]);
    let live = mpd(&with("duration='4'"))
        .replace(" mediaPresentationDuration=\"PT10S\"", " type=\"dynamic\"");
    let why = ["$Bandwidth$/$Number$: a live template without a timeline lists nothing"];
    check(Dash, &live, Ladder::All, &[], &why);
    assert!(listed(Dash, &live, Ladder::All).live);
}

#[test]
fn lists_bases_and_files() {
    all(
        "<BaseURL>b/</BaseURL><BaseURL>//other/</BaseURL>\
         <Period><BaseURL>p/</BaseURL><AdaptationSet><Representation id='l'>\
         <SegmentList><Initialization sourceURL='i' range='0-9'/>\
         <SegmentURL media='1' mediaRange='5-9'/><SegmentURL media='2'/></SegmentList>\
         </Representation>\
         <Representation id='f'><BaseURL>file.mp4</BaseURL><SegmentBase indexRange='10-20'>\
         <Initialization range='0-9'/></SegmentBase></Representation>\
         <Representation id='s'><BaseURL>/s.vtt</BaseURL></Representation>\
         </AdaptationSet></Period>",
        &[
            "init b/p/i 0-9",
            "seg b/p/1 5-9",
            "seg b/p/2",
            "seg b/p/file.mp4",
            "seg https://h/s.vtt",
        ],
        &[],
    );
}

#[test]
fn periods_end_where_the_next_begins() {
    let period = |attributes: &str, name: &str| {
        format!(
            "<Period {attributes}><AdaptationSet><Representation id='{name}'>\
             <SegmentTemplate media='$RepresentationID$$Number$' duration='4'/></Representation>\
             </AdaptationSet></Period>"
        )
    };
    let two = format!("{}{}", period("start='PT0S'", "a"), period("start='PT4S'", "b"));
    all(&two, &["seg a1", "seg b1", "seg b2"], &[]);
    let told = format!("{}{}", period("duration='PT8S'", "a"), period("", "b"));
    all(&told, &["seg a1", "seg a2", "seg b1"], &[]);
}

#[test]
fn the_top_rung() {
    let set = |kind: &str, rest: &str, ids: &[(&str, u32)]| {
        let inner: String = ids
            .iter()
            .map(|(id, bits)| format!("<Representation id='{id}' bandwidth='{bits}'/>"))
            .collect();
        format!(
            "<AdaptationSet mimeType='{kind}/mp4'>{rest}\
             <SegmentTemplate initialization='$RepresentationID$'/>{inner}</AdaptationSet>"
        )
    };
    let trick = "<EssentialProperty schemeIdUri='http://dashif.org/guidelines/trickmode'/>";
    let text = mpd(&format!(
        "<Period>{}{}{}{}{}</Period>",
        set("video", "", &[("v1", 5), ("v2", 9)]),
        set("video", "", &[("w1", 20), ("w2", 7)]),
        set("video", trick, &[("t", 99)]),
        set("audio", "", &[("a1", 1), ("a2", 2)]),
        set("audio", "", &[("b1", 3)]),
    ));
    check(Dash, &text, Ladder::Top, &["init w1", "init a2", "init b1"], &[]);
    assert_eq!(listed(Dash, &text, Ladder::All).items.len(), 8);
}

#[test]
fn what_lies_elsewhere_or_is_not_understood() {
    all(
        "<Period xlink:href='http://else/p'/><Period><AdaptationSet>\
         <Representation id='a'><SegmentTemplate media='$Number$$SubNumber$' duration='4'/>\
         </Representation></AdaptationSet></Period>",
        &[],
        &[
            "http://else/p: a part of the manifest that lies elsewhere",
            "$Number$$SubNumber$: a template that is not understood",
        ],
    );
}

#[test]
fn refusals() {
    let check = |text: &str, why: &str| refused(Dash, text, why);
    check("", "no element");
    check("<html/>", "root element is not MPD");
    check("<!DOCTYPE MPD><MPD/>", "document type");
    check("<MPD><Period></MPD>", "expected");
    let many = "<Period><AdaptationSet><Representation id='a'><SegmentTemplate media='$Number$'>\
                <SegmentTimeline><S d='1' r='999999999999'/></SegmentTimeline></SegmentTemplate>\
                </Representation></AdaptationSet></Period>";
    check(&mpd(many), "lists more than");
    check(&mpd(&many.replace("r='999999999999'", "r='90000'").repeat(2)), "lists more than");
}

/// What makes each representation look at all of what it inherits takes hours, not a second.
#[test]
fn what_is_inherited_is_looked_up_once() {
    let list = |text: &str| {
        read(Dash, mpd(text).as_bytes(), URL, Ladder::All, &Variables::default())
            .map(|found| (found.items.len(), found.skipped_count))
    };
    let check = |text: &str, expected: Result<(usize, u64), PlaylistError>| {
        assert_eq!(list(text), expected, "{} ...", &text[..text.len().min(200)]);
    };
    let sets = |count: usize| "<AdaptationSet><Representation/></AdaptationSet>".repeat(count);
    let period = |inner: &str, count| format!("<Period>{inner}{}</Period>", sets(count));
    let few = "<AdaptationSet>".to_owned() + &"<Representation/>".repeat(140_000);
    let few = |inner: &str| format!("<Period>{inner}{few}</AdaptationSet></Period>");
    let many = |child: &str| child.repeat(140_000);
    // As many children of a period as representations.
    check(&period("", 149_000), Ok((0, 0)));
    let inside = |inner: &str| format!("<SegmentTemplate>{inner}</SegmentTemplate>");
    check(&few(&inside(&many("<x/>"))), Ok((0, 0)));
    let inside = |inner: &str| format!("<SegmentList>{inner}</SegmentList>");
    check(&few(&inside(&many("<x/>"))), Ok((0, 0)));
    // A timeline for each that lists nothing.
    let timeline = |attributes: &str, inner: &str| {
        format!(
            "<SegmentTemplate {attributes}><SegmentTimeline>{inner}</SegmentTimeline>\
             </SegmentTemplate>"
        )
    };
    let media = "media='$Number$'";
    check(&few(&timeline(media, &many("<S/>"))), Err(PlaylistError::TooCostly));
    // Many times of which none is named.
    let long = "<S d='1' r='999999'/>";
    check(&few(&timeline(&format!("{media} endNumber='0'"), long)), Ok((0, 0)));
    check(&few(&timeline("media='same'", long)), Ok((0, 140_000)));
    // Many that are left out.
    check(&few(&timeline("media='skd:$Number$'", long)), Err(PlaylistError::TooCostly));
    let zeros = "0".repeat(1 << 20);
    let attributes = format!("media='a' startNumber='{zeros}' duration='{zeros}'");
    check(&few(&format!("<SegmentTemplate {attributes}/>")), Err(PlaylistError::TooMany));
    let template = format!("<SegmentTemplate media='{zeros}'/>");
    check(&few(&template), Ok((0, 140_000)));
    let url = format!("<SegmentList><SegmentURL media='{zeros}'/></SegmentList>");
    check(&few(&url), Err(PlaylistError::TooCostly));
    let deep = |folder: &str| format!("<BaseURL>{}</BaseURL>", folder.repeat(URL_MAX / 2 - 8));
    let own = "<AdaptationSet><BaseURL>b</BaseURL></AdaptationSet>".repeat(99_000);
    check(&format!("<Period>{}{own}</Period>", deep("a/")), Err(PlaylistError::TooCostly));
}
