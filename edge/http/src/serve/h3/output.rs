//! The body of one response on its QUIC stream. It ends in one of two ways: finished, when
//! every byte was written, or reset.

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use h3::error::Code;
use quinn::{SendStream, WriteError};
use tokio::time::{Instant, timeout};

use super::adapter::var_int;
use crate::pace::{Pace, Waited};

/// Bytes between two looks at the congestion window.
const LOOK_EVERY: u64 = 1 << 20;

/// A connection never holds more than this unacknowledged: 1.3 Gbit/s at 100 ms.
const MOST_SEND_WINDOW: u64 = 16 << 20;

/// Why a piece did not go out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stuck {
    /// The client or its connection is gone.
    Gone,
    /// The client takes nothing, for longer than we wait.
    Silent,
    /// The client takes too little.
    Slow,
}

impl From<WriteError> for Stuck {
    fn from(_: WriteError) -> Self {
        Self::Gone
    }
}

/// The last piece of a response may take this many times as long as a piece in its middle: all
/// that is under way has to be acknowledged.
const LAST: u32 = 4;

pub(super) struct Output {
    stream: SendStream,
    connection: quinn::Connection,
    ended: bool,
    sent: u64,
    /// How long a client may take nothing, and how little it may take.
    stall: Duration,
    pace: Pace,
    waited: Waited,
    taken: u64,
}

impl Output {
    pub(super) fn new(
        stream: SendStream,
        connection: quinn::Connection,
        (stall, pace): (Duration, Pace),
    ) -> Self {
        let (sent, waited, taken) = (0, Waited::default(), 0);
        Self { stream, connection, ended: false, sent, stall, pace, waited, taken }
    }

    /// Begins a DATA frame of `length` bytes (RFC 9114 §7.2.1).
    pub(super) async fn frame(&mut self, length: u64) -> Result<(), Stuck> {
        self.write(data_frame(length)).await
    }

    /// Gives up when nothing of it is taken for too long, or too little over a longer time.
    async fn write(&mut self, piece: Bytes) -> Result<(), Stuck> {
        let mut left = [piece];
        while !left[0].is_empty() {
            let since = Instant::now();
            let written = timeout(self.stall, self.stream.write_chunks(&mut left)).await;
            self.taken += written.map_err(|_| Stuck::Silent)??.bytes as u64;
            if self.waited.is_too_slow(since.elapsed(), self.taken, self.pace) {
                return Err(Stuck::Slow);
            }
        }
        Ok(())
    }

    /// Writes a piece of a frame's payload.
    pub(super) async fn payload(&mut self, piece: Bytes) -> Result<(), Stuck> {
        let before = self.sent / LOOK_EVERY;
        self.sent += piece.len() as u64;
        self.write(piece).await?;
        if self.sent / LOOK_EVERY != before {
            self.widen();
        }
        Ok(())
    }

    /// A window that suits most clients starves the few on fast and long paths: it follows the
    /// congestion window, which follows the path.
    fn widen(&self) {
        let wanted = self.connection.stats().path.cwnd.saturating_mul(2);
        if wanted > 1 << 20 {
            self.connection.set_send_window(wanted.min(MOST_SEND_WINDOW));
        }
    }

    /// When the client stops listening, or has everything.
    pub(super) fn stopped(&self) -> impl Future<Output = ()> + Send + use<> {
        let stopped = self.stream.stopped();
        async move {
            // Either answer, or a lost connection: nobody reads on.
            let _ = stopped.await;
        }
    }

    /// Every byte is written. Ready when the client has it all: until then a shutdown must not
    /// take the connection away. False when it never acknowledges it, and the rest is dropped.
    pub(super) fn finish(mut self) -> impl Future<Output = bool> + Send + use<> {
        self.ended = true;
        // Fails only where the client has stopped it already, which `stopped` says as well.
        let _ = self.stream.finish();
        async move {
            let acknowledged = timeout(self.stall * LAST, self.stopped()).await.is_ok();
            if !acknowledged {
                self.end(Code::H3_REQUEST_CANCELLED);
            }
            acknowledged
        }
    }

    pub(super) fn reset(mut self, code: Code) {
        self.end(code);
    }

    fn end(&mut self, code: Code) {
        self.ended = true;
        // Fails only where the client has stopped it already.
        let _ = self.stream.reset(var_int(code.value()));
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        // quinn finishes a stream that is dropped: a cut response would look whole.
        if !self.ended {
            self.end(Code::H3_INTERNAL_ERROR);
        }
    }
}

fn data_frame(length: u64) -> Bytes {
    let mut head = BytesMut::with_capacity(9);
    head.put_u8(0x00);
    // RFC 9000 §16.
    match length {
        0..=0x3f => head.put_u8(length as u8),
        0x40..=0x3fff => head.put_u16(length as u16 | 0x4000),
        0x4000..=0x3fff_ffff => head.put_u32(length as u32 | 0x8000_0000),
        _ => head.put_u64(length | 0xc000_0000_0000_0000),
    }
    head.freeze()
}

#[cfg(test)]
mod tests {
    use super::data_frame;

    #[test]
    fn lengths_are_written_as_short_as_they_fit() {
        let check = |length, expected: &[u8]| assert_eq!(&data_frame(length)[..], expected);
        check(0, &[0, 0]);
        check(63, &[0, 63]);
        check(64, &[0, 0x40, 64]);
        check(16_383, &[0, 0x7f, 0xff]);
        check(16_384, &[0, 0x80, 0, 0x40, 0]);
        check(1 << 30, &[0, 0xc0, 0, 0, 0, 0x40, 0, 0, 0]);
    }
}
