//! `[[upstream]]`

use std::num::NonZeroU16;

use crate::{
    edge::{Credentials, HttpUpstream, S3Upstream, Upstream, UpstreamKind},
    secret::Secret,
    sheet::Finding,
    table::Table,
    value::{Ids, Value},
};

#[derive(Clone, Copy)]
enum Kind {
    S3,
    Http,
}

/// The upstreams, and the ids that are there whatever else is wrong with them.
pub(super) fn upstreams(root: &Table<'_>) -> (Option<Vec<Upstream>>, Vec<String>) {
    let mut ids = Ids::default();
    let written = root.tables("upstream");
    let found: Vec<_> = written.iter().map(|table| upstream(table, &mut ids)).collect();
    if !root.has("upstream") {
        root.missing_tables(
            "upstream",
            "id = \"web\" kind = \"http\" url = \"https://origin.example\"",
        );
    }
    (found.into_iter().collect(), ids.into_names())
}

fn upstream(table: &Table<'_>, ids: &mut Ids) -> Option<Upstream> {
    let id = table.required("id", "\"s3-main\"", |v| ids.take(v));
    let kinds = [("s3", Kind::S3), ("http", Kind::Http)];
    let kind = table.required("kind", "\"s3\"", |v| v.choice(&kinds));
    // Without its kind nobody knows which keys belong to it: the rest waits until it has one.
    let kind = match kind? {
        Kind::S3 => s3(table).map(UpstreamKind::S3),
        Kind::Http => http(table).map(UpstreamKind::Http),
    };
    let max_fills = table.optional("max_fills", "32", |v| {
        NonZeroU16::new(u16::try_from(v.integer(1, 65_535)?).ok()?)
    });
    table.finish();
    Some(Upstream { id: id?, kind: kind?, max_fills: max_fills? })
}

fn http(table: &Table<'_>) -> Option<HttpUpstream> {
    let url = table.required("url", "\"https://origin.example\"", |v| v.base_url());
    Some(HttpUpstream { url: url? })
}

fn s3(table: &Table<'_>) -> Option<S3Upstream> {
    let endpoint = table.optional("endpoint", "\"http://127.0.0.1:9000\"", |v| v.server_url());
    let bucket = table.required("bucket", "\"films\"", Value::bucket);
    let region = table.or("region", "\"us-east-1\"", "us-east-1".to_owned(), |v| v.name());
    let own = table.has("endpoint");
    let path_style = table.or("path_style", "true", own, |v| v.boolean());
    let example = "{ file = \"s3-credentials.toml\" }";
    let credentials = table.or("credentials", example, Credentials::Anonymous, |v| credentials(v));
    Some(S3Upstream {
        endpoint: endpoint?,
        bucket: bucket?,
        region: region?,
        path_style: path_style?,
        credentials: credentials?,
    })
}

fn credentials(value: &Value<'_>) -> Option<Credentials> {
    if value.is_text() {
        return value
            .choice(&[("anonymous", Named::Anonymous), ("env", Named::Env), ("imds", Named::Imds)])
            .map(|named| match named {
                Named::Anonymous => Credentials::Anonymous,
                Named::Env => Credentials::Env,
                Named::Imds => Credentials::Imds,
            });
    }
    let table = value.table()?;
    let read = table
        .required("file", "\"s3-credentials.toml\"", |v| v.confidential_toml(&static_credentials));
    table.finish();
    read
}

#[derive(Clone, Copy)]
enum Named {
    Anonymous,
    Env,
    Imds,
}

/// The file that `credentials = { file = … }` names.
fn static_credentials(table: &Table<'_>) -> Option<Credentials> {
    let plain = |v: &Value<'_>| {
        let text = v.some_text()?;
        if !text.bytes().all(|b| b.is_ascii_graphic()) {
            return v.refuse(Finding::new(format!("`{}` holds white space", v.path)));
        }
        Some(text.to_owned())
    };
    let access_key = table.required("access_key", "\"…\"", plain);
    let secret_key = table.required("secret_key", "\"…\"", plain);
    Some(Credentials::Static { access_key: access_key?, secret_key: Secret::new(secret_key?) })
}
