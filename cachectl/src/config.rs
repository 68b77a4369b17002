//! `cachectl config`: what a server was told, what a file would tell it, and telling it anew.

mod judged;
mod reload;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;
use weir_config::{
    Entry, Report, Sources, Unjudged, did_you_mean, edge::EdgeConfig, keys::Server,
    origin::OriginConfig, steering::SteeringConfig,
};
use weir_config_admin::{CONFIG, ConfigEntry, ConfigReport};

pub use judged::Judged;

use crate::{
    Answer, World,
    client::Client,
    failure::{Code, Failure},
    print::{counted, harmless, plain, table},
};

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Read and check everything, and change nothing: the running server's files, or a file.
    Check {
        /// Check this file, the conf.d beside it, and with the weir-edge that is installed here what
        /// they name, without asking a server.
        file: Option<PathBuf>,
        /// Whose file it is [default: as it looks].
        #[arg(long, value_name = "SERVER", requires = "file")]
        server: Option<Which>,
    },
    /// What the files say and the server does not run, or what is not as by default.
    Diff {
        /// Between what runs and what the files say [the default].
        #[arg(long, conflicts_with = "default")]
        running: bool,
        /// Between the defaults and what runs.
        #[arg(long)]
        default: bool,
    },
    /// What holds, of the running server or of a file.
    Show {
        /// A key, or the table of several: fill, service[film].
        key: Option<String>,
        /// And who says so: a place in a file, a variable, or nobody.
        #[arg(long)]
        origin: bool,
        /// Of this file and the conf.d beside it, without asking a server.
        #[arg(long)]
        file: Option<PathBuf>,
    },
    /// The JSON Schema of a server's file.
    Schema {
        /// Whose.
        #[arg(default_value = "edge")]
        server: Which,
    },
    /// Take what the files say now, all or nothing; running requests go on.
    Reload {
        /// Only tell what would change.
        #[arg(long)]
        dry_run: bool,
    },
    /// The configurations that ran.
    History,
    /// Run one of them again; the files stay as they are.
    Rollback(Rollback),
}

#[derive(Debug, Args)]
pub(crate) struct Rollback {
    /// Its number in `config history`.
    revision: u64,
    /// Only tell what would change.
    #[arg(long)]
    dry_run: bool,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
}

/// Whose file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Which {
    /// edge.toml
    Edge,
    /// origin.toml
    Origin,
    /// steering.toml
    Steering,
}

impl From<Which> for Server {
    fn from(which: Which) -> Self {
        match which {
            Which::Edge => Self::Edge,
            Which::Origin => Self::Origin,
            Which::Steering => Self::Steering,
        }
    }
}

pub(crate) fn config(
    client: &Client,
    command: ConfigCommand,
    world: &mut World<'_>,
) -> Result<Answer, Failure> {
    match command {
        ConfigCommand::Check { file: Some(file), server } => Ok(check(&file, server, world)),
        ConfigCommand::Check { file: None, .. } => reload::check(client),
        ConfigCommand::Diff { default: true, .. } => not_default(client),
        ConfigCommand::Diff { .. } => reload::diff(client),
        ConfigCommand::Show { key, origin, file } => {
            let report = match file {
                Some(file) => of_file(&file)?,
                None => client.get(CONFIG)?,
            };
            show(report, key.as_deref(), origin)
        }
        ConfigCommand::Schema { server } => {
            let schema = Server::from(server).schema();
            let text = serde_json::to_string_pretty(&schema).expect("a schema is JSON");
            Ok(Answer::new(format!("{text}\n"), &schema))
        }
        ConfigCommand::Reload { dry_run } => reload::reload(client, dry_run),
        ConfigCommand::History => reload::history(client),
        ConfigCommand::Rollback(Rollback { revision, dry_run, yes }) => {
            reload::rollback(client, revision, dry_run, yes, world)
        }
    }
}

