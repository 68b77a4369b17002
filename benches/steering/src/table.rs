//! What the prefixes take in memory, beside sorted ranges.

use std::{hint::black_box, net::IpAddr, time::Instant};

use rand::{SeedableRng, rngs::SmallRng};

use crate::{Options, figures::Figures, fleet::Made, ranges::Ranges};

const LOOKUPS: usize = 2_000_000;

pub(crate) fn measure(made: &Made, options: &Options, figures: &mut Figures) {
    let count = made.routes.len();
    let each = |bytes: usize| bytes as f64 / count as f64;
    let built = Instant::now();
    let again = made.list.build().map(|routes| routes.digest());
    let built = built.elapsed();
    assert_eq!(again.ok(), Some(made.routes.digest()), "built from the same list");
    let ranges = Ranges::of(&made.prefixes);
    let mut random = SmallRng::seed_from_u64(options.seed);
    let clients: Vec<IpAddr> = (0..100_000).map(|_| made.request(&mut random).client).collect();
    for client in &clients {
        let found = made.routes.find(None, *client).map(|found| found.prefix);
        assert_eq!(found, ranges.find(*client), "{client}");
    }
    let timed = |find: &dyn Fn(IpAddr) -> bool| {
        let begun = Instant::now();
        let found = clients.iter().cycle().take(LOOKUPS).filter(|client| find(**client)).count();
        black_box(found);
        begun.elapsed().as_secs_f64() * 1e9 / LOOKUPS as f64
    };
    let ours = timed(&|client| made.routes.find(None, client).is_some());
    let theirs = timed(&|client| ranges.find(client).is_some());
    figures.add(
        "rank.bytes_per_prefix",
        "Memory of the prefix table for each prefix, sets of offers included: 800,000 IPv4 and \
         200,000 IPv6 prefixes of the lengths that the world's tables have, each heard by one or \
         two of 100 sites",
        ("<= 16", "B"),
        each(made.routes.bytes()),
        1,
        format!(
            "{count} prefixes, built in {:.2} s, {ours:.0} ns a lookup; sorted ranges with binary \
             search take {:.1} B and {theirs:.0} ns and find the same for {} clients",
            built.as_secs_f64(),
            each(ranges.bytes()),
            clients.len()
        ),
    );
}
