//! An object as the state file keeps it: little-endian numbers, sized texts, how it is pinned
//! where it is, and a CRC-32C over all of it and the id it stands under.

use std::{collections::HashMap, sync::Arc};

use http::StatusCode;

use crate::{
    chunk::ObjectId,
    fields::Fields,
    object::{StoredObject, TAGS_MAX},
    table::Pin,
};

pub(super) fn encode(object: &StoredObject, pin: Option<Pin>) -> Vec<u8> {
    let fields = object.fields.as_bytes();
    let mut out = Vec::with_capacity(80 + object.key.len() + object.service.len() + fields.len());
    out.extend_from_slice(&object.generation.to_le_bytes());
    out.extend_from_slice(&object.size.to_le_bytes());
    out.extend_from_slice(&object.request_millis.to_le_bytes());
    out.extend_from_slice(&object.response_millis.to_le_bytes());
    out.extend_from_slice(&object.initial_age_millis.to_le_bytes());
    out.extend_from_slice(&object.lifetime_millis.to_le_bytes());
    out.extend_from_slice(&object.flags.to_le_bytes());
    out.extend_from_slice(&object.status.as_u16().to_le_bytes());
    out.extend_from_slice(&object.epoch.to_le_bytes());
    let tags = &object.tags[..object.tags.len().min(TAGS_MAX)];
    // At most TAGS_MAX, below 256.
    out.push(tags.len() as u8);
    for tag in tags {
        out.extend_from_slice(&tag.to_le_bytes());
    }
    for text in [object.service.as_bytes(), object.key.as_bytes(), fields] {
        // Gibibytes of metadata do not happen; cut short they would not verify.
        out.extend_from_slice(&u32::try_from(text.len()).unwrap_or(u32::MAX).to_le_bytes());
        out.extend_from_slice(text);
    }
    // Nothing behind the fields is an object that is not pinned, as before there were pins.
    if let Some(pin) = pin {
        out.extend_from_slice(&pin.to_bits().to_le_bytes());
    }
    let sum = checksum(object.id.0, &out);
    out.extend_from_slice(&sum.to_le_bytes());
    out
}

/// `None` unless the record verifies and says something possible. Equal service names share
/// one allocation.
pub(super) fn decode(
    id: u128,
    bytes: &[u8],
    services: &mut HashMap<Box<str>, Arc<str>>,
) -> Option<(StoredObject, Option<Pin>)> {
    let (record, sum) = bytes.split_last_chunk::<4>()?;
    if checksum(id, record) != u32::from_le_bytes(*sum) {
        return None;
    }
    let mut rest = record;
    let generation = u64::from_le_bytes(take(&mut rest)?);
    let size = u64::from_le_bytes(take(&mut rest)?);
    let request_millis = u64::from_le_bytes(take(&mut rest)?);
    let response_millis = u64::from_le_bytes(take(&mut rest)?);
    let initial_age_millis = u64::from_le_bytes(take(&mut rest)?);
    let lifetime_millis = u64::from_le_bytes(take(&mut rest)?);
    let flags = u32::from_le_bytes(take(&mut rest)?);
    let status = StatusCode::from_u16(u16::from_le_bytes(take(&mut rest)?)).ok()?;
    let epoch = u64::from_le_bytes(take(&mut rest)?);
    let [count] = take(&mut rest)?;
    if usize::from(count) > TAGS_MAX {
        return None;
    }
    let tags: Option<Box<[u64]>> =
        (0..count).map(|_| take(&mut rest).map(u64::from_le_bytes)).collect();
    let service = std::str::from_utf8(sized(&mut rest)?).ok()?;
    let key = std::str::from_utf8(sized(&mut rest)?).ok()?;
    let fields = Fields::from_bytes(sized(&mut rest)?)?;
    let pin = match rest.is_empty() {
        true => None,
        false => Some(Pin::from_bits(u32::from_le_bytes(take(&mut rest)?))),
    };
    if !rest.is_empty() || ObjectId::of(key).0 != id {
        return None;
    }
    let service = services.entry(service.into()).or_insert_with(|| service.into()).clone();
    let object = StoredObject {
        id: ObjectId(id),
        key: key.into(),
        generation,
        service,
        status,
        fields,
        size,
        request_millis,
        response_millis,
        initial_age_millis,
        lifetime_millis,
        flags,
        tags: tags?,
        epoch,
    };
    Some((object, pin))
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (first, after) = rest.split_first_chunk::<N>()?;
    *rest = after;
    Some(*first)
}

fn sized<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = u32::from_le_bytes(take(rest)?) as usize;
    let (first, after) = rest.split_at_checked(length)?;
    *rest = after;
    Some(first)
}

fn checksum(id: u128, record: &[u8]) -> u32 {
    let mut digest = crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc32Iscsi);
    digest.update(&id.to_le_bytes());
    digest.update(record);
    // Truncation keeps the 32 bits a CRC-32C has.
    digest.finalize() as u32
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::object::tests::object;

    #[test]
    fn comes_back_whole() {
        let object = object("film|localhost|/vod/a.m4s", 77, 12_345);
        let mut services = HashMap::new();
        let (read, pin) = decode(object.id.0, &encode(&object, None), &mut services).unwrap();
        assert_eq!((&read, pin), (&object, None));
        for pin in [Pin::FOR_GOOD, Pin::until(1_800_000_000)] {
            let bytes = encode(&object, Some(pin));
            let pinned = decode(object.id.0, &bytes, &mut services).unwrap();
            assert_eq!(pinned, (object.clone(), Some(pin)));
        }
        let (again, _) = decode(object.id.0, &encode(&object, None), &mut services).unwrap();
        assert!(Arc::ptr_eq(&read.service, &again.service));
    }

    #[test]
    fn under_another_id_it_is_nothing() {
        let object = object("a", 1, 1);
        assert!(decode(object.id.0 ^ 1, &encode(&object, None), &mut HashMap::new()).is_none());
    }

    proptest! {
        #[test]
        fn a_flipped_bit_is_seen(place in any::<prop::sample::Index>(), bit in 0..8) {
            let object = object("a", 1, 1);
            let mut bytes = encode(&object, Some(Pin::FOR_GOOD));
            let place = place.index(bytes.len());
            bytes[place] ^= 1_u8 << bit;
            prop_assert!(decode(object.id.0, &bytes, &mut HashMap::new()).is_none());
        }

        #[test]
        fn any_bytes_are_refused(id in any::<u128>(), bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(decode(id, &bytes, &mut HashMap::new()).is_none());
        }
    }
}
