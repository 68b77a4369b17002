//! The page on the management address: one document that asks nothing of anybody else, and the
//! events that keep it up to date. It shows and commands nothing.

mod event;

use std::{
    convert::Infallible,
    sync::{Arc, LazyLock},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use sha2::{Digest, Sha256};
use tokio::sync::{OwnedSemaphorePermit, watch};
use weir_config_lifecycle::Phase;
use weir_edge_http::{Request, Response, ResponseBody};

use super::content;
use crate::{live::FOLLOWERS, node::Node};

pub(crate) use event::tick;

const HTML: &str = include_str!("page/page.html");
const STYLE: &str = include_str!("page/page.css");
const SCRIPT: &str = include_str!("page/page.js");

/// The document and what it may do.
struct Page {
    text: Bytes,
    policy: HeaderValue,
}

/// Put together once.
static PAGE: LazyLock<Page> = LazyLock::new(|| {
    let text = HTML.replace("/* style */", STYLE).replace("/* script */", SCRIPT);
    Page { text: text.into(), policy: policy(STYLE, SCRIPT) }
});

/// Content Security Policy Level 3: nothing but this style, this script, and what is asked of
/// this server.
fn policy(style: &str, script: &str) -> HeaderValue {
    let hash = |text: &str| format!("'sha256-{}'", STANDARD.encode(Sha256::digest(text)));
    let (style, script) = (hash(style), hash(script));
    let text = format!(
        "default-src 'none'; style-src {style}; script-src {script}; connect-src 'self'; \
         img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    HeaderValue::try_from(text).expect("words, quotes and base64 are a header value")
}

/// The document.
pub(super) fn page() -> Response {
    let mut response = content(StatusCode::OK, "text/html; charset=utf-8", PAGE.text.clone());
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, PAGE.policy.clone());
    guard(headers);
    response
}

/// For browsers: no guessing of types, no telling where one was, no use by other sites.
fn guard(headers: &mut HeaderMap) {
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-resource-policy", "same-origin"),
        ("x-frame-options", "DENY"),
    ] {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
}

/// What an answer to somebody who asks by another name says, and none to others.
///
/// A page of a stranger's site may have its own name point to this address, and read then what a
/// browser inside finds here (DNS rebinding). So a name has to be an address, one that nobody can
/// register, the node's own, or one that the configuration knows.
pub(super) fn misdirected(node: &Node, request: &Request) -> Option<Response> {
    const TEXT: &str = "this address does not answer to that name; ask by its address or by the \
                        node's name, or let admin.hosts name it\n";
    let host = host(request)?;
    let told = || node.config.get().is_some_and(|config| config.is_host(&host));
    let wrong = !is_ours(&host, &node.name) && !told();
    // RFC 9110 §15.5.20
    wrong.then(|| content(StatusCode::MISDIRECTED_REQUEST, "text/plain; charset=utf-8", TEXT))
}

fn host(request: &Request) -> Option<String> {
    let authority = request.uri().authority().map(http::uri::Authority::as_str);
    let named = || request.headers().get(header::HOST)?.to_str().ok();
    authority.or_else(named).map(crate::admit::host_of)
}

/// Whether a browser may have come here by this name without anybody's doing.
fn is_ours(host: &str, node: &str) -> bool {
    let node = node.to_ascii_lowercase();
    let under = |name: &str| host.strip_prefix(name).is_some_and(|rest| rest.starts_with('.'));
    host.parse::<std::net::IpAddr>().is_ok() || !host.contains('.') || host == node || under(&node)
}

/// What happens, once a second until the node has drained (HTML, server-sent events). A page of
/// another site gets none: it could take the seats, though it would not hear anything.
pub(super) fn events(node: &Arc<Node>, request: &Request) -> Response {
    const PLAIN: &str = "text/plain; charset=utf-8";
    let from = request.headers().get("sec-fetch-site").map(HeaderValue::as_bytes);
    let elsewhere = from.is_some_and(|site| !matches!(site, b"same-origin" | b"none"));
    if elsewhere {
        return content(StatusCode::FORBIDDEN, PLAIN, "for the page of this server only\n");
    }
    let Ok(seat) = Arc::clone(&node.live.seats).try_acquire_owned() else {
        let text = format!("{FOLLOWERS} pages are open already; close one\n");
        let mut response = content(StatusCode::SERVICE_UNAVAILABLE, PLAIN, text);
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("10"));
        return response;
    };
    let mut response = content(StatusCode::OK, "text/event-stream", Bytes::new());
    guard(response.headers_mut());
    if request.method() == Method::GET {
        let pieces = follow(node, seat).map(|piece| piece.map_err(|never| match never {}));
        *response.body_mut() = ResponseBody::stream(pieces, None);
    }
    response
}

