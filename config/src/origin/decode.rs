//! `origin.toml`, section by section.

use super::{AccessKey, Admin, Allow, Listen, OriginConfig, Store};
use crate::{
    common::{self, Address},
    sheet::Finding,
    table::Table,
    value::{Ids, Value, did_you_mean},
};

pub(super) fn origin(root: &Table<'_>) -> Option<OriginConfig> {
    let (listen, mut bound) = listen(root);
    let admin = admin(root, &mut bound);
    common::no_clash(root, bound.iter());
    let store = store(root);
    let log = common::log(root);
    let shutdown = common::shutdown(root);
    let buckets = store.as_ref().map(|store| store.buckets.as_slice());
    let access_keys = access_keys(root, buckets);
    Some(OriginConfig {
        file: root.sheet.file().to_path_buf(),
        listen: listen?,
        admin: admin?,
        store: store?,
        log: log?,
        shutdown: shutdown?,
        access_keys: access_keys?,
    })
}

fn listen(root: &Table<'_>) -> (Option<Listen>, Vec<Address>) {
    let table = root.table("listen");
    let example = "[\"127.0.0.1:9000\"]";
    let http = table.required("http", example, |v| {
        let found = common::addresses(v)?;
        if found.is_empty() {
            return v.refuse(Finding::new("`listen.http` is empty"));
        }
        Some(found)
    });
    table.finish();
    let plain = |list: &Vec<Address>| list.iter().map(|bound| bound.address).collect();
    (http.as_ref().map(|http| Listen { http: plain(http) }), http.unwrap_or_default())
}

fn admin(root: &Table<'_>, bound: &mut Vec<Address>) -> Option<Admin> {
    let table = root.table("admin");
    let listen = table.optional("listen", "\"127.0.0.1:9901\"", common::address);
    table.finish();
    let listen = listen?.map(|found| {
        let address = found.address;
        bound.push(found);
        address
    });
    Some(Admin { listen })
}

fn store(root: &Table<'_>) -> Option<Store> {
    let table = root.table("store");
    let path = table.required("path", "\"store\"", |v| v.path());
    let buckets = table.required("buckets", "[\"films\"]", |v| {
        let found = v.list(Value::bucket)?;
        if found.is_empty() {
            return v.refuse(Finding::new("`store.buckets` is empty"));
        }
        Some(found)
    });
    let known = buckets.as_deref();
    let public = table.or("public_buckets", "[\"films\"]", Vec::new(), |v| some_buckets(v, known));
    let region = table.or("region", "\"us-east-1\"", "us-east-1".to_owned(), |v| v.name());
    table.finish();
    Some(Store { path: path?, buckets: buckets?, public_buckets: public?, region: region? })
}

/// `buckets` is nothing when they are not known because of another mistake.
fn access_keys(root: &Table<'_>, buckets: Option<&[String]>) -> Option<Vec<AccessKey>> {
    let mut ids = Ids::default();
    let written = root.tables("access_key");
    let found: Vec<_> = written.iter().map(|table| access_key(table, &mut ids, buckets)).collect();
    found.into_iter().collect()
}

fn access_key(table: &Table<'_>, ids: &mut Ids, known: Option<&[String]>) -> Option<AccessKey> {
    let id = table.required("id", "\"edge\"", |v| ids.take(v));
    let example = "\"keys/edge.secret\"";
    let secret = table.required("secret_file", example, |v| v.secret_file());
    let choices = [("read", Allow::Read), ("write", Allow::Write)];
    let allow = table.or("allow", "\"read\"", Allow::Read, |v| v.choice(&choices));
    let every = known.unwrap_or_default().to_vec();
    let buckets = table.or("buckets", "[\"films\"]", every, |v| some_buckets(v, known));
    table.finish();
    Some(AccessKey { id: id?, secret: secret?, allow: allow?, buckets: buckets? })
}

/// A list of buckets that `store.buckets` has.
fn some_buckets(v: &Value<'_>, known: Option<&[String]>) -> Option<Vec<String>> {
    v.list(|item| {
        let name = item.bucket()?;
        match known {
            Some(known) if !known.contains(&name) => {
                let near = did_you_mean(&name, known.iter().map(String::as_str));
                let help = near.unwrap_or_else(|| format!("known: {}", known.join(", ")));
                item.refuse(
                    Finding::new(format!(
                        "`{}` names a bucket that `store.buckets` does not have: \"{name}\"",
                        item.path
                    ))
                    .help(help),
                )
            }
            _ => Some(name),
        }
    })
}
