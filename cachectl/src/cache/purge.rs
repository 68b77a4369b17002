//! `cachectl cache purge`

use weir_config_admin::{CACHE_PURGE, CACHE_PURGES, PurgeRequest, PurgeResult, Purges};
use weir_edge_token::redact;

use super::named;
use crate::{
    Answer, World,
    cli::{PurgeCommand, PurgeFlags},
    client::Client,
    failure::{Code, Failure},
    print::{bytes, count, counted, percent, plain, table},
    time::utc,
};

pub(crate) fn purge(
    client: &Client,
    command: PurgeCommand,
    world: &mut World<'_>,
) -> Result<Answer, Failure> {
    let mut request = PurgeRequest::default();
    let (flags, what) = match command {
        PurgeCommand::Ls => return list(client),
        PurgeCommand::Url { url, flags } => {
            named::url(&url)?;
            let shown = plain(&redact(&url));
            request.url = Some(url);
            (flags, shown)
        }
        PurgeCommand::Prefix { prefix, flags } => {
            named::url(&prefix)?;
            let shown = format!("{}…", plain(&redact(&prefix)));
            request.prefix = Some(prefix);
            (flags, shown)
        }
        PurgeCommand::Tag { tag, flags } => {
            named::tag(&tag)?;
            let shown = format!("tag {}", plain(&tag));
            request.tag = Some(tag);
            (flags, shown)
        }
        PurgeCommand::Service { id, flags } => {
            let shown = format!("service {}", plain(&id));
            request.service = Some(id);
            (flags, shown)
        }
        PurgeCommand::All { flags } => {
            request.all = true;
            (flags, "everything".to_owned())
        }
    };
    let PurgeFlags { soft, dry_run, wait, yes, i_know, no_count } = flags;
    (request.soft, request.i_know, request.uncounted) = (soft, i_know, no_count);
    if dry_run {
        return ask(client, &request, true).map(|result| done(&result, true));
    }
    if !yes {
        confirm(client, &mut request, &what, world)?;
    }
    let result = ask(client, &request, false)?;
    if wait {
        reclaimed(client, result.epoch, world)?;
    }
    Ok(done(&result, !request.uncounted))
}

fn ask(client: &Client, request: &PurgeRequest, dry_run: bool) -> Result<PurgeResult, Failure> {
    let uncounted = request.uncounted && !dry_run;
    client.post(CACHE_PURGE, &PurgeRequest { dry_run, uncounted, ..request.clone() })
}

fn done(result: &PurgeResult, counted: bool) -> Answer {
    Answer::new(render(result, counted), result)
}

/// Shows a person what would go, and takes yes for an answer; for a wide purge only the name of
/// the site.
fn confirm(
    client: &Client,
    request: &mut PurgeRequest,
    what: &str,
    world: &mut World<'_>,
) -> Result<(), Failure> {
    let Some(person) = world.ask.as_deref_mut() else {
        return Err(Failure::new(Code::Usage, "nobody is there to confirm the purge")
            .why("stdin or stderr is no terminal")
            .next("see what would go with --dry-run, then run it with --yes"));
    };
    let preview = ask(client, request, true)?;
    let verb = if request.soft { "make stale" } else { "purge" };
    let amount = amount(&preview);
    let question = match preview.wide && request.i_know.is_none() {
        true => format!(
            "{verb} {amount} ({what})? type the site's name, {}, to go on: ",
            plain(&preview.site)
        ),
        false => format!("{verb} {amount} ({what})? [y/N] "),
    };
    let answer = person(&question)
        .map_err(|error| Failure::new(Code::Failed, "cannot read the answer").why(error))?;
    let agreed = match preview.wide && request.i_know.is_none() {
        true => answer.trim() == preview.site && !preview.site.is_empty(),
        false => matches!(answer.trim(), "y" | "Y" | "yes"),
    };
    if !agreed {
        return Err(Failure::new(Code::Refused, "not confirmed; nothing changed"));
    }
    if preview.wide {
        request.i_know.get_or_insert(preview.objects);
    }
    Ok(())
}

/// Waits until the space is reclaimed, and says how far that is.
fn reclaimed(client: &Client, epoch: u64, world: &mut World<'_>) -> Result<(), Failure> {
    let path = format!("{CACHE_PURGES}?reclaimed={epoch}");
    let mut told = false;
    loop {
        // Answers within a second, however far it is.
        let purges: Purges = client.get(&path)?;
        if purges.reclaimed_epoch >= epoch {
            return Ok(());
        }
        let first = "purge holds; Ctrl-C only stops watching its space being reclaimed\n";
        let line = format!(
            "{}reclaiming: looked at {} of {}\n",
            if told { "" } else { first },
            count(purges.walked),
            counted(purges.of, "object")
        );
        told = true;
        // Progress that nobody can see is no reason to stop.
        let _ = world.stderr.write_all(line.as_bytes());
    }
}

fn render(result: &PurgeResult, counted: bool) -> String {
    let verb = match (result.dry_run, result.soft) {
        (true, false) => "would purge",
        (true, true) => "would make stale",
        (false, false) => "purged",
        (false, true) => "made stale",
    };
    let amount = if counted { amount(result) } else { "what is meant, uncounted".to_owned() };
    let mut out = format!("{verb} {amount}");
    if !result.dry_run {
        out.push_str(&format!(" (purge epoch {})", result.epoch));
    }
    out.push('\n');
    for key in &result.sample {
        out.push_str(&format!("  {}\n", plain(key)));
    }
    if result.dry_run {
        let know = match result.wide {
            true => format!(" and with --i-know={}", result.objects),
            false => String::new(),
        };
        out.push_str(&format!("nothing changed. run again without --dry-run{know}.\n"));
    }
    out
}

/// `18,412 objects, 41.2 GiB, 0.9 % of all bytes`
fn amount(result: &PurgeResult) -> String {
    let about = if result.estimated { "about " } else { "" };
    let share = match result.share > 0.0 {
        true => format!(", {} of all bytes", percent(Some(result.share))),
        false => String::new(),
    };
    format!("{about}{}, {}{share}", counted(result.objects, "object"), bytes(result.bytes))
}

/// `cachectl cache purge ls`
fn list(client: &Client) -> Result<Answer, Failure> {
    let purges: Purges = client.get(CACHE_PURGES)?;
    Ok(Answer::new(render_list(&purges), &purges))
}

fn render_list(purges: &Purges) -> String {
    let row = |name: &str, text: String| vec![name.to_owned(), text];
    let rows = [
        row(
            "epoch",
            format!("{}, reclaimed up to {}", count(purges.epoch), count(purges.reclaimed_epoch)),
        ),
        row(
            "standing",
            format!("{} of at most {}", count(purges.standing), count(purges.standing_max)),
        ),
        row(
            "reclaimed",
            format!(
                "{}, {}, since start; {} made stale",
                counted(purges.objects, "object"),
                bytes(purges.bytes),
                counted(purges.stale, "object")
            ),
        ),
    ];
    let mut out = table("", &rows);
    if purges.walked > 0 {
        let of = counted(purges.of, "object");
        out.push_str(&format!("looked at {} of {of}\n", count(purges.walked)));
    }
    let order = |order: &weir_config_admin::PurgeOrder| {
        vec![
            count(order.epoch),
            utc(order.at),
            if order.soft { "soft" } else { "hard" }.to_owned(),
            format!("{} {}", plain(&order.kind), plain(&order.what)).trim_end().to_owned(),
        ]
    };
    let orders: Vec<_> = purges.oldest.iter().map(order).collect();
    out.push_str(&table("  ", &orders));
    out
}
