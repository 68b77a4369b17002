//! Which node of a site a title finds: weighted rendezvous hashing.
//!
//! Every node draws a number for the title; draws are exponential clocks, so that a node wins in
//! proportion to its weight, and a node that comes, goes, or changes its weight moves its own share
//! only (Schindelhauer and Schomaker, "Weighted Distributed Hash Tables", 2005).

use crate::snapshot::SHARE;

/// A node's draw. The smaller stands first.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Drawn {
    pub(super) draw: f64,
    /// Index into what was judged of its site.
    pub(super) at: u32,
}

/// What a node of that seed and weight draws for a point.
pub(super) fn draw(point: u64, seed: u64, weight: u64) -> f64 {
    // In (0, 1): 52 bits and a half, which keeps both ends away.
    let even = ((mixed(point ^ mixed(seed)) >> 12) as f64 + 0.5) / (1_u64 << 52) as f64;
    -logarithm(even) / weight.max(1) as f64
}

/// A lot of a client at a site, of [`SHARE`] lots.
pub(super) fn lot(client: u64, seed: u64) -> u16 {
    let lots = u128::from(mixed(client ^ mixed(seed))) * u128::from(SHARE);
    u16::try_from(lots >> 64).expect("less than SHARE")
}

/// Every bit of the input moves half of the output's (the finalizer of SplitMix64).
fn mixed(mut bits: u64) -> u64 {
    bits = bits.wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// The natural logarithm of a normal number in (0, 1), to eight digits, by operations that every
/// machine rounds alike: a library's own may differ in the last bit, and a replay with it.
fn logarithm(x: f64) -> f64 {
    let bits = x.to_bits();
    let exponent = ((bits >> 52) & 0x7ff) as i64 - 1023;
    let mantissa = f64::from_bits((bits & ((1 << 52) - 1)) | (1023 << 52));
    // ln(m) = 2 artanh((m - 1) / (m + 1)), for m in [1, 2).
    let t = (mantissa - 1.0) / (mantissa + 1.0);
    let square = t * t;
    let mut sum = 0.0;
    for odd in [13.0, 11.0, 9.0, 7.0, 5.0, 3.0, 1.0] {
        sum = sum * square + 1.0 / odd;
    }
    2.0 * t * sum + exponent as f64 * std::f64::consts::LN_2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_logarithm_is_one() {
        for x in [0.5, 0.999_999, 1e-12, 0.25, 0.75, 0.123_456, f64::EPSILON] {
            assert!((logarithm(x) - x.ln()).abs() < 1e-6, "{x}: {}", logarithm(x));
        }
    }

    #[test]
    fn nodes_win_in_proportion_to_their_weight() {
        let weights = [1_u64, 2, 5, 2];
        let mut won = [0_u32; 4];
        for point in 0..100_000_u64 {
            let draws = (0..4).map(|node| draw(mixed(point), mixed(node as u64), weights[node]));
            let first = draws.enumerate().min_by(|a, b| a.1.total_cmp(&b.1)).unwrap().0;
            won[first] += 1;
        }
        for (won, weight) in won.iter().zip(weights) {
            let expected = weight as f64 * 10_000.0;
            assert!((f64::from(*won) - expected).abs() < 0.03 * expected, "{won} of {expected}");
        }
    }
}
