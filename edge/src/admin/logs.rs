//! Access records for whoever asks: the last ones, and those to come, as lines of JSON.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures::{StreamExt, stream};
use http::{HeaderValue, StatusCode, header};
use weir_config::edge::ClientAddress;
use weir_config_admin::{LOG_FILTER_MAX, LOG_LAST_MAX, LogRotated};
use weir_config_telemetry::access::filter::{FILTER_MAX, Filter, FilterError};
use weir_edge_http::{Response, ResponseBody};

use super::{Failure, cache::decode};
use crate::{
    journal::{self, Subscription},
    node::Node,
    record,
};

/// An empty line after so much silence tells both sides that the other is there.
const SILENCE: Duration = Duration::from_secs(5);

// What `cachectl` takes for too long is too long.
const _: () = assert!(LOG_FILTER_MAX == FILTER_MAX);

/// What is asked for.
struct Asked {
    filter: Filter,
    last: usize,
    follow: bool,
}

pub(super) fn logs(node: &Arc<Node>, query: &str) -> Result<Response, Failure> {
    let Asked { filter, last, follow } = asked(query)?;
    told(node.journal.address(), &filter)?;
    // Followed first, so that nothing falls between the two; what is in both comes twice at
    // worst, and its id says so.
    let following = follow.then(|| node.journal.follow(filter.clone())).transpose();
    let following = following.map_err(|_| {
        Failure::new(StatusCode::SERVICE_UNAVAILABLE, "as many follow the requests as may")
            .why("each costs the server up to 1 MiB and a look at every request")
            .next("end another `cachectl logs tail --follow`")
    })?;
    let lines = node.journal.last(last, &filter);
    let lines: Vec<u8> =
        lines.iter().flat_map(|one| journal::line(&one.entry()).to_vec()).collect();
    let first = stream::iter((!lines.is_empty()).then(|| Ok(Bytes::from(lines))));
    let body = match following {
        Some(following) => {
            let rest = stream::unfold(following, |following| async move {
                Some((Ok(news(&following).await), following))
            });
            ResponseBody::stream(first.chain(rest), None)
        }
        None => ResponseBody::stream(first, None),
    };
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// Begins a new file, or opens the one that somebody moved away by its name again.
pub(super) fn rotate(node: &Node) -> Result<LogRotated, Failure> {
    let access = node.access.as_ref().ok_or_else(|| {
        Failure::new(StatusCode::CONFLICT, "the server writes no access log")
            .why("log.access is \"off\"")
            .next("cachectl config show log.access")
    })?;
    // It blocks for one write.
    let rotated = tokio::task::block_in_place(|| access.rotate());
    match access.failure() {
        Some(why) => {
            let what = format!("the access log {} loses lines", access.path().display());
            Err(Failure::new(StatusCode::INTERNAL_SERVER_ERROR, what).why(why))
        }
        None => Ok(LogRotated { path: access.path().display().to_string(), rotated }),
    }
}

async fn news(following: &Subscription) -> Bytes {
    let next = tokio::time::timeout(SILENCE, following.next());
    next.await.unwrap_or_else(|_| Bytes::from_static(b"\n"))
}

fn asked(query: &str) -> Result<Asked, Failure> {
    let bad = |what: &str| Failure::new(StatusCode::BAD_REQUEST, what);
    let mut asked = Asked { filter: Filter::read("").map_err(refused)?, last: 0, follow: false };
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        match pair.split_once('=') {
            Some(("filter", text)) => {
                asked.filter = Filter::read(&decode(text)?).map_err(refused)?;
            }
            Some(("last", number)) => {
                let number = number.parse().ok().filter(|number| *number <= LOG_LAST_MAX);
                asked.last = number.ok_or_else(|| {
                    bad("the query key `last` is no number that can be given")
                        .why(format!("the last {LOG_LAST_MAX} requests are remembered"))
                })?;
            }
            Some(("follow", "1")) => asked.follow = true,
            _ => return Err(bad("the query has a key that is none: filter, last, follow=1")),
        }
    }
    Ok(asked)
}

/// What is asked of addresses has to be told of them.
fn told(policy: ClientAddress, filter: &Filter) -> Result<(), Failure> {
    let clients = filter.clients();
    let never = match policy {
        ClientAddress::Full => None,
        ClientAddress::None => clients.first().map(|_| ("no client's address is told", None)),
        ClientAddress::Truncated => {
            clients.iter().find(|client| record::truncated(**client) != **client).map(|client| {
                ("of clients their networks alone are told", Some(record::truncated(*client)))
            })
        }
    };
    let Some((why, network)) = never else { return Ok(()) };
    let failure = Failure::new(StatusCode::BAD_REQUEST, "no request has such a client").why(why);
    Err(match network {
        Some(network) => failure.next(format!("write client={network}, or see log.client_address")),
        None => failure.next("cachectl config show log.client_address"),
    })
}

fn refused(error: FilterError) -> Failure {
    let failure = Failure::new(StatusCode::BAD_REQUEST, "the filter cannot be understood");
    let failure = failure.why(error.to_string());
    match error.hint {
        Some(hint) => failure.next(hint),
        None => failure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_that_nobody_is_told_of() {
        let check = |policy, filter: &str, sound: bool| {
            let filter = Filter::read(filter).expect("a filter");
            assert_eq!(told(policy, &filter).is_ok(), sound, "{policy:?} {filter:?}");
        };
        check(ClientAddress::Full, "client=192.0.2.7", true);
        check(ClientAddress::Truncated, "client=192.0.2.7 or whole", false);
        check(ClientAddress::Truncated, "client=192.0.2.0", true);
        check(ClientAddress::Truncated, "not client=2001:db8::1", false);
        check(ClientAddress::Truncated, "client~192.", true);
        check(ClientAddress::None, "client=192.0.2.0", false);
        check(ClientAddress::None, "client=null", true);
    }
}
