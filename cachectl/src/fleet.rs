//! `cachectl nodes`, `cachectl enroll`: the fleet of a control plane, and who is let into it.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::json;
use weir_config_admin::{
    FleetNode, FleetNodes, FleetStatus, NODES, NodeDone, NodeHistory, NodeOrder, TOKENS,
    TOKENS_REVOKE, TokenKnown, TokenMade, TokenOrder, TokenRevoke, Tokens,
};
use weir_config_units::Duration;

use crate::{
    Answer,
    client::Client,
    failure::{Code, Failure},
    print::{bytes, percent, plain, table},
    time::{span, utc},
};

/// Where a control plane of this host listens by default.
const STEERING_SOCKET: &str = "/run/weir/steering.sock";

/// The control plane's socket: what `--socket` and the environment name, else its own.
pub(crate) fn client(named: Option<PathBuf>) -> Client {
    Client::new(named.unwrap_or_else(|| STEERING_SOCKET.into()))
}

#[derive(Debug, Subcommand)]
pub(crate) enum NodesCommand {
    /// Every node: whether it is heard of, how much it has to spare, what is wanted of it.
    Ls,
    /// All about one node.
    Show {
        /// Its name.
        node: String,
    },
    /// What happened to a node, the newest first; also to one that is forgotten.
    History {
        /// Its name.
        node: String,
    },
    /// Steer viewers to a node again.
    Enable {
        /// Its name.
        node: String,
    },
    /// Steer nobody to a node, whatever it reports.
    Disable {
        /// Its name.
        node: String,
    },
    /// Set labels of a node: `rack=7`; `rack=` takes one away.
    Label {
        /// Its name.
        node: String,
        /// `name=text`.
        #[arg(required = true)]
        labels: Vec<String>,
    },
    /// Take a node's certificates back: it is refused until it joins again with a token for it.
    Revoke {
        /// Its name.
        node: String,
        /// Do it.
        #[arg(long)]
        yes: bool,
    },
    /// Forget a node that is gone for good; its history stays.
    Forget {
        /// Its name.
        node: String,
        /// Do it.
        #[arg(long)]
        yes: bool,
    },
    /// The fleet at one glance: how many are heard of, what was refused.
    Status,
}

#[derive(Debug, Subcommand)]
pub(crate) enum EnrollCommand {
    /// Join tokens: each lets a node into the fleet.
    #[command(subcommand)]
    Token(TokenCommand),
}

#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Make a token. It is shown this once.
    Create(Create),
    /// Every token, and how often it can still be used.
    Ls,
    /// Take a token back.
    Revoke {
        /// Its id, as `ls` shows it.
        id: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Create {
    /// The one site that it lets into [default: any].
    #[arg(long)]
    site: Option<String>,
    /// The one node that it is for; it may take that node's place where it is there already.
    #[arg(long)]
    node: Option<String>,
    /// How long it can be used: up to 30d.
    #[arg(long, default_value = "24h")]
    ttl: Duration,
    /// How often it can be used.
    #[arg(long, default_value_t = 1)]
    uses: u32,
}

pub(crate) fn nodes(client: &Client, command: NodesCommand, now: u64) -> Result<Answer, Failure> {
    match command {
        NodesCommand::Ls => ls(client, now),
        NodesCommand::Status => status(client),
        NodesCommand::Show { node } => {
            let found: FleetNode = client.get(&path(&node)?)?;
            let code = verdict(&found);
            Ok(Answer::new(shown(&found, now), &found).code(code))
        }
        NodesCommand::History { node } => history(client, &node),
        NodesCommand::Enable { node } => want(client, &node, "serving"),
        NodesCommand::Disable { node } => want(client, &node, "disabled"),
        NodesCommand::Label { node, labels } => {
            let change = |text: &String| {
                let (name, value) = text.split_once('=')?;
                let value = Some(value.to_owned()).filter(|value| !value.is_empty());
                (!name.is_empty()).then(|| (name.to_owned(), value))
            };
            let Some(changes) = labels.iter().map(change).collect() else {
                return Err(Failure::new(Code::Usage, "a label is `name=text`").next("rack=7"));
            };
            let done: NodeDone = client.post(&path(&node)?, &NodeOrder::Label { changes })?;
            Ok(Answer::new(format!("{} is labelled\n", plain(&node)), &done))
        }
        NodesCommand::Revoke { node, yes } => {
            confirmed(yes, &node, "is refused from then on, and nothing of it is steered to")?;
            let done: NodeDone = client.post(&path(&node)?, &NodeOrder::Revoke {})?;
            let human =
                format!("{} certificates of {} count no more\n", done.revoked, plain(&node));
            Ok(Answer::new(human, &done))
        }
        NodesCommand::Forget { node, yes } => {
            confirmed(yes, &node, "is refused from then on, as if it had never joined")?;
            let done: NodeDone = client.post(&path(&node)?, &NodeOrder::Forget {})?;
            Ok(Answer::new(format!("{} is forgotten\n", plain(&node)), &done))
        }
    }
}

pub(crate) fn enroll(client: &Client, command: EnrollCommand, now: u64) -> Result<Answer, Failure> {
    let EnrollCommand::Token(command) = command;
    match command {
        TokenCommand::Create(create) => token(client, create),
        TokenCommand::Ls => {
            let tokens: Tokens = client.get(TOKENS)?;
            Ok(Answer::new(listed(&tokens, now), &tokens))
        }
        TokenCommand::Revoke { id } => {
            let tokens: Tokens = client.post(TOKENS_REVOKE, &TokenRevoke { id: id.clone() })?;
            Ok(Answer::new(format!("token {} lets nobody in any more\n", plain(&id)), &tokens))
        }
    }
}

/// What cannot be undone is said twice.
fn confirmed(yes: bool, node: &str, what: &str) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    Err(Failure::new(Code::Refused, format!("{} {what}", plain(node))).next("the same with --yes"))
}