/// Everything at first, then what is new each second, then that it is over.
fn follow(
    node: &Arc<Node>,
    seat: OwnedSemaphorePermit,
) -> impl Stream<Item = Result<Bytes, Infallible>> + Send + 'static {
    /// What one page holds while it is open.
    struct Follower {
        events: watch::Receiver<Bytes>,
        readiness: weir_config_lifecycle::Readiness,
        _seat: OwnedSemaphorePermit,
    }
    // Subscribed before the first event is made, so that none is missed between the two.
    let events = node.live.events.subscribe();
    let follower = Follower { events, readiness: node.readiness.clone(), _seat: seat };
    let begin = stream::once(std::future::ready(Ok(event::begin(node))));
    begin.chain(stream::unfold(Some(follower), |follower| async {
        let mut follower = follower?;
        let ended = tokio::select! {
            () = follower.readiness.reached(Phase::Stopped) => true,
            // A node that is gone takes its sender along.
            changed = follower.events.changed() => changed.is_err(),
        };
        if ended {
            return Some((Ok(Bytes::from_static(b"event: end\ndata: {}\n\n")), None));
        }
        let event = follower.events.borrow_and_update().clone();
        Some((Ok(event), Some(follower)))
    }))
}

#[cfg(test)]
mod tests {
    use super::{HTML, PAGE, SCRIPT, STYLE, is_ours, policy};

    #[test]
    fn names_that_are_nobody_elses() {
        let check = |host: &str, ours| assert_eq!(is_ours(host, "Edge-1"), ours, "{host}");
        for host in ["127.0.0.1", "::1", "localhost", "edge-1", "edge-1.isp.example", "edge"] {
            check(host, true);
        }
        for host in ["evil.example", "127.0.0.1.evil.example", "xedge-1.isp.example", "edge-1x.a"] {
            check(host, false);
        }
    }

    /// What the policy would stop must not be there, and what it lets in is exactly ours.
    #[test]
    fn the_page_is_whole_and_asks_nobody() {
        let text = std::str::from_utf8(&PAGE.text).unwrap();
        assert_eq!(text.matches("<style>").count(), 1);
        assert_eq!(text.matches("<script>").count(), 1);
        assert!(text.contains(STYLE) && text.contains(SCRIPT));
        for foreign in ["http://", "https://", "//cdn", "@import", "url(", " style=\"", "onclick="]
        {
            let mine = text.replace("http://www.w3.org/2000/svg", "");
            assert!(!mine.contains(foreign), "{foreign}");
        }
        for unsafe_word in ["innerHTML", "outerHTML", "insertAdjacentHTML", "eval(", "Function("] {
            assert!(!SCRIPT.contains(unsafe_word), "{unsafe_word} takes text of others for markup");
        }
        // An end tag in them would end them early.
        assert!(!STYLE.contains("</") && !SCRIPT.contains("</"));
        assert!(HTML.contains("<style>/* style */</style>"));
        assert!(HTML.contains("<script>/* script */</script>"));
    }

    #[test]
    fn the_policy_names_what_is_there() {
        let policy = policy("a", "b");
        let policy = policy.to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'; "), "{policy}");
        // printf a | openssl dgst -sha256 -binary | base64
        let style = "style-src 'sha256-ypeBEsobvcr6wjGzmiPcTaeG7/gUfE5yuYB3ha/uSLs='";
        assert!(policy.contains(style), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
    }
}
