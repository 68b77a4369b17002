//! Headers in which proxies say for whom they come.

use weir_edge_http::proxy::{FIXED, REST_MAX, start};

pub(crate) fn run(input: &[u8]) {
    let Some((fixed, rest)) = input.split_first_chunk::<FIXED>() else { return };
    let Ok(start) = start(fixed) else { return };
    assert!(start.rest <= REST_MAX);
    let said = start.source(rest);
    if rest.len() != start.rest {
        assert!(said.is_err(), "a header of another length than it says");
    }
    if let Ok(Some(client)) = said {
        assert!(!start.local, "{client}: a proxy that comes for itself names nobody");
        assert_eq!(client.ip(), client.ip().to_canonical());
    }
}
