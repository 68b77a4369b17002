//! `cargo xtask bench purge`: what a purge costs, by the number of objects that there are: how
//! long its acknowledgement takes, and what it moves between the edge and its device while
//! clients read from a full disk tier.
//!
//! Clients walk objects that are not purged, in the same order each time, more of them than RAM
//! holds. A walk beside a purge and its reclaim is held against one beside nothing. What the disk
//! tier reads of chunks for these clients is left out: how much RAM has of them is luck.

use std::{
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use clap::Parser;
use serde_json::json;
use tokio::{task::JoinSet, time::sleep};
use weir_benches_content::{Content, Expected, Verdict};
use weir_benches_load::{
    Connection, Protocol,
    campaign::{
        CampaignError, Edge, Figures, Options, Place, Settings, admin::Operator, device::Traffic,
        figures::median, program, viewer::said,
    },
    connection::Ask,
};
use weir_benches_testbed::Origin;

/// Objects that a third each is purged of by prefix, by tag, and with everything; with the name
/// of their figures.
const COUNTS: [(u64, &str); 3] = [(1_000, "1e3"), (10_000, "1e4"), (100_000, "1e5")];
const COUNTS_SHORT: [(u64, &str); 2] = [(300, "3e2"), (3_000, "3e3")];
/// Of the disk tier, in bytes and as the configuration writes it; in full and in short.
const STORE: [(u64, &str); 2] = [(1 << 30, "1 GiB"), (256 << 20, "256 MiB")];
/// What is stored is so much of it, in percent: what is kept by clients is read again and again,
/// and the rest has to give way.
const OFFERED: u64 = 110;
/// Objects of 1 MiB that clients go on reading.
const KEPT: [u64; 2] = [192, 64];
const MIB: u64 = 1 << 20;
/// Walks over them beside each purge.
const WALKS: [usize; 2] = [6, 2];
const READERS: usize = 4;
/// Clients that fill the store, and the parts in which they do.
const FILLERS: usize = 16;
const PARTS: usize = 6;
/// A disk tier whose device is busy with other things takes not everything: how often it is begun
/// anew for that.
const TRIES: u32 = 6;
/// Between two of them, longer each time.
const PAUSE: Duration = Duration::from_secs(2);
/// Walks until everything that is read comes from the cache.
const SETTLE: usize = 12;
/// Purges of nothing: what remains is the purge itself.
const EMPTY: [usize; 2] = [40, 10];
/// After a walk, for what is still to be written; and for a reclaim at the most.
const LAST: [Duration; 2] = [Duration::from_secs(2), Duration::from_millis(500)];
const RECLAIM: Duration = Duration::from_secs(120);
/// For one object while many clients share two cores with their origin.
const PATIENCE: Duration = Duration::from_secs(30);

fn main() -> ExitCode {
    let options = Options::parse();
    program::run("purge", 2, |_| campaign(&options))
}

/// What purging came to with so many objects.
#[derive(Debug, Default)]
struct Cost {
    objects: u64,
    /// Milliseconds to the acknowledgement of purges that met objects, and of those that met none.
    acks: Vec<f64>,
    empty: Vec<f64>,
    /// Milliseconds to count what a purge of everything would take.
    count: f64,
    /// What was moved beside each purge.
    moved: Vec<Moved>,
    /// Bytes that were purged.
    purged: u64,
}

/// What a purge moved between the edge and its device.
#[derive(Debug)]
struct Moved {
    what: &'static str,
    /// Of the edge while it was reclaimed, and without it; chunks that clients read left out.
    with: Traffic,
    without: Traffic,
    /// Objects that it took.
    objects: u64,
}

impl Moved {
    /// Bytes an object.
    fn each(&self) -> f64 {
        let of = |traffic: &Traffic| (traffic.read + traffic.written) as f64;
        (of(&self.with) - of(&self.without)).max(0.0) / self.objects.max(1) as f64
    }
}

impl Cost {
    /// The most that one of the purges moved for each object, bytes.
    fn each(&self) -> f64 {
        self.moved.iter().map(Moved::each).fold(0.0, f64::max)
    }
}

async fn campaign(options: &Options) -> Result<bool, CampaignError> {
    let place = Place::new(options)?;
    let counts = if options.quick { &COUNTS_SHORT[..] } else { &COUNTS[..] };
    let mut costs = Vec::new();
    for (objects, name) in counts {
        let cost = measured(&place.path().join(name), options, *objects).await?;
        println!(
            "{} objects: acknowledged after {:.1?} ms, without objects {:.1} ms (worst {:.1}), \
             counted in {:.1} ms; of {:.0} MB purged:",
            cost.objects,
            cost.acks,
            median(&cost.empty),
            worst(&cost.empty),
            cost.count,
            cost.purged as f64 / 1e6
        );
        for moved in &cost.moved {
            let Moved { what, with, without, objects } = moved;
            println!(
                "  {what}: {:.0} bytes for each of {objects} objects; {with:?}, without it \
                 {without:?}",
                moved.each()
            );
        }
        costs.push((*name, cost));
    }
    report(&costs).finish(options)
}

/// What it costs with so many objects, on a host that leaves it alone.
async fn measured(
    place: &std::path::Path,
    options: &Options,
    objects: u64,
) -> Result<Cost, CampaignError> {
    let mut tries = 0;
    loop {
        tries += 1;
        let tried = async {
            Stage::set(&place.join(tries.to_string()), options, objects).await?.play().await
        };
        match tried.await {
            Err(CampaignError::Disturbed(why)) if tries < TRIES => {
                println!("{objects} objects, once more: {why}");
                sleep(PAUSE * tries).await;
            }
            done => return done,
        }
    }
}

/// An edge with a full disk tier.
struct Stage {
    edge: Edge,
    operator: Operator,
    origin: Arc<Origin>,
    gone: Arc<Vec<(String, Content)>>,
    kept: Arc<Vec<(String, Content)>>,
    walks: usize,
    empty: usize,
    last: Duration,
}

impl Stage {
    async fn set(
        place: &std::path::Path,
        options: &Options,
        objects: u64,
    ) -> Result<Self, CampaignError> {
        let short = usize::from(options.quick);
        let ((store, disk), kept) = (STORE[short], KEPT[short]);
        let origin = Arc::new(Origin::start().await?);
        let settings = Settings {
            // 16 for fills, 8 at least for the disk, 26 for the table: a tenth of what is read.
            memory: "80 MiB",
            disk: Some(disk),
            concurrency: 16,
            deadline: "10s",
            // Parts of the table are never full to the last place at once.
            objects: Some(objects + objects / 8 + 1024),
            ..Settings::new(origin.url())
        };
        let edge = Edge::start(place, &settings)?;
        let size = (store * OFFERED / 100 - kept * MIB) / objects;
        let first = options.seed << 24;
        let gone = (0..objects).map(|number| {
            // By prefix, by tag, and with all the rest.
            let folder = ["/prefix", "/tag", "/rest"][number as usize % 3];
            let content = Content::new(first + number, 1, size);
            let path = format!("{folder}/{}", content.name());
            if folder == "/tag" {
                origin.set_header(&path, "surrogate-key", "gone");
            }
            (path, content)
        });
        let kept = (0..kept).map(|number| {
            let content = Content::new(first + objects + number, 1, MIB);
            (format!("/kept/{}", content.name()), content)
        });
        let (gone, kept) = (Arc::new(gone.collect()), Arc::new(kept.collect()));
        let operator = edge.operator();
        let stage = Self {
            edge,
            operator,
            origin,
            gone,
            kept,
            walks: WALKS[short],
            empty: EMPTY[short],
            last: LAST[short],
        };
        // What is read is read all the time, else others push it out.
        for part in stage.gone.chunks(stage.gone.len().div_ceil(PARTS)) {
            stage.read(&stage.kept, READERS).await?;
            stage.read(&Arc::new(part.to_vec()), FILLERS).await?;
        }
        stage.settle().await?;
        Ok(stage)
    }

    /// Reads what is kept until nothing of it has to be fetched any more.
    async fn settle(&self) -> Result<(), CampaignError> {
        for _ in 0..SETTLE {
            let before = self.origin.all_requests();
            self.read(&self.kept, READERS).await?;
            sleep(self.last).await;
            if self.origin.all_requests() == before {
                return Ok(());
            }
        }
        Err(CampaignError::Disturbed("what is read does not stay in the disk tier".into()))
    }

    /// Reads each of `objects` once, every byte checked. How many came from disk.
    async fn read(
        &self,
        objects: &Arc<Vec<(String, Content)>>,
        readers: usize,
    ) -> Result<u64, CampaignError> {
        let next = Arc::new(AtomicUsize::new(0));
        let mut tasks = JoinSet::new();
        for _ in 0..readers {
            let (server, prefix) = (self.edge.server(Protocol::H1)?, self.edge.path(""));
            let (objects, next) = (Arc::clone(objects), Arc::clone(&next));
            tasks.spawn(async move {
                let mut connection = Connection::open(&server, Protocol::H1).await?;
                let mut from_disk = 0;
                while let Some((path, content)) = objects.get(next.fetch_add(1, Ordering::Relaxed))
                {
                    let ask = Ask { deadline: PATIENCE, ..Ask::path(format!("{prefix}{path}")) };
                    let exchange = connection.get(&ask.expect(Expected::all(content))).await;
                    let right = exchange.verdict.as_ref().is_some_and(Verdict::is_clean);
                    if !right || exchange.error.is_some() {
                        return Err(CampaignError::Unfit(format!("{path}: {exchange:?}")));
                    }
                    from_disk += u64::from(said(&exchange, "disk"));
                }
                Ok(from_disk)
            });
        }
        let mut from_disk = 0;
        while let Some(done) = tasks.join_next().await {
            from_disk += done.map_err(|error| CampaignError::Unfit(error.to_string()))??;
        }
        Ok(from_disk)
    }

    /// What is moved while clients walk, and until `then` is reclaimed.
    async fn walk(&self, order: Option<&serde_json::Value>) -> Result<Walk, CampaignError> {
        let before = self.moved().await?;
        let requests = self.origin.all_requests();
        let walking = async {
            let mut from_disk = 0;
            for _ in 0..self.walks {
                from_disk += self.read(&self.kept, READERS).await?;
            }
            Ok::<_, CampaignError>(from_disk)
        };
        let (from_disk, purged) = tokio::join!(walking, self.purge(order));
        let (from_disk, purged) = (from_disk?, purged?);
        sleep(self.last).await;
        let traffic = self.moved().await?.since(before);
        if self.origin.all_requests() != requests {
            return Err(CampaignError::Disturbed("what is read was not all in the cache".into()));
        }
        let all = (self.walks * self.kept.len()) as u64;
        // RAM keeps some of it.
        if from_disk * 4 < all {
            let message = format!("only {from_disk} of {all} objects came from disk");
            return Err(CampaignError::Disturbed(message));
        }
        Ok(Walk { traffic, purged })
    }

    /// Orders it, and waits until it is reclaimed by the way, without haste. Milliseconds to the
    /// acknowledgement.
    async fn purge(&self, order: Option<&serde_json::Value>) -> Result<Option<f64>, CampaignError> {
        let Some(order) = order else { return Ok(None) };
        let begun = Instant::now();
        let answer = self.operator.order(order).await?;
        let ack = begun.elapsed().as_secs_f64() * 1e3;
        let epoch = answer["epoch"].as_u64().unwrap_or(u64::MAX);
        while begun.elapsed() < RECLAIM {
            let purges = self.operator.get("/v1/cache/purges").await?;
            if purges["reclaimed_epoch"].as_u64().is_some_and(|reclaimed| reclaimed >= epoch) {
                return Ok(Some(ack));
            }
            sleep(Duration::from_millis(50)).await;
        }
        Err(CampaignError::Unfit(format!("{order} is not reclaimed after {RECLAIM:?}")))
    }

    /// Objects that were purged so far, and their bytes.
    async fn purged(&self) -> Result<(u64, u64), CampaignError> {
        let stats = self.operator.get("/v1/cache/purges").await?;
        let number = |name: &str| stats[name].as_u64().unwrap_or_default();
        Ok((number("objects"), number("bytes")))
    }

    /// What the edge moved so far, but for chunks that were read.
    async fn moved(&self) -> Result<Traffic, CampaignError> {
        let traffic = Traffic::of_tree(self.edge.id())?;
        let chunks = self.edge.metrics().await?.sum("edge_disk_device_read_bytes_total", "");
        Ok(Traffic { read: traffic.read.saturating_sub(chunks as u64), ..traffic })
    }

    async fn play(mut self) -> Result<Cost, CampaignError> {
        let mut cost = Cost { objects: self.gone.len() as u64, ..Cost::default() };
        for number in 0..self.empty {
            let order =
                json!({ "tag": format!("none-{number}"), "dry_run": false, "uncounted": true });
            cost.empty.extend(self.purge(Some(&order)).await?);
        }
        let begun = Instant::now();
        self.operator.order(&json!({ "all": true, "dry_run": true })).await?;
        cost.count = begun.elapsed().as_secs_f64() * 1e3;
        let prefix = self.operator.url("/prefix/");
        let orders = [
            ("prefix", json!({ "prefix": prefix, "dry_run": false, "uncounted": true })),
            ("tag", json!({ "tag": "gone", "dry_run": false, "uncounted": true })),
        ];
        let mut objects = 0;
        for (what, order) in &orders {
            let without = self.walk(None).await?.traffic;
            let Walk { traffic: with, purged } = self.walk(Some(order)).await?;
            cost.acks.extend(purged);
            let (now, _) = self.purged().await?;
            cost.moved.push(Moved { what, with, without, objects: now - objects });
            objects = now;
        }
        // Whatever a client asks for after it has to be fetched and stored, so nobody asks.
        let all = json!({ "all": true, "dry_run": false, "uncounted": true });
        sleep(self.last).await;
        let before = self.moved().await?;
        cost.acks.extend(self.purge(Some(&all)).await?);
        sleep(self.last).await;
        let with = self.moved().await?.since(before);
        let (now, bytes) = self.purged().await?;
        let without = Traffic::default();
        cost.moved.push(Moved { what: "all", with, without, objects: now - objects });
        (objects, cost.purged) = (now, bytes);
        if objects < cost.objects {
            let message = format!("of {} objects only {objects} were purged", cost.objects);
            return Err(CampaignError::Unfit(message));
        }
        self.edge.check()?;
        self.edge.stop()?;
        Ok(cost)
    }
}

/// What came of a walk.
struct Walk {
    traffic: Traffic,
    purged: Option<f64>,
}

fn worst(values: &[f64]) -> f64 {
    values.iter().copied().fold(0.0, f64::max)
}

fn report(costs: &[(&str, Cost)]) -> Figures {
    let mut figures = Figures::of("purge");
    for (name, cost) in costs {
        let acks = [&cost.acks[..], &cost.empty[..]].concat();
        figures.add(
            format!("purge.ack_ms.{name}"),
            "From the order of a purge (everything, a prefix, a tag; and tags that nothing has) to \
             its acknowledgement, when it would survive a kill, with so many objects in a full \
             disk tier; median",
            ("<= 100", "ms"),
            median(&acks),
            acks.len() as u64,
            Some(format!(
                "worst {:.1} ms; of those that met objects {:.1?} ms; counting all of them before, \
                 as `cachectl cache purge` does, took {:.1} ms more",
                worst(&acks),
                cost.acks,
                cost.count
            )),
        );
    }
    let (Some((_, few)), Some((_, many))) = (costs.first(), costs.last()) else { return figures };
    figures.add(
        "purge.ack_growth",
        "The median acknowledgement of a purge with the most objects / with the fewest, a \
         hundredth of them (in short, a tenth)",
        ("<= 2", "ratio"),
        median(&many.empty) / median(&few.empty).max(f64::MIN_POSITIVE),
        many.empty.len() as u64,
        Some(format!("{} and {} objects", many.objects, few.objects)),
    );
    let each: Vec<String> =
        costs.iter().map(|(name, cost)| format!("{name}: {:.0}", cost.each())).collect();
    figures.add(
        "purge.disk_bytes",
        "Bytes that a purge and its reclaim move between the edge and its device for each object \
         that goes, read and written, chunks and state file together, beyond what the same reads \
         of clients move without it, from a full disk tier; the worst of prefix, tag and \
         everything. The bar is a hundredth of a chunk of 1 MiB",
        ("<= 10486", "bytes an object"),
        costs.iter().map(|(_, cost)| cost.each()).fold(0.0, f64::max),
        costs.iter().map(|(_, cost)| cost.moved.len() as u64).sum(),
        Some(format!(
            "by number of objects: {}; all of it follows the acknowledgement",
            each.join(", ")
        )),
    );
    figures
}
