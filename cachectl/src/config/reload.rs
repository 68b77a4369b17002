//! Telling a running server anew, and what that would come to.

use weir_config_admin::{
    CONFIG_HISTORY, CONFIG_RELOAD, CONFIG_ROLLBACK, ConfigChange, ConfigHistory, ReloadOrder,
    ReloadOutcome, ReloadResult, RollbackOrder,
};

use crate::{
    Answer, World,
    client::Client,
    failure::{Code, Failure},
    print::{counted, plain, table},
    time::utc,
};

fn dry_run(client: &Client) -> Result<ReloadResult, Failure> {
    client.post(CONFIG_RELOAD, &ReloadOrder { dry_run: true })
}

pub(super) fn check(client: &Client) -> Result<Answer, Failure> {
    let result = dry_run(client)?;
    if let Some(why) = &result.refused {
        let human = format!("{}\n", report(why));
        return Ok(Answer::new(human, &result).code(Code::Unhealthy));
    }
    let differs = result.applied.len() + result.restart.len();
    let what = match differs {
        0 => "nothing differs from what runs".to_owned(),
        _ => format!(
            "a reload would change {}, {} would wait for a restart",
            counted(result.applied.len() as u64, "key"),
            counted(result.restart.len() as u64, "key")
        ),
    };
    let certificates = match result.certificates {
        0 => String::new(),
        some => format!("; {} proved by a handshake", counted(some, "certificate")),
    };
    Ok(Answer::new(format!("sound: {what}{certificates}\n"), &result))
}

pub(super) fn diff(client: &Client) -> Result<Answer, Failure> {
    let result = dry_run(client)?;
    if let Some(why) = &result.refused {
        let human = format!("{}\n", report(why));
        return Ok(Answer::new(human, &result).code(Code::Unhealthy));
    }
    let human = changes(&result, "");
    if human.is_empty() {
        return Ok(Answer::new("nothing differs\n".into(), &result));
    }
    Ok(Answer::new(human, &result).code(Code::Conflict))
}

pub(super) fn reload(client: &Client, dry_run: bool) -> Result<Answer, Failure> {
    Ok(told(&client.post(CONFIG_RELOAD, &ReloadOrder { dry_run })?))
}

pub(super) fn rollback(
    client: &Client,
    revision: u64,
    dry_run: bool,
    yes: bool,
    world: &mut World<'_>,
) -> Result<Answer, Failure> {
    let ask = |dry_run| -> Result<ReloadResult, Failure> {
        client.post(CONFIG_ROLLBACK, &RollbackOrder { revision, dry_run })
    };
    if dry_run || yes {
        return Ok(told(&ask(dry_run)?));
    }
    // First, whoever is there: what cannot be gone back to needs no confirmation.
    let preview = ask(true)?;
    let Some(person) = world.ask.as_deref_mut() else {
        return Err(Failure::new(Code::Usage, "nobody is there to confirm it")
            .why("stdin or stderr is no terminal")
            .next("see what would change with --dry-run, then run it with --yes"));
    };
    if preview.refused.is_some() {
        return Ok(told(&preview));
    }
    let said = person(&format!("{}go back to revision {revision}? [y/N] ", changes(&preview, "")))
        .map_err(|error| Failure::new(Code::Failed, "cannot read the answer").why(error))?;
    if !matches!(said.trim(), "y" | "Y" | "yes") {
        return Err(Failure::new(Code::Refused, "not confirmed; nothing changed"));
    }
    Ok(told(&ask(false)?))
}

/// What a reload came to, in full: what holds, what waits, and why nothing was changed.
fn told(result: &ReloadResult) -> Answer {
    if let Some(why) = &result.refused {
        let human = format!("{}\nrevision {} runs on\n", report(why), result.revision);
        return Answer::new(human, result).code(Code::Failed);
    }
    let would = if result.dry_run { "would be " } else { "" };
    let mut human = match result.outcome {
        ReloadOutcome::Unchanged if result.restart.is_empty() => {
            format!("nothing is different; revision {} runs on\n", result.revision)
        }
        _ => format!(
            "revision {}: {} {would}taken, {} {} for a restart\n",
            result.revision,
            counted(result.applied.len() as u64, "key"),
            counted(result.restart.len() as u64, "key"),
            if result.restart.len() == 1 { "waits" } else { "wait" },
        ),
    };
    human.push_str(&changes(result, "  "));
    if result.certificates > 0 {
        human.push_str(&format!(
            "  {}, {} new, proved by a handshake\n",
            counted(result.certificates, "certificate"),
            result.new_certificates
        ));
    }
    for note in &result.notes {
        human.push_str(&format!("  {}\n", plain(note)));
    }
    if result.dry_run {
        human.push_str("nothing changed. run again without --dry-run.\n");
    }
    Answer::new(human, result)
}

fn changes(result: &ReloadResult, indent: &str) -> String {
    let shown = |value: &Option<String>| value.as_deref().map_or_else(|| "-".to_owned(), plain);
    let row = |change: &ConfigChange| {
        vec![
            plain(&change.key),
            format!("{} -> {}", shown(&change.from), shown(&change.to)),
            plain(&change.class),
            change.origin.as_deref().map(plain).unwrap_or_default(),
        ]
    };
    let all = result.applied.iter().chain(&result.restart);
    table(indent, &all.map(row).collect::<Vec<_>>())
}

/// A report of several lines: only what could write to the terminal is taken out.
fn report(text: &str) -> String {
    text.lines().map(plain).collect::<Vec<_>>().join("\n")
}

pub(super) fn history(client: &Client) -> Result<Answer, Failure> {
    let history: ConfigHistory = client.get(CONFIG_HISTORY)?;
    let rows: Vec<_> = history
        .revisions
        .iter()
        .map(|kept| {
            let mark = if kept.revision == history.running { "*" } else { " " };
            let changed = match kept.changed.as_slice() {
                [] => String::new(),
                [one] => plain(one),
                [first, rest @ ..] => {
                    format!("{} and {}", plain(first), counted(rest.len() as u64, "key"))
                }
            };
            vec![
                format!("{mark} {}", kept.revision),
                utc(kept.unix_ms / 1000),
                plain(&kept.cause),
                counted(kept.files.len() as u64, "file"),
                changed,
            ]
        })
        .collect();
    Ok(Answer::new(table("", &rows), &history))
}
