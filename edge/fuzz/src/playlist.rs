//! Playlists that warming reads: HLS and DASH.

use std::collections::HashSet;

use weir_edge_playlist::{
    Format, ITEMS_MAX, Ladder, Listing, SKIPPED_MAX, TEXT_MAX, URL_MAX, Variables, read, uri,
};

const URL: &str = "https://h/t/token/vod/a/list?q=1";

pub(crate) fn hls(input: &[u8]) {
    both(Format::Hls, input);
}

pub(crate) fn mpd(input: &[u8]) {
    both(Format::Dash, input);
}

fn both(format: Format, input: &[u8]) {
    let list = |ladder| read(format, input, URL, ladder, &Variables::default());
    // The top rung of what is too long as a whole may be short enough.
    let (Ok(all), Ok(top)) = (list(Ladder::All), list(Ladder::Top)) else { return };
    sound(&all);
    sound(&top);
    let all: HashSet<_> = all.items.iter().collect();
    assert!(top.items.iter().all(|item| all.contains(item)), "the top is among all");
}

fn sound(found: &Listing) {
    assert!(found.items.len() <= ITEMS_MAX && found.skipped.len() <= SKIPPED_MAX);
    assert!(found.skipped.len() as u64 <= found.skipped_count);
    assert!(found.items.iter().map(|item| item.url.len()).sum::<usize>() <= TEXT_MAX);
    for item in &found.items {
        let url = &item.url;
        assert!(url.len() <= URL_MAX && url.bytes().all(|byte| byte.is_ascii_graphic()), "{url}");
        assert_eq!(uri::resolve(URL, url), *url, "it stands by itself");
        assert!(item.range.is_none_or(|range| range.first <= range.last));
    }
}
