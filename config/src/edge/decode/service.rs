//! `[[service]]`

use std::time::Duration;

use crate::{
    common::{days, duration},
    edge::{Cors, HeaderRules, Preset, Service, TokenRule},
    judge::Judge,
    sheet::Finding,
    table::Table,
    value::{Ids, Value, did_you_mean},
};

/// The services; `upstreams` are the ids that they may name.
pub(super) fn services(
    root: &Table<'_>,
    upstreams: &[String],
    judge: &dyn Judge,
) -> Option<Vec<Service>> {
    let mut ids = Ids::default();
    let mut routes = Routes::default();
    let written = root.tables("service");
    let mut read = |table: &Table<'_>| service(table, upstreams, judge, &mut ids, &mut routes);
    let found: Vec<_> = written.iter().map(&mut read).collect();
    if !root.has("service") {
        root.missing_tables("service", "id = \"site\" preset = \"proxy\" upstreams = [\"web\"]");
    }
    found.into_iter().collect()
}

fn service(
    table: &Table<'_>,
    known: &[String],
    judge: &dyn Judge,
    ids: &mut Ids,
    routes: &mut Routes,
) -> Option<Service> {
    let id = table.required("id", "\"film\"", |v| ids.take(v));
    let hosts = table.or("hosts", "[\"cdn.example\"]", vec![], |v| v.list(Value::host));
    let path_prefix = table.or("path_prefix", "\"/vod/\"", "/".to_owned(), |v| v.url_path());
    if let (Some(hosts), Some(prefix)) = (&hosts, &path_prefix) {
        routes.take(table, hosts, prefix);
    }
    let strip_prefix = table.optional("strip_prefix", "\"/vod/\"", |v| {
        let strip = v.url_path()?;
        match &path_prefix {
            Some(prefix) if !prefix.starts_with(&strip) => v.refuse(Finding::new(format!(
                "`{}` must be a beginning of `path_prefix`: \"{strip}\" is none of \"{prefix}\"",
                v.path
            ))),
            _ => Some(strip),
        }
    });
    let presets = [("media", Preset::Media), ("proxy", Preset::Proxy)];
    let preset = table.required("preset", "\"media\"", |v| v.choice(&presets));
    let upstreams = table.required("upstreams", "[\"s3-main\"]", |v| upstreams(v, known));
    let query_keys = table.or("query_keys", "[\"v\"]", vec![], |v| {
        let keys = v.list(query_key)?;
        if preset == Some(Preset::Proxy) && !keys.is_empty() {
            return v.refuse(
                Finding::new(format!("`{}` does not go with preset \"proxy\"", v.path))
                    .help("its cache key is the whole query"),
            );
        }
        Some(keys)
    });
    let media = preset == Some(Preset::Media);
    let ttl = |key, example, media_default: Duration| {
        let default = if media { media_default } else { Duration::ZERO };
        table.or(key, example, default, |v| duration(v, Duration::ZERO, days(365)))
    };
    let default_ttl = ttl("default_ttl", "\"60s\"", Duration::from_secs(60));
    let negative_ttl = ttl("negative_ttl", "\"250ms\"", Duration::from_secs(1));
    let hour = Duration::from_secs(3600);
    let stale_if_error =
        table.or("stale_if_error", "\"10min\"", hour, |v| duration(v, Duration::ZERO, days(365)));
    let store_set_cookie = table.or("store_set_cookie", "true", false, |v| v.boolean());
    let hedge = table.or("hedge", "true", false, |v| match (v.boolean()?, &upstreams) {
        (true, Some(one)) if one.len() < 2 => v.refuse(
            Finding::new(format!("`{}` has nobody to ask beside the one upstream", v.path))
                .help("name a second one in `upstreams`, or leave `hedge` out"),
        ),
        (hedge, _) => Some(hedge),
    });
    let server_timing = table.or("server_timing", "true", false, |v| v.boolean());
    let cors = section(table, "cors", cors);
    let token = section(table, "token", |inner| token(inner, id.as_deref(), judge));
    let response_headers = headers(&table.table("response_headers"));
    table.finish();
    Some(Service {
        id: id?,
        line: table.line(),
        file: table.file(),
        hosts: hosts?,
        path_prefix: path_prefix?,
        strip_prefix: strip_prefix?,
        preset: preset?,
        upstreams: upstreams?,
        query_keys: query_keys?,
        default_ttl: default_ttl?,
        negative_ttl: negative_ttl?,
        stale_if_error: stale_if_error?,
        store_set_cookie: store_set_cookie?,
        hedge: hedge?,
        server_timing: server_timing?,
        cors: cors?,
        token: token?,
        response_headers: response_headers?,
    })
}

/// A table that may be missing as a whole.
fn section<'s, T>(
    table: &Table<'s>,
    key: &'static str,
    read: impl FnOnce(&Table<'s>) -> Option<T>,
) -> Option<Option<T>> {
    let there = table.has(key);
    let inner = table.table(key);
    match (there, inner.exists()) {
        (false, _) => Some(None),
        // Something else than a table stands there, and was noted.
        (true, false) => None,
        (true, true) => read(&inner).map(Some),
    }
}

