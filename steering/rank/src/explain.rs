//! A decision in words for people: what is known of the client, every candidate of the nearest
//! sites with what speaks against it, the answer, and what would change it.

mod time;

use std::{
    fmt::{self, Write as _},
    sync::Arc,
};

use crate::{
    answer::{Answer, Basis, Judged, Near, Server},
    fleet::Fleet,
    holdings::ContentKey,
    rank::rank,
    reason::Reasons,
    record::letters,
    request::Request,
    routes::{RouteList, Source},
    snapshot::{Intent, SHARE},
    world::World,
};
use time::Utc;

/// Explains a request: ranks it, and ranks it again without what decided.
pub fn explain(world: &World, request: &Request) -> String {
    let answer = rank(world, request);
    let mut out = String::new();
    write(&mut out, world, request, &answer).expect("a string takes everything");
    out
}

fn write(out: &mut String, world: &World, request: &Request, answer: &Answer) -> fmt::Result {
    let fleet = world.fleet();
    let (client, time) = (request.client, Utc(request.now_ms));
    let (decision, snapshot) = (answer.decision, answer.snapshot);
    writeln!(out, "client {client}   time {time}   decision {decision} ({snapshot})")?;
    nearness(out, world, request, answer)?;
    candidates(out, fleet, answer)?;
    content(out, fleet, request, answer)?;
    weights(out, fleet, answer)?;
    servers(out, fleet, answer)?;
    changes(out, world, request, answer)
}

/// A node's name without its site's, which stands before it.
fn short<'a>(name: &'a str, site: &str) -> &'a str {
    name.strip_prefix(site).and_then(|rest| rest.strip_prefix('-')).unwrap_or(name)
}

fn nearness(out: &mut String, world: &World, request: &Request, answer: &Answer) -> fmt::Result {
    let mut known = Vec::new();
    if let Some(found) = world.routes().find(request.at.as_deref(), request.client) {
        let offer = found.offers[0];
        let source = &world.routes().sources()[usize::from(offer.source)];
        let by = match source {
            Source::File(_) => format!("preference {}", offer.preference),
            Source::Bgp(_) => format!("MED {}", offer.med),
        };
        let at = request.at.as_deref().filter(|_| found.scoped);
        let at = at.map_or_else(String::new, |at| format!(" for clients of {at}"));
        known.push(format!("{}{at} from {source} (longest match, {by})", found.prefix));
    }
    known.extend(request.asn.map(|asn| format!("AS{asn}")));
    known.extend(request.country.map(|country| format!("country {country}")));
    if let Some(place) = request.place {
        let degrees = |micro: i32| f64::from(micro) / 1e6;
        let (north, east) = (degrees(place.latitude), degrees(place.longitude));
        known.push(format!("place {north:.2} {east:.2}"));
    }
    let known = if known.is_empty() { "nothing is known".to_owned() } else { known.join(", ") };
    let first = answer.near.first();
    let site = first.map_or("none", |near| &*world.fleet().site(near.site).name);
    let basis = first.map_or("none", |near| near.basis.word());
    writeln!(out, "  1 nearness    {known}   -> {basis}: site {site}")
}

fn candidates(out: &mut String, fleet: &Fleet, answer: &Answer) -> fmt::Result {
    for (rank, near) in (0_u16..).zip(&answer.near) {
        let head = if rank == 0 { "2 candidates" } else { "" };
        let site = &fleet.site(near.site).name;
        let panic = match (near.panic, near.spilled) {
            (true, _) => ", panic: load and health are not asked",
            (_, true) => ", no room for this client",
            _ => "",
        };
        write!(out, "  {head:<14}{rank} {site} ({}{panic})", near.basis.word())?;
        for judged in answer.judged.iter().filter(|judged| judged.near == rank) {
            write!(out, "   {}", candidate(fleet, site, judged))?;
        }
        out.push('\n');
    }
    Ok(())
}

fn candidate(fleet: &Fleet, site: &str, judged: &Judged) -> String {
    let node = fleet.node(judged.node);
    let health = &node.health;
    let mut text =
        format!("{} {}", short(&node.name, site), letters(judged.reasons, judged.standing));
    if judged.reasons.is_none() {
        let busy = SHARE - health.spare;
        text += &format!(" {} %", busy / 100);
    }
    let intent = match node.intent {
        Intent::Serving => None,
        Intent::Draining => Some("draining"),
        Intent::Maintenance => Some("maintenance"),
        Intent::Disabled => Some("disabled"),
    };
    let mut why: Vec<&str> = intent.into_iter().collect();
    why.extend(health.faults.iter().map(String::as_str));
    if health.reported_at_ms == 0 {
        why.push("never heard");
    }
    if !why.is_empty() {
        text += &format!(" ({})", why.join(", "));
    }
    text
}

