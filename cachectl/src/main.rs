//! The operator's command line: hands the world to the library and leaves with its exit code.

use std::{
    fs::File,
    io::{self, BufRead, IsTerminal, Read, Write},
    path::Path,
    process::{Command, ExitCode, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

mod terminal;

use signal_hook::{consts::SIGINT, iterator::Signals};

use weir_cachectl::{Host, Judged, SOCKET_VARIABLE, Screen, World, run};

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
        host: Host {
            file: &|path| std::fs::read_to_string(path).ok(),
            program: &program,
            edge: &edge,
        },
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

/// What the edge beside this program, or the one in `PATH`, says of a configuration. As the file is
/// read without this shell's environment, so it is there.
fn edge(config: &Path) -> Option<Judged> {
    const NAME: &str = "weir-edge";
    const LONGEST: u64 = 1 << 20;
    let beside = std::env::current_exe().ok()?.with_file_name(NAME);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut places = std::env::split_paths(&path).map(|folder| folder.join(NAME));
    let edge = if beside.is_file() { beside } else { places.find(|edge| edge.is_file())? };
    let mut command = Command::new(edge);
    command.arg("--config").arg(config).arg("--check").env_clear();
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().ok()?;
    // It reads files of at most 1 MiB each and ends.
    let mut said = Vec::new();
    child.stderr.take()?.take(LONGEST).read_to_end(&mut said).ok()?;
    let sound = child.wait().ok()?.success();
    Some(Judged { sound, said: String::from_utf8_lossy(&said).into_owned() })
}
