//! The operator's command line: hands the world to the library and leaves with its exit code.

use std::{
    fs::File,
    io::{self, BufRead, IsTerminal, Read, Write},
    process::ExitCode,
    time::{SystemTime, UNIX_EPOCH},
};

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
    let mut world = World {
        socket: std::env::var_os(SOCKET_VARIABLE).map(Into::into),
        now,
        random: &mut random,
        ask: if person { Some(&mut ask) } else { None },
        stdout: &mut io::stdout().lock(),
        stderr: &mut io::stderr(),
    };
    ExitCode::from(run(std::env::args_os(), &mut world))
}
