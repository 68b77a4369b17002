//! `cachectl cache pin | unpin`

use weir_config_admin::{CACHE_PINS, PinRequest, PinResult};
use weir_config_units::Duration;
use weir_edge_token::redact;

use super::{ls::loading, named};
use crate::{
    Answer, World,
    cli::{PinArgs, Selection},
    client::Client,
    failure::{Code, Failure},
    print::{bytes, count, counted, level, plain},
    time::{self, utc},
};

pub(crate) fn pin(
    client: &Client,
    args: PinArgs,
    world: &mut World<'_>,
) -> Result<Answer, Failure> {
    let until = args.until.as_deref().map(|text| end(text, world.now)).transpose()?;
    let request = PinRequest { until_unix_s: until, ..PinRequest::default() };
    change(client, args.selection, request, world)
}

pub(crate) fn unpin(
    client: &Client,
    selection: Selection,
    world: &mut World<'_>,
) -> Result<Answer, Failure> {
    change(client, selection, PinRequest { unpin: true, ..PinRequest::default() }, world)
}

/// When a pin ends.
fn end(text: &str, now: u64) -> Result<u64, Failure> {
    let from_now = || text.parse::<Duration>().ok().map(|time| now + time.as_std().as_secs());
    let end = time::unix(text).or_else(from_now).filter(|end| *end > now);
    end.ok_or_else(|| {
        Failure::new(Code::Usage, format!("no time to come: {}", plain(text)))
            .next("2026-12-01, 2026-12-01T18:00Z, or from now: 12h, 7d")
    })
}

fn change(
    client: &Client,
    selection: Selection,
    request: PinRequest,
    world: &mut World<'_>,
) -> Result<Answer, Failure> {
    let Selection { url, prefix, tag, service, dry_run, yes } = selection;
    url.as_deref().map_or(Ok(()), named::url)?;
    prefix.as_deref().map_or(Ok(()), named::url)?;
    tag.as_deref().map_or(Ok(()), named::tag)?;
    let shown = [
        url.as_deref().map(|url| redact(url).into_owned()),
        prefix.as_deref().map(|prefix| format!("{}…", redact(prefix))),
        tag.as_deref().map(|tag| format!("tag {tag}")),
        service.as_deref().map(|service| format!("service {service}")),
    ];
    let what = plain(&shown.into_iter().flatten().next().unwrap_or_default());
    let request = PinRequest { url, prefix, tag, service, ..request };
    // First, whatever comes: what is too much is refused before anything changes.
    let preview = walk(client, &PinRequest { dry_run: true, ..request.clone() }, world)?;
    if preview.objects == 0 && !dry_run {
        return Err(Failure::new(Code::NotFound, format!("nothing of {what} is in the cache"))
            .next("cachectl cache ls shows what is; cachectl cache warm URL brings it"));
    }
    let wanted = preview.pinned_bytes.saturating_add(preview.changed_bytes);
    if !request.unpin && preview.changed_bytes > 0 && wanted > preview.pinned_limit {
        return Err(Failure::new(
            Code::Refused,
            format!("refused: {} is too much", amount(&preview)),
        )
        .why(format!(
            "pinned objects may have {}, half of the disks, and have {} already",
            bytes(preview.pinned_limit),
            bytes(preview.pinned_bytes)
        ))
        .next("unpin something (cachectl cache ls --pinned), or pin less"));
    }
    if dry_run {
        return Ok(done(&request, &preview));
    }
    if !yes && preview.changed > 0 {
        let verb = if request.unpin { "unpin" } else { "pin" };
        confirm(&format!("{verb} {} ({what})? [y/N] ", amount(&preview)), world)?;
    }
    let result = walk(client, &PinRequest { dry_run: false, ..request.clone() }, world)?;
    if let Some(refused) = &result.refused {
        let what = format!("refused after {}", counted(result.changed, "object"));
        return Err(Failure::new(Code::Refused, what)
            .why(refused)
            .next("those stay pinned; cachectl cache ls --pinned"));
    }
    Ok(done(&request, &result))
}