/// What a file says: its entries, or its report. The environment of this program is not the
/// server's, so it is left out.
fn read(file: &Path, server: Option<Which>) -> (Server, Result<Vec<Entry>, Report>) {
    let texts = match Sources::new(file).read() {
        Ok(texts) => texts,
        Err(report) => return (Server::Edge, Err(report)),
    };
    let stores = |text: &str| {
        text.lines().any(|line| line.starts_with("[store]") || line.starts_with("[[access_key]]"))
    };
    let fleets = |text: &str| text.lines().any(|line| line.starts_with("nodes = "));
    let any = |looks: &dyn Fn(&str) -> bool| texts.files.iter().any(|(_, text)| looks(text));
    let looks = match (any(&fleets), any(&stores)) {
        (true, _) => Which::Steering,
        (false, true) => Which::Origin,
        (false, false) => Which::Edge,
    };
    match server.unwrap_or(looks) {
        Which::Edge => {
            (Server::Edge, EdgeConfig::of(texts, &Unjudged).map(|loaded| loaded.entries))
        }
        Which::Origin => (Server::Origin, OriginConfig::of(texts).map(|loaded| loaded.entries)),
        Which::Steering => {
            (Server::Steering, SteeringConfig::of(texts).map(|loaded| loaded.entries))
        }
    }
}

fn check(file: &Path, server: Option<Which>, world: &World<'_>) -> Answer {
    match read(file, server) {
        (server, Ok(entries)) => {
            let said = entries.iter().filter(|entry| entry.origin != weir_config::Origin::Default);
            let keys = counted(said.count() as u64, "key");
            let name = server.as_str();
            let human =
                format!("{} is sound: {keys} of an {name}\n", plain(&file.display().to_string()));
            if server != Server::Edge {
                let data = json!({ "sound": true, "server": name, "mistakes": [] });
                return Answer::new(human, &data);
            }
            let judged = (world.host.edge)(file);
            let code = match &judged {
                Some(Judged { sound: false, .. }) => Code::Unhealthy,
                _ => Code::Ok,
            };
            let (human, data, note) = judged::told(file, human, judged);
            let answer = Answer::new(human, &data).code(code);
            match note {
                Some(note) => answer.note(note),
                None => answer,
            }
        }
        (server, Err(report)) => {
            let mistakes: Vec<_> = report
                .mistakes()
                .iter()
                .map(|mistake| {
                    let place = mistake.place.as_ref();
                    json!({
                        "file": mistake.file.display().to_string(),
                        "line": place.map(|place| place.line),
                        "column": place.map(|place| place.column),
                        "key": mistake.key,
                        "what": mistake.what,
                        "help": mistake.help,
                        "example": mistake.example,
                    })
                })
                .collect();
            let data = json!({ "sound": false, "server": server.as_str(), "mistakes": mistakes });
            Answer::new(format!("{}\n", harmless(&report.to_string())), &data).code(Code::Unhealthy)
        }
    }
}

/// The same as a server would answer.
fn of_file(file: &Path) -> Result<ConfigReport, Failure> {
    let entries = read(file, None).1.map_err(|report| {
        Failure::new(Code::Unhealthy, format!("{} is not sound", file.display()))
            .why(report)
            .next(format!("cachectl config check {}", file.display()))
    })?;
    let entry = |entry: Entry| ConfigEntry {
        key: entry.key,
        value: entry.value,
        origin: entry.origin.to_string(),
        class: entry.class.as_str().to_owned(),
    };
    Ok(ConfigReport {
        file: file.display().to_string(),
        summary: weir_config_admin::ConfigSummary::default(),
        entries: entries.into_iter().map(entry).collect(),
    })
}

fn show(mut report: ConfigReport, key: Option<&str>, origin: bool) -> Result<Answer, Failure> {
    if let Some(key) = key {
        let under = |entry: &ConfigEntry| {
            let rest = entry.key.strip_prefix(key);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        };
        if !report.entries.iter().any(under) {
            let near = did_you_mean(key, report.entries.iter().map(|entry| entry.key.as_str()));
            let failure = Failure::new(Code::NotFound, format!("no key is called `{key}`"))
                .next("cachectl config show");
            return Err(match near {
                Some(near) => failure.why(near),
                None => failure,
            });
        }
        report.entries.retain(under);
    }
    let row = |entry: &ConfigEntry| {
        let value = format!("{} = {}", plain(&entry.key), plain(&entry.value));
        match origin {
            true => vec![value, plain(&entry.class), plain(&entry.origin)],
            false => vec![value],
        }
    };
    let rows: Vec<_> = report.entries.iter().map(row).collect();
    Ok(Answer::new(table("", &rows), &report))
}

fn not_default(client: &Client) -> Result<Answer, Failure> {
    let mut report: ConfigReport = client.get(CONFIG)?;
    report.entries.retain(|entry| entry.origin != "default");
    show(report, None, true)
}