fn upstreams(value: &Value<'_>, known: &[String]) -> Option<Vec<String>> {
    let mut named: Vec<String> = Vec::new();
    let found = value.list(|item| {
        let id = item.some_text()?;
        if named.iter().any(|other| other == id) {
            return item.refuse(Finding::new(format!("`{}` names \"{id}\" again", item.path)));
        }
        named.push(id.to_owned());
        // After a syntax error nobody knows which upstreams there are.
        if known.iter().any(|other| other == id) || item.sheet.syntax_is_broken() {
            return Some(id.to_owned());
        }
        let names = known.iter().map(String::as_str);
        let help = did_you_mean(id, names).unwrap_or_else(|| match known {
            [] => "there is no `[[upstream]]` with an id".to_owned(),
            _ => format!("known: {}", known.join(", ")),
        });
        item.refuse(
            Finding::new(format!("`{}` names an unknown upstream: \"{id}\"", item.path)).help(help),
        )
    })?;
    if found.is_empty() {
        return value.refuse(Finding::new(format!("`{}` is empty", value.path)));
    }
    Some(found)
}

fn query_key(value: &Value<'_>) -> Option<String> {
    let text = value.some_text()?;
    if text.contains(['&', '=', '#', '?']) || !text.bytes().all(|b| b.is_ascii_graphic()) {
        return value.refuse(
            Finding::new(format!("`{}` is no query key: \"{text}\"", value.path))
                .help("the name only, as it stands in the URL"),
        );
    }
    // It differs in each request of a session: every one would be a miss.
    if text.eq_ignore_ascii_case("cmcd") {
        return value.refuse(
            Finding::new(format!("`{}`: \"CMCD\" never enters the cache key", value.path))
                .help("players send their state in it"),
        );
    }
    Some(text.to_owned())
}

fn cors(table: &Table<'_>) -> Option<Cors> {
    let origins = table.required("origins", "[\"https://player.example\"]", |v| {
        let origins = v.list(Value::web_origin)?;
        if origins.is_empty() {
            return v.refuse(Finding::new(format!("`{}` is empty", v.path)));
        }
        if origins.len() > 1 && origins.iter().any(|origin| origin == "*") {
            return v.refuse(
                Finding::new(format!("`{}`: \"*\" stands alone", v.path))
                    .help("it takes every origin already"),
            );
        }
        Some(origins)
    });
    let default = Duration::from_secs(7200);
    let max_age = table.or("max_age", "\"2h\"", default, |v| duration(v, Duration::ZERO, days(1)));
    table.finish();
    Some(Cors { origins: origins?, max_age: max_age? })
}

fn token(table: &Table<'_>, service: Option<&str>, judge: &dyn Judge) -> Option<TokenRule> {
    let required = table.or("required", "true", true, |v| v.boolean());
    let default = service.unwrap_or_default().to_owned();
    let audience = table.or("audience", "\"film\"", default, |v| v.name());
    let jwks = table.required("jwks", "\"keys/jwks.json\"", |v| {
        v.judged(v.file()?, |file| judge.key_set(file))
    });
    table.finish();
    Some(TokenRule { required: required?, audience: audience?, jwks: jwks? })
}

fn headers(table: &Table<'_>) -> Option<HeaderRules> {
    let written = table.table("set");
    let set: Vec<_> = written
        .free()
        .into_iter()
        .map(|(name, value)| {
            let name = value.check_header_name(&name);
            let value = value.header_value();
            Some((name?, value?))
        })
        .collect();
    let set: Option<Vec<_>> = set.into_iter().collect();
    let example = "[\"x-amz-request-id\"]";
    let remove = table.or("remove", example, vec![], |v| v.list(Value::header_name));
    table.finish();
    Some(HeaderRules { set: set?, remove: remove? })
}

/// Host and prefix of each service: no two take the same requests.
#[derive(Default)]
struct Routes(Vec<(Option<String>, String, usize)>);

impl Routes {
    fn take(&mut self, table: &Table<'_>, hosts: &[String], prefix: &str) {
        let hosts: Vec<Option<String>> = match hosts {
            [] => vec![None],
            some => some.iter().cloned().map(Some).collect(),
        };
        for host in hosts {
            let same =
                |other: &&(Option<String>, String, usize)| other.0 == host && other.1 == prefix;
            if let Some((_, _, at)) = self.0.iter().find(same) {
                let earlier = table.sheet.line_seen_from(*at, table.at());
                let host = host.as_deref().map_or("every host".to_owned(), |h| format!("\"{h}\""));
                let what = format!("`{}` takes {host} with \"{prefix}\" again", table.path);
                table.wrong(
                    Finding::new(what).help(format!("the service at {earlier} has them already")),
                );
                continue;
            }
            self.0.push((host, prefix.to_owned(), table.at()));
        }
    }
}
