//! The operator's command line: hands the world to the library and leaves with its exit code.

use std::{
    fs::File,
    io::{self, BufRead, IsTerminal, Read, Write},
    process::{Command, ExitCode, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

mod terminal;

use signal_hook::{consts::SIGINT, iterator::Signals};

use weir_cachectl::{Host, SOCKET_VARIABLE, Screen, World, run};

use terminal::Terminal;

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
    let mut screen = || Ok(Box::new(Terminal::open()?) as Box<dyn Screen>);
    let mut world = World {
        socket: std::env::var_os(SOCKET_VARIABLE).map(Into::into),
        now,
        random: &mut random,
        ask: if person { Some(&mut ask) } else { None },
        pause: &mut pause,
        host: Host { file: &|path| std::fs::read_to_string(path).ok(), program: &program },
        terminal: io::stdout().is_terminal(),
        screen: if io::stdin().is_terminal() { Some(&mut screen) } else { None },
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

/// What a program says on stdout. One that hangs, or says no end of things, is ended.
fn program(words: &[&str]) -> Option<String> {
    const LIMIT: Duration = Duration::from_secs(2);
    const LONGEST: u64 = 64 << 10;
    let (name, args) = words.split_first()?;
    let mut command = Command::new(name);
    command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().ok()?;
    let mut stdout = child.stdout.take()?.take(LONGEST);
    let (done, said) = mpsc::channel();
    thread::spawn(move || {
        let mut text = String::new();
        let read = stdout.read_to_string(&mut text);
        // Nobody listens any more when the time is up.
        let _ = done.send(read.map(|_| text));
    });
    let said = said.recv_timeout(LIMIT);
    if said.is_err() {
        // It may have ended just now.
        let _ = child.kill();
    }
    let ended = child.wait().ok()?;
    said.ok()?.ok().filter(|_| ended.success())
}
