//! `cachectl disks ls | show | offline | online | replace | wear`

use weir_config_admin::{DISKS, DiskAction, DiskOrder, DiskReport, DiskResult, DiskState, Disks};

use crate::{
    Answer, World,
    cli::{DisksCommand, OrderFlags},
    client::Client,
    failure::{Code, Failure},
    print::{bytes, count, counted, level, percent, plain, table},
    time::{span, utc},
};

pub(crate) fn disks(
    client: &Client,
    command: DisksCommand,
    world: &mut World<'_>,
) -> Result<Answer, Failure> {
    match command {
        DisksCommand::Ls => list(client),
        DisksCommand::Show { disk } => show(client, &disk, world.now),
        DisksCommand::Offline { disk, flags } => {
            order(client, &disk, DiskAction::Offline, &flags, world)
        }
        DisksCommand::Online { disk, flags } => {
            order(client, &disk, DiskAction::Online, &flags, world)
        }
        DisksCommand::Replace { disk, flags } => {
            order(client, &disk, DiskAction::Replace, &flags, world)
        }
        DisksCommand::Wear => wear(client),
    }
}

fn list(client: &Client) -> Result<Answer, Failure> {
    let all: Disks = client.get(DISKS)?;
    if all.disks.is_empty() {
        return Ok(Answer::new("no disks: this node caches in RAM only\n".into(), &all));
    }
    let rows: Vec<_> = all.disks.iter().map(row).collect();
    let code = worst(all.disks.iter());
    Ok(Answer::new(table("", &rows), &all).code(code))
}

/// Unhealthy where one is not as it should be.
fn worst<'a>(mut disks: impl Iterator<Item = &'a DiskReport>) -> Code {
    match disks.all(|disk| disk.state == DiskState::Online) {
        true => Code::Ok,
        false => Code::Unhealthy,
    }
}

fn row(disk: &DiskReport) -> Vec<String> {
    vec![
        plain(&disk.path),
        state(disk),
        held(disk),
        format!("{} of chunks", percent(Some(disk.share))),
        counted(disk.errors + disk.overdue, "failure"),
        disk.what.as_deref().map(plain).unwrap_or_default(),
    ]
}

fn state(disk: &DiskReport) -> String {
    match disk.state {
        DiskState::Online => "online".to_owned(),
        DiskState::Full => "FULL".to_owned(),
        DiskState::Opening => "opening".to_owned(),
        DiskState::Offline => {
            format!("OFFLINE ({})", disk.cause.as_deref().map(plain).unwrap_or_default())
        }
    }
}

fn held(disk: &DiskReport) -> String {
    match disk.bytes {
        Some(held) => level(held, disk.limit),
        None => format!("- of {}", bytes(disk.limit)),
    }
}

fn show(client: &Client, name: &str, now: u64) -> Result<Answer, Failure> {
    let all: Disks = client.get(DISKS)?;
    let disk = named(&all.disks, name)?;
    let code = worst(std::iter::once(&disk));
    Ok(Answer::new(render(&disk, now), &disk).code(code))
}

/// The disk of that folder, last name of a folder, or identity.
fn named(disks: &[DiskReport], name: &str) -> Result<DiskReport, Failure> {
    let last = |path: &str| path.trim_end_matches('/').rsplit('/').next().map(str::to_owned);
    let by: [&dyn Fn(&DiskReport) -> bool; 3] =
        [&|disk| disk.path == name, &|disk| last(&disk.path).as_deref() == Some(name), &|disk| {
            name.len() >= 4 && disk.id.as_deref().is_some_and(|id| id.starts_with(name))
        }];
    for matches in by {
        let mut found: Vec<_> = disks.iter().filter(|disk| matches(disk)).collect();
        match (found.pop(), found.is_empty()) {
            (Some(disk), true) => return Ok(disk.clone()),
            (Some(_), false) => {
                let what = format!("{name:?} is several disks");
                return Err(Failure::new(Code::Usage, what).next("name one by its whole folder"));
            }
            (None, _) => {}
        }
    }
    Err(Failure::new(Code::NotFound, format!("no disk is called {name:?}"))
        .why("a disk is named by its folder, the folder's last name, or its identity")
        .next("cachectl disks ls"))
}