fn content(out: &mut String, fleet: &Fleet, request: &Request, answer: &Answer) -> fmt::Result {
    write!(out, "  3 content     ")?;
    if request.title.is_empty() {
        return writeln!(out, "not asked");
    }
    let key = ContentKey::new(&request.title, &request.rendition);
    let what = format!("{} {}", request.title, request.rendition);
    let (mut held, mut unsaid) = (Vec::new(), 0);
    for judged in &answer.judged {
        let node = fleet.node(judged.node);
        match &node.health.holdings {
            None => unsaid += 1,
            Some(holdings) if holdings.holds(key) => held.push(&*node.name),
            Some(_) => {}
        }
    }
    let some: Vec<&str> = held.iter().copied().take(8).collect();
    let more = held.len().saturating_sub(some.len());
    write!(out, "{}: ", what.trim())?;
    match (held.is_empty(), unsaid == answer.judged.len()) {
        (_, true) => write!(out, "no candidate says what it holds")?,
        (true, _) => write!(out, "held by no candidate")?,
        _ => write!(out, "held by {}", some.join(", "))?,
    }
    if more > 0 {
        write!(out, " and {more} more")?;
    }
    writeln!(out, "{}", if answer.cold { "; the nearest fetches it" } else { "" })
}

fn weights(out: &mut String, fleet: &Fleet, answer: &Answer) -> fmt::Result {
    write!(out, "  4 weight      ")?;
    let nearest = answer.servers.first().map(|server| server.near);
    let own = answer.judged.iter().filter(|judged| Some(judged.near) == nearest);
    let mut told = Vec::new();
    for judged in own {
        let node = fleet.node(judged.node);
        let name = short(&node.name, &node.site);
        let may = judged.reasons.is_none() || answer.panic || answer.cold;
        let gbit = f64::from(node.capacity_mbps) / 1000.0;
        let share = f64::from(judged.share) / f64::from(SHARE);
        told.push(if may {
            format!("{name} {gbit} Gbit/s x {share:.2}")
        } else {
            format!("{name} excluded")
        });
    }
    writeln!(out, "{}", if told.is_empty() { "-".to_owned() } else { told.join("   ") })
}

fn servers(out: &mut String, fleet: &Fleet, answer: &Answer) -> fmt::Result {
    let name = |server: &Server| {
        let (node, near) = (&fleet.node(server.node).name, server.near);
        if near == 0 { node.clone() } else { format!("{node} (rank {near})") }
    };
    let names: Vec<String> = answer.servers.iter().map(name).collect();
    let names =
        if names.is_empty() { "nobody may serve this client".into() } else { names.join(", ") };
    write!(out, "  5 answer      {names}")?;
    let tags = [
        (answer.panic, "panic"),
        (answer.desperate, "drained nodes too"),
        (answer.stale_map, "stale map"),
        (answer.cold, "cold"),
    ];
    let tags: Vec<&str> = tags.into_iter().filter(|(is, _)| *is).map(|(_, tag)| tag).collect();
    if !tags.is_empty() {
        write!(out, "   [{}]", tags.join(", "))?;
    }
    writeln!(out, "   miss: {}", answer.miss.word())
}

fn changes(out: &mut String, world: &World, request: &Request, answer: &Answer) -> fmt::Result {
    let fleet = world.fleet();
    let Some(first) = answer.servers.first() else { return Ok(()) };
    let mut told = Vec::new();
    let node = &fleet.node(first.node).name;
    let mut snapshot = fleet.snapshot().clone();
    if let Some(node) = snapshot.nodes.iter_mut().find(|it| it.name == *node) {
        node.intent = Intent::Draining;
    }
    if let Ok(world) = World::new(snapshot, world.routes().clone()) {
        told.push(format!("{node} drained -> {}", leads(&world, request)));
    }
    if answer.prefix.is_some() {
        let mut snapshot = fleet.snapshot().clone();
        let none = Arc::new(RouteList::default().build().expect("nothing is not too much"));
        snapshot.routes = none.digest();
        if let Ok(world) = World::new(snapshot, none) {
            told.push(format!("prefix withdrawn -> {}", leads(&world, request)));
        }
    }
    let passed = answer.judged.iter().find(|it| it.near < first.near && !it.reasons.is_none());
    if let Some(judged) = passed {
        let site: Option<&Near> = answer.near.get(usize::from(judged.near));
        let site = site.map_or("", |near| &*fleet.site(near.site).name);
        let reasons = answer.judged.iter().filter(|it| it.near == judged.near);
        let reasons = reasons.fold(Reasons::NONE, |all, it| all.and(it.reasons));
        told.push(format!("{reasons} cleared at {site} -> {site}"));
    }
    writeln!(out, "  would change if: {}", told.join("; "))
}

/// Who is first there, and by what.
fn leads(world: &World, request: &Request) -> String {
    let answer = rank(world, request);
    let Some(first) = answer.servers.first() else { return "nobody".to_owned() };
    let by = match first.basis {
        Basis::Prefix => String::new(),
        other => format!(" ({})", other.word()),
    };
    format!("{}{by}", world.fleet().node(first.node).name)
}
