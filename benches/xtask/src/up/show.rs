//! What a person is told when everything runs: where to look, and what to try next.

use std::fmt::Write as _;

use crate::up::{
    config::{AUDIENCE, PREFIX},
    keys,
    plan::Edge,
    stack::Stack,
};

/// The page of an edge.
fn page(edge: &Edge) -> String {
    format!("{}/play", edge.url())
}

/// How to start Chromium so that it speaks QUIC under our CA.
pub(super) fn quic(stack: &Stack) -> String {
    let Some(edge) = stack.edges.first() else { return String::new() };
    let url = edge.url();
    let forced: Vec<String> = stack
        .edges
        .iter()
        .map(|edge| edge.url().trim_start_matches("https://").to_owned())
        .collect();
    format!(
        "chromium --user-data-dir=\"$(mktemp -d)\" --enable-quic \
         --origin-to-force-quic-on={} --ignore-certificate-errors-spki-list={} {url}/play",
        forced.join(","),
        stack.spki
    )
}

/// How to trust the CA, or do without.
pub(super) fn trust(stack: &Stack) -> String {
    let Some(edge) = stack.edges.first() else { return String::new() };
    // Whoever does not trust the authority yet had better fetch it without TLS.
    let plain = edge.plain_url();
    let from = plain.clone().unwrap_or_else(|| edge.url());
    let mut text = format!(
        "For HTTP/1.1 and HTTP/2 accept the browser's warning once, or trust the certificate \
         authority of this run: import {from}/ca.pem (Chromium: chrome://certificate-manager, \
         Firefox: Settings, Certificates, Authorities)."
    );
    if let Some(plain) = plain {
        let _ = write!(text, " Without TLS the page is at {plain}/play.");
    }
    text
}

/// Commands to try, each with what it shows.
pub(super) fn next(stack: &Stack) -> Vec<(String, String)> {
    let Some(edge) = stack.edges.first() else { return Vec::new() };
    let cachectl = stack.program("cachectl");
    let ctl = |words: &str| {
        format!("{} --socket {} {words}", cachectl.display(), edge.socket().display())
    };
    let film = format!("{}{PREFIX}{}", edge.url(), stack.film.hls);
    let pair = |what: &str, command: String| (what.to_owned(), command);
    vec![
        pair("Is the edge well?", ctl("status")),
        pair("What does its cache hold?", ctl("cache stats")),
        pair("Why is a playlist served as it is?", ctl(&format!("cache explain {film}"))),
        pair("Remove it; the next viewer's is a MISS.", ctl(&format!("cache purge url {film}"))),
        pair(
            "A link to the film of your own, good for an hour.",
            format!(
                "{} keys mint-url {film} --key {} --audience {AUDIENCE} --ttl 1h",
                cachectl.display(),
                keys::private(&stack.dir).display()
            ),
        ),
        pair("Every request, as it happens.", format!("tail -f {}", edge.access_log().display())),
        pair(
            "HTTP/3 from the command line, with a curl that has it (curl -V says HTTP3).",
            format!("curl --http3-only --cacert {} -I {}", stack.ca.display(), page(edge)),
        ),
    ]
}

/// All of it, for the terminal.
pub(super) fn text(stack: &Stack) -> String {
    let mut out = String::from("\n");
    let mut line = |text: &str| {
        out.push_str(text);
        out.push('\n');
    };
    line(&format!("  {} plays at", stack.film.title));
    line("");
    for edge in &stack.edges {
        line(&format!("      {}", page(edge)));
        if let Some(plain) = edge.plain_url() {
            line(&format!("      {plain}/play   (plain HTTP)"));
        }
    }
    line("");
    match (stack.local, stack.edges.len()) {
        (true, _) => line(
            "  One edge, for browsers on this machine. --listen ADDR,… serves other machines, \
             with one edge for each address.",
        ),
        (false, 1) => line("  One address, so one edge; name two and there are two."),
        (false, edges) => {
            line(&format!("  {edges} edges, one for each address; the page can switch."));
        }
    }
    line(&format!("\n  {}", trust(stack)));
    line("\n  Browsers refuse QUIC under a private CA. Chromium speaks HTTP/3 when started so:");
    line(&format!("\n      {}", quic(stack)));
    line("\n  Try next:");
    for (what, command) in next(stack) {
        line(&format!("\n    {what}\n      {command}"));
    }
    line(&format!("\n  Everything is in {}. Ctrl-C ends it.\n", stack.dir.display()));
    out
}
