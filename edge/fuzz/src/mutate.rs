//! Seeded mutations of a corpus: what a fuzzer does without looking, for runs that must be the
//! same each time.

use rand::{Rng, SeedableRng, rngs::SmallRng, seq::IndexedRandom};

/// Pieces that mean something to one parser or another.
const WORDS: [&[u8]; 24] = [
    b"max-age=",
    b"no-store",
    b"stale-if-error=",
    b"\"",
    b"\\",
    b",",
    b";",
    b"=",
    b"?1",
    b"bytes=",
    b"-",
    b"*",
    b"W/\"",
    b"/../",
    b"%2e",
    b"%",
    b"/t/",
    b"\n\n",
    b": ",
    b"18446744073709551616",
    b"\0\0\0\x08moof",
    b"\xff\xff\xff\xff",
    b"\0\0\0\0",
    b"\x80",
];

/// Inputs derived from a corpus.
#[derive(Debug)]
pub struct Mutations<'a> {
    corpus: &'a [Vec<u8>],
    random: SmallRng,
    longest: usize,
}

impl<'a> Mutations<'a> {
    /// Of a corpus, which may be empty; inputs have at most `longest` bytes.
    pub fn new(corpus: &'a [Vec<u8>], seed: u64, longest: usize) -> Self {
        Self { corpus, random: SmallRng::seed_from_u64(seed), longest }
    }

    fn one(&mut self) -> Vec<u8> {
        let mut input = self.corpus.choose(&mut self.random).cloned().unwrap_or_default();
        for _ in 0..self.random.random_range(1..8) {
            self.change(&mut input);
        }
        input.truncate(self.longest);
        input
    }

    fn change(&mut self, input: &mut Vec<u8>) {
        let random = &mut self.random;
        let at = random.random_range(0..=input.len());
        let end = (at + random.random_range(0..16)).min(input.len());
        match random.random_range(0..7) {
            0 => input.insert(at, random.random()),
            1 => drop(input.drain(at..end)),
            2 => {
                let word = WORDS.choose(random).expect("there are words");
                drop(input.splice(at..end, word.iter().copied()));
            }
            3 => {
                let part = input[at..end].to_vec();
                drop(input.splice(at..at, part));
            }
            4 => {
                let other = self.corpus.choose(random).map_or(&[][..], Vec::as_slice);
                let from = random.random_range(0..=other.len());
                input.truncate(at);
                input.extend_from_slice(&other[from..]);
            }
            _ => {
                if let Some(byte) = input.get_mut(at) {
                    *byte ^= 1 << random.random_range(0..8);
                }
            }
        }
    }
}

impl Iterator for Mutations<'_> {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(self.one())
    }
}
