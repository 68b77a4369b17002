//! `cachectl top`: what a node does just now, once or as long as somebody looks.

mod frame;
mod render;
mod snapshot;

use std::{io, time::Duration};

use clap::Args;
use weir_config_units::Duration as Span;

use crate::{
    Answer, World,
    client::Client,
    failure::{Code, Failure},
};
use frame::Frame;
pub(crate) use render::Sort;
use render::{Place, render};
use snapshot::Snapshot;

/// Between the two looks that `--once` compares.
const ONCE: Duration = Duration::from_secs(1);
/// Looks that may fail in a row before it gives up.
const PATIENCE: u32 = 5;
/// To a screen of its own, without a cursor; and back.
const ENTER: &str = "\x1b[?1049h\x1b[?25l";
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";

#[derive(Debug, Args)]
pub(crate) struct Top {
    /// One frame as text, over one second; the same without a terminal, and with --json.
    #[arg(long)]
    once: bool,
    /// Between two frames: 1s to 10s.
    #[arg(long, default_value = "2s", value_parser = every)]
    every: Span,
    /// What the hottest objects are sorted by.
    #[arg(long, value_enum, default_value_t)]
    sort: Sort,
}

/// What a terminal can do. While it is open, keys come one by one and are not shown.
pub trait Screen {
    /// Columns and rows, as they are now.
    fn size(&self) -> (usize, usize);
    /// A key that was pressed within that time; Ctrl-C is `\u{3}`.
    fn key(&mut self, wait: Duration) -> Option<char>;
}

/// Opens the terminal, until what it gives is dropped.
pub type OpenScreen<'w> = dyn FnMut() -> io::Result<Box<dyn Screen>> + 'w;

fn every(text: &str) -> Result<Span, String> {
    let every: Span = text.parse().map_err(|error| format!("{error}"))?;
    let span = Duration::from(every);
    match (Duration::from_secs(1)..=Duration::from_secs(10)).contains(&span) {
        true => Ok(every),
        false => Err("a frame comes every 1s to 10s".to_owned()),
    }
}

pub(crate) fn top(
    client: &Client,
    asked: &Top,
    json: bool,
    world: &mut World<'_>,
) -> Result<Answer, Failure> {
    let first = Snapshot::take(client)?;
    if asked.once || json || !world.terminal || world.screen.is_none() {
        if (world.pause)(ONCE) {
            return Ok(Answer::silent().code(Code::Interrupted));
        }
        let frame = Frame::between(&first, &Snapshot::take(client)?);
        let lines = render(&frame, asked.sort, &Place::text());
        return Ok(Answer::new(lines.join("\n") + "\n", &frame));
    }
    let Some(open) = world.screen.as_mut() else { return Ok(Answer::silent()) };
    let opened = open();
    let mut screen = opened.map_err(|error| {
        Failure::new(Code::Failed, "this terminal cannot be used")
            .why(error)
            .next("cachectl top --once")
    })?;
    let cannot = |error: io::Error| Failure::new(Code::Failed, "cannot write to stdout").why(error);
    write(world, ENTER).map_err(cannot)?;
    let watched = watch(client, asked, world, first, screen.as_mut());
    drop(screen);
    // Also where it failed: the terminal is given back as it was.
    write(world, LEAVE).map_err(cannot)?;
    watched
}

fn write(world: &mut World<'_>, text: &str) -> io::Result<()> {
    world.stdout.write_all(text.as_bytes())?;
    world.stdout.flush()
}

fn watch(
    client: &Client,
    asked: &Top,
    world: &mut World<'_>,
    mut before: Snapshot,
    screen: &mut dyn Screen,
) -> Result<Answer, Failure> {
    let every = Duration::from(asked.every);
    let (mut sort, mut paused, mut failures) = (asked.sort, false, 0);
    let mut note = String::new();
    let mut frame = Frame::between(&before, &before);
    let mut wait = ONCE;
    loop {
        let (columns, rows) = screen.size();
        let place = Place::screen(columns, rows, paused, every, &note);
        show(world, &render(&frame, sort, &place))?;
        match screen.key(wait) {
            Some('q' | 'Q') => return Ok(Answer::silent()),
            Some('\u{3}') => return Ok(Answer::silent().code(Code::Interrupted)),
            Some('s' | 'S') => {
                sort = sort.next();
                continue;
            }
            Some('p' | 'P' | ' ') => {
                paused = !paused;
                continue;
            }
            // Any other key is a wish to see more.
            Some(_) | None => {}
        }
        wait = every;
        if paused {
            continue;
        }
        match Snapshot::take(client) {
            Ok(now) => {
                frame = Frame::between(&before, &now);
                (before, failures) = (now, 0);
                note.clear();
            }
            // A server that starts anew is waited for.
            Err(failure) if failures < PATIENCE => {
                failures += 1;
                note = failure.what;
            }
            Err(failure) => return Err(failure),
        }
    }
}

fn show(world: &mut World<'_>, lines: &[String]) -> Result<(), Failure> {
    let mut text = "\x1b[H".to_owned();
    for (at, line) in lines.iter().enumerate() {
        if at > 0 {
            text.push_str("\r\n");
        }
        text.push_str(line);
        text.push_str("\x1b[K");
    }
    text.push_str("\x1b[J");
    write(world, &text)
        .map_err(|error| Failure::new(Code::Failed, "cannot write to stdout").why(error))
}