fn render(disk: &DiskReport, now: u64) -> String {
    let row = |name: &str, text: String| vec![name.to_owned(), text];
    let mut rows = vec![
        row("disk", plain(&disk.path)),
        row("identity", disk.id.as_deref().map_or_else(|| "not known".into(), plain)),
        row("state", state(disk)),
    ];
    if let Some(what) = &disk.what {
        rows.push(row("why", plain(what)));
    }
    if let Some(since) = disk.since_unix_ms {
        let ago = span(now.saturating_sub(since / 1000));
        rows.push(row("since", format!("{}, {ago} ago", utc(since / 1000))));
    }
    let chunks = disk.chunks.map(|chunks| counted(chunks, "chunk"));
    let evicted = disk.evictions.map(|evicted| format!("{} evicted", count(evicted)));
    let parts = [Some(held(disk)), chunks, evicted];
    rows.push(row("holds", parts.into_iter().flatten().collect::<Vec<_>>().join(", ")));
    rows.push(row("share", format!("{} of chunks belong here", percent(Some(disk.share)))));
    if let (Some(all), Some(free)) = (disk.system_bytes, disk.system_free_bytes) {
        rows.push(row("file system", format!("{} free of {}", bytes(free), bytes(all))));
    }
    rows.push(row(
        "read",
        format!(
            "{}, {}; of {} a part only; {} from the device",
            counted(disk.reads, "chunk"),
            bytes(disk.read_bytes),
            count(disk.part_reads),
            bytes(disk.device_read_bytes)
        ),
    ));
    rows.push(row(
        "written",
        format!(
            "{} of {} taken, {} refused, {} to the device",
            counted(disk.accepted, "chunk"),
            bytes(disk.accepted_bytes),
            bytes(disk.refused_bytes),
            bytes(disk.written_bytes)
        ),
    ));
    rows.push(row(
        "failures",
        format!(
            "{}, {} too slow, {} lost, {} damaged",
            counted(disk.errors, "failed call"),
            counted(disk.overdue, "read"),
            counted(disk.lost, "chunk"),
            count(disk.checksum_failures)
        ),
    ));
    rows.push(row("index", format!("{} of cache.memory", bytes(disk.index_bytes))));
    let mut out = table("", &rows);
    if let Some(next) = next(disk) {
        out.push_str(&format!("next  {next}\n"));
    }
    out
}

/// What an operator would do.
fn next(disk: &DiskReport) -> Option<String> {
    let path = plain(&disk.path);
    let advice = match (disk.state, disk.cause.as_deref()) {
        (DiskState::Online | DiskState::Opening, _) => return None,
        (DiskState::Full, _) => format!(
            "make room on its file system, or set a smaller size: what is there besides {path}?"
        ),
        (DiskState::Offline, Some("operator")) => format!("cachectl disks online {path}"),
        (DiskState::Offline, Some("missing")) => {
            format!("mount it at {path}: it is used within 30 s; or cachectl disks replace {path}")
        }
        (DiskState::Offline, Some("foreign" | "unusable")) => format!(
            "put right what stands above: it is used within 30 s; or cachectl disks replace {path}"
        ),
        (DiskState::Offline, _) => format!(
            "change the disk and mount the new one at {path}, then cachectl disks replace \
             {path}; or try it again: cachectl disks online {path}"
        ),
    };
    Some(advice)
}

fn wear(client: &Client) -> Result<Answer, Failure> {
    let all: Disks = client.get(DISKS)?;
    if all.disks.is_empty() {
        return Ok(Answer::new("no disks: this node caches in RAM only\n".into(), &all));
    }
    let rows: Vec<_> = all.disks.iter().map(worn).collect();
    let note = "what the cache had written; file system and device add their own. endurance is \
                not known here: compare with the drive's rated TBW or DWPD";
    Ok(Answer::new(table("", &rows), &all).note(note))
}

fn worn(disk: &DiskReport) -> Vec<String> {
    let wear = &disk.wear;
    let since = match wear.since_unix_s {
        0 => "since it is known".to_owned(),
        day => format!("since {}", utc(day).split('T').next().unwrap_or_default()),
    };
    let day = match wear.per_day_bytes {
        Some(day) => format!(
            "{} a day, {:.2} of its size",
            bytes(day),
            day as f64 / disk.limit.max(1) as f64
        ),
        None => "no whole day yet".to_owned(),
    };
    vec![
        plain(&disk.path),
        format!("{} written {since}", bytes(wear.total_bytes)),
        day,
        format!("{} today", bytes(wear.today_bytes)),
    ]
}

