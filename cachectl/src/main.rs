//! The operator's command line: hands the world to the library and leaves with its exit code.

use std::{
    fs::File,
    io::{self, BufRead, IsTerminal, Read, Write},
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use signal_hook::{consts::SIGINT, flag};

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
    let mut interrupted: Option<Arc<AtomicBool>> = None;
    let mut pause = |time: Duration| {
        let pressed = interrupted.get_or_insert_with(|| {
            let pressed = Arc::new(AtomicBool::new(false));
            // Where it cannot be heard, Ctrl-C ends the process, and the job goes on.
            let _ = flag::register(SIGINT, Arc::clone(&pressed));
            pressed
        });
        let until = Instant::now() + time;
        while !pressed.load(Ordering::SeqCst) && Instant::now() < until {
            thread::sleep(Duration::from_millis(20).min(time));
        }
        pressed.swap(false, Ordering::SeqCst)
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
