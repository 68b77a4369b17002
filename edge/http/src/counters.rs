//! What the servers count. Plain atomics: the process above names them and turns them into
//! metrics. One value may serve all workers, or each worker has its own.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::{
    handler::Protocol,
    message::{Excess, Malformed},
    serve::Slow,
    wire::{Fault, Flood},
};

/// One number for each protocol.
#[derive(Debug, Default)]
pub struct ByProtocol([AtomicU64; 3]);

impl ByProtocol {
    /// The number for this protocol.
    pub fn of(&self, protocol: Protocol) -> u64 {
        self.0[protocol as usize].load(Relaxed)
    }

    pub(crate) fn add(&self, protocol: Protocol) {
        self.0[protocol as usize].fetch_add(1, Relaxed);
    }

    pub(crate) fn sub(&self, protocol: Protocol) {
        self.0[protocol as usize].fetch_sub(1, Relaxed);
    }
}

/// Why a connection never came to speak HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HandshakeFailure {
    /// Not finished within the limit.
    Timeout,
    /// The client went away, or the network took it.
    Closed,
    /// The bytes were no TLS.
    NotTls,
    /// No version, cipher suite, group or application protocol in common.
    NothingInCommon,
    /// The client refused our certificate or sent an alert.
    Refused,
    /// Anything else.
    Other,
}

impl HandshakeFailure {
    /// Every reason, for whoever names the metrics.
    pub const ALL: [Self; 6] = [
        Self::Timeout,
        Self::Closed,
        Self::NotTls,
        Self::NothingInCommon,
        Self::Refused,
        Self::Other,
    ];

    /// As labels and logs write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Closed => "closed",
            Self::NotTls => "not_tls",
            Self::NothingInCommon => "nothing_in_common",
            Self::Refused => "refused",
            Self::Other => "other",
        }
    }
}

/// Everything counts up except the two `open` gauges.
#[derive(Debug, Default)]
pub struct Counters {
    /// TCP connections taken from a listener, and QUIC connection attempts.
    pub accepted: AtomicU64,
    /// `accept` failed: out of descriptors, most of all.
    pub accept_errors: AtomicU64,
    /// Connections closed at once because the limit was reached.
    pub over_limit: AtomicU64,
    /// Handshakes finished, by what was negotiated; plain connections count as well.
    pub connections: ByProtocol,
    /// Handshakes that resumed an earlier session.
    pub resumed: ByProtocol,
    /// Connections alive now.
    pub open: ByProtocol,
    /// Requests handed to the handler.
    pub requests: ByProtocol,
    /// Requests between their headers and the end of their response.
    pub active: ByProtocol,
    /// Requests answered or reset here because they break the protocol.
    pub refused: ByProtocol,
    /// Responses that broke off because their source did.
    pub broken: ByProtocol,
    /// Responses given up by the client or with its connection.
    pub abandoned: ByProtocol,
    /// Connections closed because the client was too slow or silent.
    pub timed_out: ByProtocol,
    /// Body bytes handed to the transport.
    pub body_bytes: AtomicU64,
    handshakes_failed: [AtomicU64; HandshakeFailure::ALL.len()],
    malformed: [AtomicU64; Malformed::ALL.len()],
    exceeded: [AtomicU64; Excess::ALL.len()],
    slow: [AtomicU64; Slow::ALL.len()],
    faults: [AtomicU64; Fault::ALL.len()],
    floods: [AtomicU64; Flood::ALL.len()],
}

impl Counters {
    /// Handshakes that failed for this reason.
    pub fn handshakes_failed(&self, why: HandshakeFailure) -> u64 {
        self.handshakes_failed[why as usize].load(Relaxed)
    }

    /// HTTP/3 messages refused for this reason.
    pub fn malformed_for(&self, why: Malformed) -> u64 {
        self.malformed[why as usize].load(Relaxed)
    }

    /// HTTP/1.1 and HTTP/2 connections that were not read any further for this reason.
    pub fn faults(&self, why: Fault) -> u64 {
        self.faults[why as usize].load(Relaxed)
    }

    /// HTTP/2 connections that sent too much of this.
    pub fn floods(&self, of: Flood) -> u64 {
        self.floods[of as usize].load(Relaxed)
    }

    /// Bodies that passed too slowly because of their clients.
    pub fn too_slow(&self, of: Slow) -> u64 {
        self.slow[of as usize].load(Relaxed)
    }

    pub(crate) fn slow(&self, protocol: Protocol, of: Slow) {
        self.timed_out.add(protocol);
        self.slow[of as usize].fetch_add(1, Relaxed);
    }

    pub(crate) fn fault(&self, why: Fault) {
        self.faults[why as usize].fetch_add(1, Relaxed);
    }

    pub(crate) fn flood(&self, of: Flood) {
        self.floods[of as usize].fetch_add(1, Relaxed);
    }

    /// HTTP/3 connections closed because they did too much of this.
    pub fn exceeded_by(&self, of: Excess) -> u64 {
        self.exceeded[of as usize].load(Relaxed)
    }

    pub(crate) fn exceeded(&self, of: Excess) {
        self.exceeded[of as usize].fetch_add(1, Relaxed);
    }

    pub(crate) fn malformed(&self, why: Malformed) {
        self.malformed[why as usize].fetch_add(1, Relaxed);
    }

    pub(crate) fn body_sent(&self, bytes: usize) {
        self.body_bytes.fetch_add(bytes as u64, Relaxed);
    }

    pub(crate) fn handshake_failed(&self, why: HandshakeFailure) {
        self.handshakes_failed[why as usize].fetch_add(1, Relaxed);
    }
}

pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Relaxed);
}
