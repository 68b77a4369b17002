//! What viewers ask of a disk, drawn from a seed: the same for every engine.

use rand::{Rng, SeedableRng, rngs::SmallRng};
use weir_edge_cache::{ChunkKey, ObjectId};

/// Bytes of a chunk of film here: small, so that a store of 1 GiB has as many chunks as one
/// of 8 GiB has of the real size.
const CHUNK: u32 = 128 << 10;

/// One request for a chunk.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Request {
    pub(crate) key: ChunkKey,
    pub(crate) length: u32,
}

/// A kind of viewers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Trace {
    /// A catalogue of films by popularity (Zipf, 0.9), each watched from its start for a
    /// while, fifty at a time.
    Vod,
    /// Twenty channels at their live edge and somewhat behind it, while a crawler reads an
    /// archive once, two requests of five.
    Live,
    /// Objects of many sizes by popularity (Zipf, 0.8): most are pictures and playlists, most
    /// bytes are film.
    Mixed,
}

impl Trace {
    pub(crate) const ALL: [Self; 3] = [Self::Vod, Self::Live, Self::Mixed];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Vod => "vod",
            Self::Live => "live",
            Self::Mixed => "mixed",
        }
    }

    pub(crate) fn what(self) -> &'static str {
        match self {
            Self::Vod => "films by popularity (Zipf 0.9) from their start, 10 times the store",
            Self::Live => "20 live channels, and a crawler through an archive (2 of 5 requests)",
            Self::Mixed => "objects of 2 KB to 1 MiB by popularity (Zipf 0.8), 6 times the store",
        }
    }

    /// Requests of a store of `size` bytes; no end.
    pub(crate) fn requests(self, size: u64, seed: u64) -> Box<dyn Iterator<Item = Request>> {
        let mut random = SmallRng::seed_from_u64(seed);
        match self {
            Self::Vod => Box::new(vod(size, random)),
            Self::Live => Box::new(live(random)),
            Self::Mixed => {
                let objects = (size * 6 / 100_000) as usize;
                let popularity = Zipf::new(objects, 0.8);
                Box::new(std::iter::repeat_with(move || {
                    let object = popularity.draw(&mut random) as u64;
                    request(3, object, 0, length(object))
                }))
            }
        }
    }
}

fn request(kind: u128, object: u64, index: u32, length: u32) -> Request {
    let object = ObjectId(kind << 64 | u128::from(object));
    Request { key: ChunkKey { object, generation: 1, index }, length }
}

/// Most objects are small; the mean is about 100 KB.
fn length(object: u64) -> u32 {
    let mixed = object.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33;
    let spread = (mixed >> 8) as u32;
    match mixed % 20 {
        0..14 => 2_000 + spread % 28_000,
        14..19 => 64_000 + spread % 300_000,
        _ => 1 << 20,
    }
}

const SESSIONS: usize = 50;
const FILM_CHUNKS: u32 = 40;

fn vod(size: u64, mut random: SmallRng) -> impl Iterator<Item = Request> {
    let films = (size * 10 / u64::from(CHUNK * FILM_CHUNKS)) as usize;
    let popularity = Zipf::new(films, 0.9);
    let mut sessions = vec![(0, FILM_CHUNKS); SESSIONS];
    std::iter::repeat_with(move || {
        let session = &mut sessions[random.random_range(0..SESSIONS)];
        // One of 25 chunks is the last that somebody watches.
        if session.1 >= FILM_CHUNKS || random.random_ratio(1, 25) {
            *session = (popularity.draw(&mut random) as u64, 0);
        }
        let request = request(1, session.0, session.1, CHUNK);
        session.1 += 1;
        request
    })
}

const CHANNELS: usize = 20;

fn live(mut random: SmallRng) -> impl Iterator<Item = Request> {
    let popularity = Zipf::new(CHANNELS, 1.0);
    let (mut step, mut crawled) = (0_u32, 0_u32);
    std::iter::repeat_with(move || {
        step += 1;
        // Each channel has a new segment every 120 requests of all.
        let edge = step / 120;
        if random.random_ratio(2, 5) {
            crawled += 1;
            return request(9, u64::from(crawled / 1000), crawled % 1000, CHUNK);
        }
        let channel = popularity.draw(&mut random) as u64;
        // Half are at the edge, the others up to 300 segments behind, most of them near.
        let behind = match random.random_ratio(1, 2) {
            true => 0,
            false => {
                let near = random.random_range(0.0_f64..1.0);
                (near * near * 300.0) as u32
            }
        };
        request(2, channel, edge.saturating_sub(behind), CHUNK)
    })
}

/// Ranks drawn by 1 / rank^s, then shuffled, so that neighbours are not alike.
struct Zipf {
    sums: Vec<f64>,
}

impl Zipf {
    fn new(ranks: usize, s: f64) -> Self {
        let mut sum = 0.0;
        let sums = (1..=ranks.max(1)).map(|rank| {
            sum += (rank as f64).powf(-s);
            sum
        });
        Self { sums: sums.collect() }
    }

    fn draw(&self, random: &mut SmallRng) -> usize {
        let all = self.sums.last().copied().unwrap_or(1.0);
        let at = random.random_range(0.0..all);
        self.sums.partition_point(|sum| *sum <= at)
    }
}
