//! The keys of `[log]` that are an edge's alone.

use std::{num::NonZeroU16, time::Duration};

use weir_config_units::ByteSize;

use crate::{
    common::{days, duration},
    edge::{Access, AccessFormat, ClientAddress},
    table::Table,
};

const FORMATS: [(&str, AccessFormat); 3] = [
    ("json", AccessFormat::Json),
    ("combined", AccessFormat::Combined),
    ("w3c", AccessFormat::W3c),
];
const ADDRESSES: [(&str, ClientAddress); 3] = [
    ("truncated", ClientAddress::Truncated),
    ("full", ClientAddress::Full),
    ("none", ClientAddress::None),
];
/// Files kept unless told.
const KEEP: NonZeroU16 = NonZeroU16::new(7).expect("seven is not zero");

pub(super) fn access(table: &Table<'_>) -> Option<Access> {
    let format = table.or("access_format", "\"json\"", AccessFormat::Json, |v| v.choice(&FORMATS));
    let usual = ClientAddress::default();
    let address = table.or("client_address", "\"truncated\"", usual, |v| v.choice(&ADDRESSES));
    let (least, most) = (ByteSize::mib(1), ByteSize::bytes(1 << 40));
    let size = table.optional("access_rotate_size", "\"256 MiB\"", |v| v.quantity(least, most));
    let age = table.optional("access_rotate_age", "\"1d\"", |v| {
        duration(v, Duration::from_secs(60), days(365))
    });
    let keep = table.or("access_keep", "7", KEEP, |v| {
        NonZeroU16::new(u16::try_from(v.integer(1, 1000)?).ok()?)
    });
    Some(Access {
        format: format?,
        client_address: address?,
        rotate_size: size?,
        rotate_age: age?,
        keep: keep?,
    })
}
