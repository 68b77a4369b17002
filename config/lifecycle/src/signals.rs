//! What the host says to the process.

use std::io;

use thiserror::Error;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{info, warn};

use crate::shutdown::Shutdown;

/// Why no signal can be heard.
#[derive(Debug, Error)]
#[error("cannot listen for signals")]
pub struct SignalsError(#[from] io::Error);

/// SIGTERM, SIGINT, SIGHUP and SIGUSR1 of this process.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
    reopen: Signal,
}

impl Signals {
    /// From here on the signals no longer end the process by themselves. Needs a runtime with
    /// I/O; do it before anything else, so that an early Ctrl-C is not lost.
    ///
    /// # Errors
    /// When the host refuses a handler.
    pub fn listen() -> Result<Self, SignalsError> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
            reopen: signal(SignalKind::user_defined1())?,
        })
    }

    /// Drains at the first SIGTERM or SIGINT, stops at the second, and calls `hangup` at each
    /// SIGHUP (log files are opened again, the configuration is read), `reopen` at each SIGUSR1
    /// (log files alone). Ends when everything is stopped.
    pub async fn drive(
        mut self,
        shutdown: Shutdown,
        mut hangup: impl FnMut(),
        mut reopen: impl FnMut(),
    ) {
        loop {
            let name = tokio::select! {
                () = shutdown.stopped() => return,
                Some(()) = self.terminate.recv() => "SIGTERM",
                Some(()) = self.interrupt.recv() => "SIGINT",
                Some(()) = self.hangup.recv() => {
                    info!("SIGHUP");
                    hangup();
                    continue;
                }
                Some(()) = self.reopen.recv() => {
                    info!("SIGUSR1");
                    reopen();
                    continue;
                }
            };
            if shutdown.is_draining() {
                warn!(signal = name, under_way = shutdown.under_way(), "second signal: stopping");
                shutdown.stop();
            } else {
                info!(signal = name, under_way = shutdown.under_way(), "draining");
                shutdown.drain();
            }
        }
    }
}