fn confirm(question: &str, world: &mut World<'_>) -> Result<(), Failure> {
    let Some(person) = world.ask.as_deref_mut() else {
        return Err(Failure::new(Code::Usage, "nobody is there to confirm it")
            .why("stdin or stderr is no terminal")
            .next("see what would change with --dry-run, then run it with --yes"));
    };
    let answer = person(question)
        .map_err(|error| Failure::new(Code::Failed, "cannot read the answer").why(error))?;
    match matches!(answer.trim(), "y" | "Y" | "yes") {
        true => Ok(()),
        false => Err(Failure::new(Code::Refused, "not confirmed; nothing changed")),
    }
}

/// All steps as one.
fn walk(
    client: &Client,
    request: &PinRequest,
    world: &mut World<'_>,
) -> Result<PinResult, Failure> {
    let mut sum = PinResult::default();
    let mut request = request.clone();
    loop {
        let step: PinResult = client.post_slowly(CACHE_PINS, &request)?;
        let sample = sum.sample.into_iter().chain(step.sample).take(10).collect();
        sum = PinResult {
            objects: sum.objects + step.objects,
            bytes: sum.bytes + step.bytes,
            changed: sum.changed + step.changed,
            changed_bytes: sum.changed_bytes + step.changed_bytes,
            brought_bytes: sum.brought_bytes + step.brought_bytes,
            incomplete: sum.incomplete + step.incomplete,
            missing_bytes: sum.missing_bytes + step.missing_bytes,
            sample,
            loading: sum.loading | step.loading,
            ..step
        };
        if sum.next.is_none() || sum.refused.is_some() {
            return Ok(sum);
        }
        request.cursor = sum.next.take();
        let verb = if request.dry_run { "found" } else { "done" };
        // Progress that nobody can see is no reason to stop.
        let _ = writeln!(world.stderr, "{verb}: {}", counted(sum.objects, "object"));
    }
}

fn amount(result: &PinResult) -> String {
    format!("{}, {}", counted(result.changed, "object"), bytes(result.changed_bytes))
}

fn done(request: &PinRequest, result: &PinResult) -> Answer {
    let verb = match (result.dry_run, request.unpin) {
        (true, false) => "would pin",
        (true, true) => "would unpin",
        (false, false) => "pinned",
        (false, true) => "unpinned",
    };
    let until = request.until_unix_s.map(|until| format!(" until {}", utc(until)));
    let mut text = format!("{verb} {}{}\n", amount(result), until.unwrap_or_default());
    let same = result.objects - result.changed.min(result.objects);
    if same > 0 {
        let is = if request.unpin { "not pinned" } else { "pinned so" };
        text.push_str(&format!("{} already\n", format_args!("{} {is}", counted(same, "object"))));
    }
    for key in &result.sample {
        text.push_str(&format!("  {}\n", plain(key)));
    }
    if result.brought_bytes > 0 {
        text.push_str(&format!("{} went from RAM to disk\n", bytes(result.brought_bytes)));
    }
    if result.incomplete > 0 {
        text.push_str(&format!(
            "{} not wholly here: what is missing, {}, is kept when it is asked for\n",
            match result.incomplete {
                1 => "1 object is".to_owned(),
                number => format!("{} objects are", count(number)),
            },
            bytes(result.missing_bytes)
        ));
        text.push_str("  -> cachectl cache warm brings it now\n");
    }
    text.push_str(&format!(
        "pinned now: {}, {}\n",
        counted(result.pinned_objects, "object"),
        level(result.pinned_bytes, result.pinned_limit)
    ));
    if result.dry_run {
        text.push_str("nothing changed. run again without --dry-run.\n");
    }
    loading(Answer::new(text, result), result.loading)
}
