//! The operator's command line: hands the world to the library and leaves with its exit code.

use std::{
    fs::File,
    io::{self, BufRead, IsTerminal, Read, Write},
    process::ExitCode,
    sync::mpsc,
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use signal_hook::{consts::SIGINT, iterator::Signals};

use weir_cachectl::{SOCKET_VARIABLE, World, run};

fn main() -> ExitCode {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let mut random = |bytes: &mut [u8]| File::open("/dev/urandom")?.read_exact(bytes);
    let mut ask = |question: &str| {
        write!(io::stderr(), "{question}")?;
        let mut answer = String::new();
        io::stdin().lock().read_line(&mut answer)?;
        Ok(answer)
    };
    let person = io::stdin().is_terminal() && io::stderr().is_terminal();
    // Asked for at the first pause: elsewhere Ctrl-C ends the process.
    let mut presses: Option<(mpsc::Sender<()>, mpsc::Receiver<()>)> = None;
    let mut pause = |time: Duration| {
        let (_, pressed) = presses.get_or_insert_with(|| {
            let (press, pressed) = mpsc::channel();
            listen(press.clone());
            (press, pressed)
        });
        pressed.recv_timeout(time).is_ok()
    };
    let mut world = World {
        socket: std::env::var_os(SOCKET_VARIABLE).map(Into::into),
        now,
        random: &mut random,
        ask: if person { Some(&mut ask) } else { None },
        pause: &mut pause,
        terminal: io::stdout().is_terminal(),
        stdout: &mut io::stdout().lock(),
        stderr: &mut io::stderr(),
    };
    ExitCode::from(run(std::env::args_os(), &mut world))
}

/// Tells of each Ctrl-C from now on. Where it cannot be heard, it ends the process, and what runs
/// on the server goes on.
fn listen(press: mpsc::Sender<()>) {
    let Ok(mut signals) = Signals::new([SIGINT]) else { return };
    thread::spawn(move || {
        for _ in signals.forever() {
            if press.send(()).is_err() {
                return;
            }
        }
    });
}
