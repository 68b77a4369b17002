//! `steering.toml`, section by section.

use std::{path::PathBuf, time::Duration};

use super::{Admin, Fleet, Listen, Role, Steering, SteeringConfig, Store};
use crate::{
    common::{self, Address, days, duration},
    sheet::Finding,
    table::Table,
    value::Value,
};

const ROLES: [(&str, Role); 1] = [("fleet", Role::Fleet)];

pub(super) fn steering(root: &Table<'_>) -> Option<SteeringConfig> {
    let steering = roles(root);
    let (listen, mut bound) = listen(root);
    let admin = admin(root, &mut bound);
    common::no_clash(root, bound.iter());
    let store = store(root);
    let fleet = fleet(root);
    let log = common::log(root);
    let shutdown = common::shutdown(root);
    Some(SteeringConfig {
        file: root.sheet.file().to_path_buf(),
        steering: steering?,
        listen: listen?,
        admin: admin?,
        store: store?,
        fleet: fleet?,
        log: log?,
        shutdown: shutdown?,
    })
}

fn roles(root: &Table<'_>) -> Option<Steering> {
    let table = root.table("steering");
    let roles = table.or("roles", "[\"fleet\"]", vec![Role::Fleet], |v| {
        let roles = v.list(|v| v.choice(&ROLES))?;
        if roles.is_empty() {
            return v.refuse(Finding::new("`steering.roles` is empty: it would do nothing"));
        }
        Some(roles)
    });
    table.finish();
    Some(Steering { roles: roles? })
}

fn listen(root: &Table<'_>) -> (Option<Listen>, Vec<Address>) {
    let table = root.table("listen");
    let nodes = table.required("nodes", "[\"0.0.0.0:8441\"]", |v| {
        let found = common::addresses(v)?;
        if found.is_empty() {
            return v.refuse(Finding::new("`listen.nodes` is empty"));
        }
        Some(found)
    });
    let names = table.required("names", "[\"steering.example\"]", |v| {
        let names = v.list(Value::host)?;
        if names.is_empty() || names.len() > 32 {
            let finding = Finding::new("`listen.names` has 1 to 32 names and addresses");
            return v.refuse(finding.help("nodes reach the control plane by one of them"));
        }
        Some(names)
    });
    table.finish();
    let plain = |list: &Vec<Address>| list.iter().map(|bound| bound.address).collect();
    let listen =
        nodes.as_ref().zip(names).map(|(nodes, names)| Listen { nodes: plain(nodes), names });
    (listen, nodes.unwrap_or_default())
}

fn admin(root: &Table<'_>, bound: &mut Vec<Address>) -> Option<Admin> {
    let table = root.table("admin");
    let default = PathBuf::from("/run/weir/steering.sock");
    let socket = table.or("socket", "\"/run/weir/steering.sock\"", default, |v| {
        let path = v.path()?;
        // unix(7): sun_path holds 108 bytes with its NUL.
        if path.as_os_str().len() > 107 {
            let what = format!("`admin.socket` is longer than 107 bytes: {}", path.display());
            let finding = Finding::new(what);
            return v.refuse(finding.help("the system takes no longer name for a socket"));
        }
        Some(path)
    });
    let listen = table.optional("listen", "\"127.0.0.1:9902\"", common::address);
    table.finish();
    let listen = listen?.map(|found| {
        let address = found.address;
        bound.push(found);
        address
    });
    Some(Admin { socket: socket?, listen })
}

fn store(root: &Table<'_>) -> Option<Store> {
    let table = root.table("store");
    let default = root.sheet.resolve("state/steering.db");
    let sqlite = table.or("sqlite", "\"state/steering.db\"", default, |v| v.path());
    let postgres =
        table.or("postgres_file", "\"keys/postgres.url\"", None, |v| v.secret_file().map(Some));
    let default = root.sheet.resolve("state/authority");
    let authority = table.or("authority", "\"state/authority\"", default, |v| v.path());
    table.finish();
    Some(Store { sqlite: sqlite?, postgres: postgres?, authority: authority? })
}

fn fleet(root: &Table<'_>) -> Option<Fleet> {
    let table = root.table("fleet");
    let hour = Duration::from_secs(3_600);
    let certificate = table.or("certificate", "\"7d\"", days(7), |v| duration(v, hour, days(30)));
    let grace = table.or("grace", "\"24h\"", days(1), |v| duration(v, Duration::ZERO, days(7)));
    let (least, most) = (Duration::from_millis(200), Duration::from_secs(60));
    let second = Duration::from_secs(1);
    let report_every = table.or("report_every", "\"1s\"", second, |v| duration(v, least, most));
    table.finish();
    Some(Fleet { certificate: certificate?, grace: grace?, report_every: report_every? })
}