/// Names have no character that a path would take for something else.
fn path(node: &str) -> Result<String, Failure> {
    let sound = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if node.is_empty() || !node.chars().all(sound) || node.starts_with('.') {
        return Err(Failure::new(Code::Usage, format!("{node:?} is no name of a node"))
            .next("cachectl nodes ls"));
    }
    Ok(format!("{NODES}/{node}"))
}

fn want(client: &Client, node: &str, state: &str) -> Result<Answer, Failure> {
    let order = NodeOrder::Want { state: state.to_owned(), until_ms: None };
    let done: NodeDone = client.post(&path(node)?, &order)?;
    Ok(Answer::new(format!("{} is wanted {state}\n", plain(node)), &done))
}

fn token(client: &Client, create: Create) -> Result<Answer, Failure> {
    let Create { site, node, ttl, uses } = create;
    let ttl_s = ttl.as_std().as_secs();
    let made: TokenMade = client.post(TOKENS, &TokenOrder { site, node, ttl_s, uses })?;
    let url = made.urls.first().map_or("https://CONTROL-PLANE:8441", String::as_str);
    let human = format!(
        "{}\n\n\
         Put it into a file on the node, for its user alone, and there:\n\n  \
         weir-edge join {} --config edge.toml --token-file FILE --ca-sha256 {}\n\n\
         It is not shown again. Its id is {}, it ends {}.\n",
        plain(&made.token),
        plain(url),
        plain(&made.ca_sha256),
        plain(&made.known.id),
        utc(made.known.expires_ms / 1_000),
    );
    Ok(Answer::new(human, &made))
}

fn listed(tokens: &Tokens, now: u64) -> String {
    let head = ["ID", "SITE", "NODE", "USES LEFT", "ENDS"].map(str::to_owned).to_vec();
    let any = |text: &str| if text.is_empty() { "any".to_owned() } else { plain(text) };
    let row = |token: &TokenKnown| {
        let ends = token.expires_ms / 1_000;
        let ends = match (token.revoked_ms, ends.checked_sub(now)) {
            (Some(_), _) => "taken back".to_owned(),
            (None, Some(left)) if left > 0 => format!("in {}", span(left)),
            (None, _) => "over".to_owned(),
        };
        let uses = format!("{} of {}", token.uses_left, token.uses);
        vec![plain(&token.id), any(&token.site), any(&token.node), uses, ends]
    };
    let rows = std::iter::once(head).chain(tokens.tokens.iter().map(row));
    table("", &rows.collect::<Vec<_>>())
}

/// What a report says at a JSON pointer.
fn number(node: &FleetNode, at: &str) -> Option<f64> {
    node.report.as_ref()?.pointer(at)?.as_f64()
}

fn word<'n>(node: &'n FleetNode, at: &str) -> Option<&'n str> {
    node.report.as_ref()?.pointer(at)?.as_str()
}

fn verdict(node: &FleetNode) -> Code {
    let well = matches!(&*node.presence, "present" | "late") && node.clock != "wrong";
    if well || node.wanted == "disabled" { Code::Ok } else { Code::Unhealthy }
}

fn ls(client: &Client, now: u64) -> Result<Answer, Failure> {
    let all: FleetNodes = client.get(NODES)?;
    let head = ["NODE", "SITE", "STATE", "WANTED", "SPARE", "SCARCEST", "TRAFFIC", "NOTE"];
    let row = |node: &FleetNode| {
        vec![
            plain(&node.node),
            plain(&node.site),
            state(node, now),
            plain(&node.wanted),
            percent(number(node, "/health/spare")),
            word(node, "/health/scarcest").map(plain).unwrap_or_default(),
            number(node, "/serving/bytes_per_s").map(rate).unwrap_or_default(),
            note(node, now),
        ]
    };
    let head = head.map(str::to_owned).to_vec();
    let rows = std::iter::once(head).chain(all.nodes.iter().map(row));
    let human = match all.nodes.is_empty() {
        true => "no node has joined: cachectl enroll token create\n".to_owned(),
        false => table("", &rows.collect::<Vec<_>>()),
    };
    let sick = all.nodes.iter().any(|node| verdict(node) != Code::Ok);
    let code = if sick { Code::Unhealthy } else { Code::Ok };
    Ok(Answer::new(human, &all).code(code))
}

