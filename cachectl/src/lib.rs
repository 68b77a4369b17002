//! The operator's command line.
//!
//! [`run`] takes the arguments and the world and gives an exit code; everything that it prints
//! goes through the world, so that tests see exactly what a person sees.

mod cache;
mod cli;
mod client;
mod config;
mod disks;
mod doctor;
mod failure;
mod fleet;
mod keys;
mod logs;
mod metrics;
mod pages;
mod print;
mod status;
mod time;
mod top;
mod trace;
mod warm;

use std::{
    ffi::OsString,
    io::{self, Write},
    path::PathBuf,
    time::Duration,
};

use clap::{Parser, error::ErrorKind};
use serde::Serialize;

use cli::{CacheCommand, Cli, Command, KeysCommand};
use client::Client;
pub use config::Judged;
pub use doctor::Host;
pub use failure::{Code, Failure};
pub use top::{OpenScreen, Screen};

/// Names the admin socket when `--socket` does not.
pub const SOCKET_VARIABLE: &str = "WEIR_ADMIN_SOCKET";

/// Where a server of this host listens by default.
pub const DEFAULT_SOCKET: &str = "/run/weir/admin.sock";

/// Version of the JSON that `--json` prints: fields are only ever added.
const SCHEMA: &str = "cachectl/v1";

/// Asks a person and gives the answer.
pub type Ask<'w> = dyn FnMut(&str) -> io::Result<String> + 'w;

/// What a command needs from outside.
pub struct World<'w> {
    /// `WEIR_ADMIN_SOCKET`.
    pub socket: Option<PathBuf>,
    /// Unix seconds.
    pub now: u64,
    /// Fills a buffer with random bytes, fit for keys.
    pub random: &'w mut dyn FnMut(&mut [u8]) -> io::Result<()>,
    /// Nothing when nobody is there to answer.
    pub ask: Option<&'w mut Ask<'w>>,
    /// Whether stdout is a terminal.
    pub terminal: bool,
    /// Opens the terminal for what stays on it; nothing where there is none.
    pub screen: Option<&'w mut OpenScreen<'w>>,
    /// Waits that long; true when the person wants to end what runs (Ctrl-C), which from the
    /// first call on does not end the process by itself.
    pub pause: &'w mut dyn FnMut(Duration) -> bool,
    /// What can be read of the host that this runs on.
    pub host: Host<'w>,
    /// Data.
    pub stdout: &'w mut dyn Write,
    /// Everything else.
    pub stderr: &'w mut dyn Write,
}

/// What a command found.
struct Answer {
    /// For people.
    human: String,
    /// For programs, without the schema.
    json: serde_json::Value,
    code: Code,
    /// For people only, on stderr.
    note: Option<String>,
    /// What there was to say is said already.
    silent: bool,
}

impl Answer {
    fn new(human: String, data: &impl Serialize) -> Self {
        let json = serde_json::to_value(data).expect("our own types become JSON");
        Self { human, json, code: Code::Ok, note: None, silent: false }
    }

    /// One that has written its data itself.
    fn silent() -> Self {
        let json = serde_json::Value::Null;
        Self { human: String::new(), json, code: Code::Ok, note: None, silent: true }
    }

    fn code(self, code: Code) -> Self {
        Self { code, ..self }
    }

    fn note(self, note: impl Into<String>) -> Self {
        Self { note: Some(note.into()), ..self }
    }
}

/// Runs one command and gives the exit code of the process.
pub fn run(args: impl IntoIterator<Item = OsString>, world: &mut World<'_>) -> u8 {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            let asked = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
            let out: &mut dyn Write = if asked { world.stdout } else { world.stderr };
            // Nobody reads any more when this fails.
            let _ = write!(out, "{}", print::harmless(&error.to_string()));
            return if asked { Code::Ok as u8 } else { Code::Usage as u8 };
        }
    };
    let json = cli.json;
    let (code, written) = match command(cli, world) {
        Ok(answer) => (answer.code, show(&answer, json, world)),
        Err(failure) => (failure.code, complain(&failure, json, world)),
    };
    match written {
        Ok(()) => code as u8,
        // `cachectl … | head`: the reader has what it wanted.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => code as u8,
        Err(_) => Code::Failed as u8,
    }
}

fn command(cli: Cli, world: &mut World<'_>) -> Result<Answer, Failure> {
    let socket = cli.socket.or_else(|| world.socket.clone());
    let fleet = fleet::client(socket.clone());
    let client = Client::new(socket.unwrap_or_else(|| DEFAULT_SOCKET.into()));
    match cli.command {
        Command::Status => status::status(&client),
        Command::Cache(CacheCommand::Stats) => cache::stats(&client),
        Command::Cache(CacheCommand::Explain(asked)) => cache::explain(&client, &asked),
        Command::Cache(CacheCommand::Warm(order)) => warm::warm(&client, &order, world),
        Command::Cache(CacheCommand::Purge(purge)) => cache::purge(&client, purge, world),
        Command::Cache(CacheCommand::Ls(ls)) => cache::ls(&client, &ls, cli.json, world),
        Command::Cache(CacheCommand::Get(get)) => cache::get(&client, &get, cli.json, world),
        Command::Cache(CacheCommand::Pin(pin)) => cache::pin(&client, pin, world),
        Command::Cache(CacheCommand::Unpin(what)) => cache::unpin(&client, what, world),
        Command::Cache(CacheCommand::Verify(scrub)) => cache::verify(&client, &scrub, world),
        Command::Config(command) => config::config(&client, command, world),
        Command::Nodes(command) => fleet::nodes(&fleet, command, world.now),
        Command::Enroll(command) => fleet::enroll(&fleet, command, world.now),
        Command::Disks(command) => disks::disks(&client, command, world),
        Command::Keys(KeysCommand::New(new)) => keys::new(&new, world),
        Command::Keys(KeysCommand::MintUrl(mint)) => keys::mint_url(&mint, world.now),
        Command::Keys(KeysCommand::ExplainToken(explain)) => {
            keys::explain_token(&explain, world.now)
        }
        Command::Doctor => Ok(doctor::doctor(&client, world)),
        Command::Logs(command) => logs::logs(&client, &command, cli.json, world),
        Command::Top(asked) => top::top(&client, &asked, cli.json, world),
        Command::Trace(asked) => trace::trace(&client, &asked),
        Command::Metrics { grep } => metrics::metrics(&client, grep.as_deref()),
        Command::Completion { shell } => Ok(pages::completion(shell)),
        Command::Man { folder } => pages::man(folder.as_deref()),
        Command::Version => {
            let version = env!("CARGO_PKG_VERSION");
            let data = serde_json::json!({ "version": version });
            Ok(Answer::new(format!("cachectl {version}\n"), &data))
        }
    }
}

fn show(answer: &Answer, json: bool, world: &mut World<'_>) -> io::Result<()> {
    if json && !answer.silent {
        return print::json(world.stdout, &answer.json);
    }
    world.stdout.write_all(answer.human.as_bytes())?;
    world.stdout.flush()?;
    match &answer.note {
        Some(note) => writeln!(world.stderr, "{note}"),
        None => Ok(()),
    }
}

fn complain(failure: &Failure, json: bool, world: &mut World<'_>) -> io::Result<()> {
    if json {
        print::json(world.stderr, &failure.json())
    } else {
        write!(world.stderr, "{failure}")
    }
}
