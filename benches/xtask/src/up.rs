//! `cargo xtask up`: an origin, its S3 store and an edge on this machine, and a film that
//! plays from them.

mod config;
mod film;
mod holder;
mod keys;
mod page;
pub mod plan;
pub mod server;
mod show;
pub mod stack;

use std::{path::Path, time::Duration};

use crate::{
    Failure, apt,
    args::Args,
    check::{self, Outcome},
    say, tools,
    up::{
        plan::Options,
        server::Event,
        stack::{Place, Reserved, Stack},
    },
};

/// Tokens are minted anew long before they end.
const RENEW: Duration = Duration::from_secs(6 * 60 * 60);

/// Runs the command; true when all went well.
pub fn command(root: &Path, mut args: Args) -> Result<bool, Failure> {
    let here = std::env::current_dir()
        .map_err(|why| Failure::new(format!("the working directory is not known: {why}")))?;
    let options = Options::read(&mut args, &here)?;
    args.end()?;
    let place = Place { root: root.to_owned() };
    if options.check {
        return check(&place, &options).map(Outcome::all);
    }
    let mut stack = start(&place, &options)?;
    tell(&stack)?;
    print!("{}", show::text(&stack));
    serve(&mut stack)
}

/// Everything from setting up to servers that run.
fn start(place: &Place, options: &Options) -> Result<Stack, Failure> {
    let reserved = Reserved::take(options)?;
    prepare(place, options)?;
    if !options.built {
        place.build()?;
    }
    Stack::start(place, options, reserved)
}

/// Sets up, plays the film without a person, and ends.
pub fn check(place: &Place, options: &Options) -> Result<Outcome, Failure> {
    let mut stack = start(place, options)?;
    tell(&stack)?;
    let outcome = check::players(place, &stack, options.short);
    stack.servers.end();
    outcome
}

/// Packages of the system and of npm.
pub fn prepare(place: &Place, options: &Options) -> Result<(), Failure> {
    let log = place.root.join("target/xtask/setup.log");
    let mut needs = vec![apt::FFMPEG];
    if options.check {
        needs.push(apt::CHROMIUM);
    }
    apt::ensure(&needs, &log)?;
    tools::node::players(&place.players(), &log)
}

/// Tells the page what plays.
pub fn tell(stack: &Stack) -> Result<(), Failure> {
    // Another machine can neither run these commands nor needs to know of our files.
    let next = if stack.local { show::next(stack) } else { Vec::new() };
    stack.tell(&show::trust(stack), &show::quic(stack), &next)
}

/// Waits until the person asks to stop.
fn serve(stack: &mut Stack) -> Result<bool, Failure> {
    loop {
        match stack.servers.next(Some(RENEW)) {
            None => tell(stack)?,
            Some(Event::Ended { name, how }) => return Err(stack.servers.ended(&name, &how)),
            Some(Event::Asked) => {
                eprintln!();
                let orderly = say::step("Ending the servers", || Ok(stack.servers.end()))?;
                say::note(&format!(
                    "everything stays in {} for the next time",
                    stack.dir.display()
                ));
                return Ok(orderly);
            }
        }
    }
}