fn order(
    client: &Client,
    disk: &str,
    action: DiskAction,
    flags: &OrderFlags,
    world: &mut World<'_>,
) -> Result<Answer, Failure> {
    let ask = |dry_run| {
        let order = DiskOrder { disk: disk.to_owned(), action, dry_run };
        client.post::<DiskResult>(DISKS, &order)
    };
    if flags.dry_run {
        let preview = ask(true)?;
        let text = format!(
            "would {}\nnothing changed. run again without --dry-run.\n",
            intent(action, &preview.disk)
        );
        return Ok(Answer::new(text, &preview));
    }
    if !flags.yes {
        let Some(person) = world.ask.as_deref_mut() else {
            return Err(Failure::new(Code::Usage, "nobody is there to confirm it")
                .why("stdin or stderr is no terminal")
                .next("see what would be done with --dry-run, then run it with --yes"));
        };
        let preview = ask(true)?;
        let answer = person(&format!("{}? [y/N] ", intent(action, &preview.disk)))
            .map_err(|error| Failure::new(Code::Failed, "cannot read the answer").why(error))?;
        if !matches!(answer.trim(), "y" | "Y" | "yes") {
            return Err(Failure::new(Code::Refused, "not confirmed; nothing changed"));
        }
    }
    let mut result = ask(false)?;
    settle(client, &mut result, world)?;
    let disk = &result.disk;
    let wanted = match action {
        DiskAction::Offline => DiskState::Offline,
        DiskAction::Online | DiskAction::Replace => DiskState::Online,
    };
    if disk.state != wanted {
        let what = format!("disk {} is {}", plain(&disk.path), state(disk));
        return Err(Failure::new(Code::Failed, what)
            .why(disk.what.as_deref().map(plain).unwrap_or_default())
            .next(format!("cachectl disks show {}", plain(&disk.path))));
    }
    let over = if result.unkept.is_some() { "" } else { ", over restarts too" };
    let mut text = match action {
        DiskAction::Offline => format!(
            "disk {} is offline{over}; its chunks are misses. It can be taken out.\n",
            plain(&disk.path)
        ),
        DiskAction::Online | DiskAction::Replace => {
            format!("disk {} is online, {}\n", plain(&disk.path), held(disk))
        }
    };
    let code = match &result.unkept {
        Some(why) => {
            text.push_str(&format!(
                "a restart forgets that: {}\nnext  make room or give rights there; it is tried \
                 again within 30 s: cachectl status\n",
                plain(why)
            ));
            Code::Partial
        }
        None => Code::Ok,
    };
    Ok(Answer::new(text, &result).code(code))
}

/// Waits for a disk that opens, and says so.
fn settle(client: &Client, result: &mut DiskResult, world: &mut World<'_>) -> Result<(), Failure> {
    let mut told = false;
    while result.disk.state == DiskState::Opening {
        if !told {
            // Progress that nobody can see is no reason to stop.
            let _ = writeln!(world.stderr, "opening; Ctrl-C only stops watching");
            told = true;
        }
        let name = result.disk.id.clone().unwrap_or_else(|| result.disk.path.clone());
        let encoded: String = url::form_urlencoded::byte_serialize(name.as_bytes()).collect();
        // Answers within a second, however far it is.
        let all: Disks = client.get(&format!("{DISKS}?settled={encoded}"))?;
        result.disk = named(&all.disks, &name)?;
    }
    Ok(())
}

fn intent(action: DiskAction, disk: &DiskReport) -> String {
    let path = plain(&disk.path);
    let holds = match (disk.chunks, disk.bytes) {
        (Some(chunks), Some(held)) => format!("{}, {}", counted(chunks, "chunk"), bytes(held)),
        (None, Some(held)) => bytes(held),
        _ => "an unknown amount".to_owned(),
    };
    match action {
        DiskAction::Offline => format!(
            "take disk {path} out of use ({} now): what it holds, {holds}, becomes a miss until \
             it is online again",
            state(disk)
        ),
        DiskAction::Online => format!("take disk {path} into use again ({} now)", state(disk)),
        DiskAction::Replace => format!(
            "empty disk {path} ({} now) and begin anew there: what it holds, {holds}, is lost",
            state(disk)
        ),
    }
}
