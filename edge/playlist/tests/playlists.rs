//! Whole playlists: what is listed, what is left out, what is refused.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "playlists/dash.rs"]
mod dash;
#[path = "playlists/hls.rs"]
mod hls;
#[path = "playlists/own.rs"]
mod own;

use weir_edge_playlist::{Format, Item, Ladder, Listing, Variables, What, read};

const URL: &str = "https://h/vod/a/list?x=1";

fn listed(format: Format, text: &str, ladder: Ladder) -> Listing {
    read(format, text.as_bytes(), URL, ladder, &Variables::default()).unwrap()
}

/// One line an entry: what it is, its path, its range.
fn shown(item: &Item) -> String {
    let what = match item.what {
        What::Playlist => "list",
        What::Init => "init",
        What::Segment => "seg",
        What::Key => "key",
    };
    let range = item.range.map(|range| format!(" {}-{}", range.first, range.last));
    let path = item.url.strip_prefix("https://h/vod/a/").unwrap_or(&item.url);
    format!("{what} {path}{}", range.unwrap_or_default())
}

fn check(format: Format, text: &str, ladder: Ladder, expected: &[&str], skipped: &[&str]) {
    let found = listed(format, text, ladder);
    let items: Vec<_> = found.items.iter().map(shown).collect();
    assert_eq!(items, expected, "{text}");
    let left: Vec<_> = found
        .skipped
        .iter()
        .map(|one| format!("{}: {}", one.reference, one.why.as_str()))
        .collect();
    assert_eq!(left, skipped, "{text}");
}

fn refused(format: Format, text: &str, why: &str) {
    let found = read(format, text.as_bytes(), URL, Ladder::All, &Variables::default());
    let error = found.unwrap_err().to_string();
    assert!(error.contains(why), "{text}: {error}");
}
