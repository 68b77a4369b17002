//! The film page and the players' libraries, put into the bucket that the edge serves them
//! from.

use std::{fs, path::Path};

use serde_json::{Value, json};

use crate::{Failure, s3::S3, up::config::PAGES};

/// Files of the page, its own and those of npm: source, key, type.
const FILES: [(&str, &str, &str); 9] = [
    ("page/play.html", "play", "text/html; charset=utf-8"),
    ("page/play.css", "play.css", "text/css; charset=utf-8"),
    ("page/play.js", "play.js", "text/javascript; charset=utf-8"),
    ("page/players.js", "players.js", "text/javascript; charset=utf-8"),
    ("page/watch.js", "watch.js", "text/javascript; charset=utf-8"),
    ("page/chart.js", "chart.js", "text/javascript; charset=utf-8"),
    ("node_modules/hls.js/dist/hls.min.js", "lib/hls.js", "text/javascript; charset=utf-8"),
    (
        "node_modules/dashjs/dist/modern/umd/dash.all.min.js",
        "lib/dash.js",
        "text/javascript; charset=utf-8",
    ),
    (
        "node_modules/shaka-player/dist/shaka-player.compiled-es2021.js",
        "lib/shaka.js",
        "text/javascript; charset=utf-8",
    ),
];

/// The page may change with the next start; the players change with their lock file only.
const PAGE_FRESH: &str = "no-cache";
const LIBRARY_FRESH: &str = "max-age=600";

/// Puts everything but `play.json`. The authority's certificate is there as well, so that
/// other machines can fetch it to trust it.
pub(super) fn put(s3: &S3, players: &Path, ca: &Path) -> Result<(), Failure> {
    let more = [
        (players.join("page/weir.svg"), "weir.svg", "image/svg+xml"),
        (ca.to_owned(), "ca.pem", "application/x-x509-ca-cert"),
    ];
    let files = FILES.iter().map(|(source, key, kind)| (players.join(source), *key, *kind));
    for (path, key, kind) in files.chain(more) {
        let bytes = fs::read(&path).map_err(|why| Failure::path("read", &path, &why))?;
        let fresh = if key.starts_with("lib/") { LIBRARY_FRESH } else { PAGE_FRESH };
        s3.put(PAGES, key, &bytes, kind, fresh)?;
    }
    Ok(())
}

/// What the page is told of this run.
#[derive(Debug)]
pub(super) struct Told<'a> {
    /// The film's name.
    pub(super) title: &'a str,
    /// Path of the HLS manifest, with its token.
    pub(super) hls: &'a str,
    /// Path of the DASH manifest, with its token.
    pub(super) dash: &'a str,
    /// Name and URL of each edge.
    pub(super) edges: &'a [(String, String)],
    /// How to start Chromium so that it speaks HTTP/3.
    pub(super) quic_command: &'a str,
    /// How to trust the CA.
    pub(super) trust: &'a str,
    /// What to try: words and a command.
    pub(super) next: &'a [(String, String)],
}

/// Puts `play.json`.
pub(super) fn tell(s3: &S3, told: &Told<'_>) -> Result<(), Failure> {
    let pair = |names: [&str; 2], list: &[(String, String)]| -> Value {
        list.iter().map(|(a, b)| json!({ names[0]: a, names[1]: b })).collect()
    };
    let text = json!({
        "title": told.title,
        "hls": told.hls,
        "dash": told.dash,
        "edges": pair(["name", "url"], told.edges),
        "quic_command": told.quic_command,
        "trust": told.trust,
        "next": pair(["what", "command"], told.next),
    });
    // It holds a token of this run: no cache keeps it.
    s3.put(PAGES, "play.json", text.to_string().as_bytes(), "application/json", "no-store")
}
