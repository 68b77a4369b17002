//! What the fill engine is told of a client's connection: how much of what went into it has come to
//! the client.

use std::sync::Arc;

use weir_edge_fill::Outlet;
use weir_edge_http::{ConnectionInfo, Protocol};

#[derive(Debug)]
struct Connection(Arc<ConnectionInfo>);

impl Outlet for Connection {
    fn unacknowledged(&self) -> Option<u64> {
        self.0.outgoing.unacknowledged()
    }
}

/// The outlet of a connection; none of one over QUIC, which does not tell.
pub(crate) fn of(connection: &Arc<ConnectionInfo>) -> Option<Arc<dyn Outlet>> {
    let tells = connection.protocol != Protocol::H3;
    tells.then(|| Arc::new(Connection(Arc::clone(connection))) as _)
}
