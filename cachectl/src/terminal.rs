//! The terminal while `top` has it: keys one by one, not shown, until it is given back.

use std::{
    io::{self, Read},
    sync::mpsc::{self, Receiver},
    thread,
    time::Duration,
};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    iterator::Signals,
};
use weir_cachectl::Screen;

/// Where a terminal does not say how large it is.
const USUAL: (usize, usize) = (80, 24);
/// As it is told of the keys.
const INTERRUPT: char = '\u{3}';

/// Gives the terminal back as it was when it is dropped.
pub(crate) struct Terminal {
    before: Termios,
    keys: Receiver<char>,
}

impl Terminal {
    pub(crate) fn open() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut modes = before.clone();
        // Ctrl-C stays a signal, so that it works whatever we do.
        modes.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
        tcsetattr(io::stdin(), OptionalActions::Now, &modes)?;
        let (press, keys) = mpsc::channel();
        let signal = press.clone();
        let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
        thread::spawn(move || {
            for _ in signals.forever() {
                if signal.send(INTERRUPT).is_err() {
                    return;
                }
            }
        });
        thread::spawn(move || {
            let mut key = [0];
            // A terminal that is gone ends it as Ctrl-C does.
            while io::stdin().read(&mut key).is_ok_and(|length| length == 1) {
                if press.send(char::from(key[0])).is_err() {
                    return;
                }
            }
            let _ = press.send(INTERRUPT);
        });
        Ok(Self { before, keys })
    }
}

impl Screen for Terminal {
    fn size(&self) -> (usize, usize) {
        match tcgetwinsize(io::stdout()) {
            Ok(size) if size.ws_col > 0 && size.ws_row > 0 => {
                (usize::from(size.ws_col), usize::from(size.ws_row))
            }
            _ => USUAL,
        }
    }

    fn key(&mut self, wait: Duration) -> Option<char> {
        self.keys.recv_timeout(wait).ok()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // Nothing helps where it fails.
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.before);
    }
}
