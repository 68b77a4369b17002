//! An order as the state file keeps it, under its epoch: when, how, what, and a CRC-32C over
//! all of it and the epoch.

use std::sync::Arc;

use super::{Mode, Order, Selector};

pub(crate) fn encode(order: &Order) -> Vec<u8> {
    let (kind, text): (u8, &str) = match &order.selector {
        Selector::Key(text) => (0, text),
        Selector::Prefix(text) => (1, text),
        Selector::Tag(text) => (2, text),
        Selector::Service(text) => (3, text),
        Selector::All => (4, ""),
    };
    let mode = match order.mode {
        Mode::Hard => 0,
        Mode::Soft => 1,
    };
    let mut out = Vec::with_capacity(14 + text.len());
    out.extend_from_slice(&order.at_millis.to_le_bytes());
    out.extend_from_slice(&[mode, kind]);
    out.extend_from_slice(text.as_bytes());
    let sum = checksum(order.epoch, &out);
    out.extend_from_slice(&sum.to_le_bytes());
    out
}

/// `None` unless the record verifies and says something possible.
pub(crate) fn decode(epoch: u64, bytes: &[u8]) -> Option<Order> {
    let (record, sum) = bytes.split_last_chunk::<4>()?;
    if checksum(epoch, record) != u32::from_le_bytes(*sum) {
        return None;
    }
    let (at, rest) = record.split_first_chunk::<8>()?;
    let ([mode, kind], text) = rest.split_first_chunk::<2>()?;
    let text: Arc<str> = std::str::from_utf8(text).ok()?.into();
    let selector = match kind {
        0 => Selector::Key(text),
        1 => Selector::Prefix(text),
        2 => Selector::Tag(text),
        3 => Selector::Service(text),
        4 if text.is_empty() => Selector::All,
        _ => return None,
    };
    let mode = match mode {
        0 => Mode::Hard,
        1 => Mode::Soft,
        _ => return None,
    };
    let order = Order { epoch, at_millis: u64::from_le_bytes(*at), mode, selector };
    (order.epoch > 0 && order.selector.is_sound()).then_some(order)
}

fn checksum(epoch: u64, record: &[u8]) -> u32 {
    let mut digest = crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc32Iscsi);
    digest.update(&epoch.to_le_bytes());
    digest.update(record);
    // Truncation keeps the 32 bits a CRC-32C has.
    digest.finalize() as u32
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn orders() -> impl Iterator<Item = Order> {
        let text = || Arc::<str>::from("film|h|/vod/ä");
        let selectors = [
            Selector::Key(text()),
            Selector::Prefix(text()),
            Selector::Tag(text()),
            Selector::Service(text()),
            Selector::All,
        ];
        let of = |selector| [Mode::Hard, Mode::Soft].map(|mode| (mode, Selector::clone(selector)));
        let all: Vec<_> = selectors.iter().flat_map(of).collect();
        all.into_iter().map(|(mode, selector)| Order { epoch: 7, at_millis: 9, mode, selector })
    }

    #[test]
    fn comes_back_whole() {
        for order in orders() {
            assert_eq!(decode(7, &encode(&order)), Some(order.clone()));
            assert_eq!(decode(8, &encode(&order)), None, "under another epoch");
        }
    }

    proptest! {
        #[test]
        fn a_flipped_bit_is_seen(which in 0..10_usize, place in any::<prop::sample::Index>(), bit in 0..8) {
            let order = orders().nth(which).unwrap();
            let mut bytes = encode(&order);
            let place = place.index(bytes.len());
            bytes[place] ^= 1_u8 << bit;
            prop_assert_eq!(decode(7, &bytes), None);
        }

        #[test]
        fn any_bytes_are_refused(epoch in any::<u64>(), bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            prop_assert_eq!(decode(epoch, &bytes), None);
        }
    }
}