#[expect(clippy::cast_sign_loss, clippy::cast_possible_truncation, reason = "amounts of bytes")]
fn rate(bytes_per_s: f64) -> String {
    format!("{}/s", bytes(bytes_per_s.max(0.0) as u64))
}

fn state(node: &FleetNode, now: u64) -> String {
    match (&*node.presence, node.heard_ms) {
        ("gone", Some(ms)) => format!("GONE for {}", span(now.saturating_sub(ms / 1_000))),
        ("gone", None) => "GONE".to_owned(),
        (presence, _) => plain(presence),
    }
}

/// What needs a hand.
fn note(node: &FleetNode, now: u64) -> String {
    let mut notes = Vec::new();
    if node.clock != "right" {
        notes.push(format!("clock off by {} s", node.clock_off_ms / 1_000));
    }
    if node.flaps {
        notes.push("comes and goes".to_owned());
    }
    if !node.behind.is_empty() {
        notes.push(format!("behind: {}", plain(&node.behind.join(", "))));
    }
    match node.certificate_ends_ms {
        None => notes.push("no certificate".to_owned()),
        Some(ends) => {
            let left = (ends / 1_000).saturating_sub(now);
            if left < 86_400 {
                notes.push(format!("certificate ends in {}", span(left)));
            }
        }
    }
    notes.join("; ")
}

fn shown(node: &FleetNode, now: u64) -> String {
    let row = |name: &str, text: String| vec![name.to_owned(), text];
    let ends = node.certificate_ends_ms.map_or("none that counts".to_owned(), |ms| {
        format!("ends {}, in {}", utc(ms / 1_000), span((ms / 1_000).saturating_sub(now)))
    });
    let until = node.until_ms.map(|ms| format!(" until {}", utc(ms / 1_000)));
    let mut rows = vec![
        row("node", plain(&node.node)),
        row("site", plain(&node.site)),
        row("state", state(node, now)),
        row("wanted", format!("{}{}", plain(&node.wanted), until.unwrap_or_default())),
        row("joined", utc(node.joined_ms / 1_000)),
        row("certificate", ends),
        row("clock", format!("{}, {} ms ahead", plain(&node.clock), node.clock_off_ms)),
    ];
    if let Some(spare) = number(node, "/health/spare") {
        let scarcest = word(node, "/health/scarcest").map(plain).unwrap_or_default();
        rows.push(row("spare", format!("{} of {scarcest}", percent(Some(spare)))));
    }
    if let (Some(requests), Some(traffic)) =
        (number(node, "/serving/requests_per_s"), number(node, "/serving/bytes_per_s"))
    {
        rows.push(row("traffic", format!("{requests:.1} requests/s, {}", rate(traffic))));
        rows.push(row("hit ratio", percent(number(node, "/serving/hit_share"))));
    }
    if let Some(build) = word(node, "/identity/build") {
        rows.push(row("version", plain(build)));
    }
    for (name, text) in &node.labels {
        rows.push(row("label", format!("{}={}", plain(name), plain(text))));
    }
    let note = note(node, now);
    if !note.is_empty() {
        rows.push(row("note", note));
    }
    table("", &rows)
}

fn history(client: &Client, node: &str) -> Result<Answer, Failure> {
    let history: NodeHistory = client.get(&format!("{}/history", path(node)?))?;
    if history.events.is_empty() {
        return Err(Failure::new(Code::NotFound, format!("nothing is known of {}", plain(node)))
            .next("cachectl nodes ls"));
    }
    let row = |event: &weir_config_admin::NodeEvent| {
        vec![utc(event.at_ms / 1_000), plain(&event.kind), plain(&event.detail)]
    };
    let rows: Vec<_> = history.events.iter().map(row).collect();
    Ok(Answer::new(table("", &rows), &history))
}

fn status(client: &Client) -> Result<Answer, Failure> {
    let status: FleetStatus = client.get(weir_config_admin::FLEET)?;
    let row = |name: &str, text: String| vec![name.to_owned(), text];
    let list = |all: &std::collections::BTreeMap<String, u64>| {
        let each = all.iter().map(|(name, count)| format!("{count} {}", plain(name)));
        each.collect::<Vec<_>>().join(", ")
    };
    let rows = [
        row("nodes", list(&status.presence)),
        row("reports", status.reports.to_string()),
        row("refused", list(&status.refused)),
        row("database", plain(&status.store)),
        row("authority", format!("sha256 {}", plain(&status.ca_sha256))),
    ];
    let gone = status.presence.get("gone").is_some_and(|count| *count > 0);
    let code = if gone { Code::Unhealthy } else { Code::Ok };
    Ok(Answer::new(table("", &rows), &json!(status)).code(code))
}
