//! `[overload]`

use std::num::NonZeroU32;

use weir_config_units::ByteSize;

use crate::{
    edge::{Cache, Overload},
    sheet::Finding,
    table::Table,
};

pub(super) fn overload(root: &Table<'_>, cache: Option<&Cache>) -> Option<Overload> {
    let table = root.table("overload");
    let (least, most) = (ByteSize::mib(64), ByteSize::bytes(1 << 50));
    let memory = table.or("memory", "\"8 GiB\"", None, |v| {
        let memory = v.quantity(least, most)?;
        match cache {
            // A full cache would be an overload for ever.
            Some(cache) if memory <= cache.memory => v.refuse(
                Finding::new(format!(
                    "`overload.memory` {memory} is no more than `cache.memory` {}",
                    cache.memory
                ))
                .help("it is the memory of the whole process, the cache among it"),
            ),
            _ => Some(Some(memory)),
        }
    });
    let usual = NonZeroU32::new(16_384).expect("it is not 0");
    let requests = table.or("requests", "16_384", usual, |v| {
        NonZeroU32::new(u32::try_from(v.integer(64, 10_000_000)?).ok()?)
    });
    table.finish();
    Some(Overload { memory: memory?, requests: requests? })
}
