//! `[clients]`

use weir_config_units::{ByteSize, Prefix};

use crate::{
    edge::{Clients, ForwardedField},
    sheet::Finding,
    table::Table,
    value::Value,
};

pub(super) fn clients(root: &Table<'_>) -> Option<Clients> {
    let table = root.table("clients");
    let usual = Clients::default();
    let forwarders = table.or("trusted_forwarders", "[\"10.0.0.0/8\"]", vec![], |v| v.list(prefix));
    let fields = [
        ("x-forwarded-for", ForwardedField::XForwardedFor),
        ("forwarded", ForwardedField::Forwarded),
    ];
    let field = table
        .or("forwarded_field", "\"x-forwarded-for\"", usual.forwarded_field, |v| v.choice(&fields));
    let bits = |v: &Value<'_>, least, most| u8::try_from(v.integer(least, most)?).ok();
    let prefix_v4 = table.or("prefix_v4", "32", usual.prefix_v4, |v| bits(v, 8, 32));
    let prefix_v6 = table.or("prefix_v6", "56", usual.prefix_v6, |v| bits(v, 16, 128));
    let (least, most) = (ByteSize::mib(1), ByteSize::bytes(1 << 40));
    let fill_burst =
        table.or("fill_burst", "\"8 MiB\"", usual.fill_burst, |v| v.quantity(least, most));
    table.finish();
    Some(Clients {
        trusted_forwarders: forwarders?,
        forwarded_field: field?,
        prefix_v4: prefix_v4?,
        prefix_v6: prefix_v6?,
        fill_burst: fill_burst?,
    })
}

/// `10.0.0.0/8`; an address is itself alone.
pub(super) fn prefix(value: &Value<'_>) -> Option<Prefix> {
    match value.some_text()?.parse() {
        Ok(prefix) => Some(prefix),
        Err(error) => value.refuse(Finding::new(format!("`{}`: {error}", value.path))),
    }
}
