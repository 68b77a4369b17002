//! `[traces]`

use std::{num::NonZeroU32, time::Duration};

use url::Url;

use crate::{
    common::duration,
    edge::{Parents, Traces},
    secret::Secret,
    sheet::Finding,
    table::Table,
    value::Value,
};

const PARENTS: [(&str, Parents); 3] =
    [("never", Parents::Never), ("trusted", Parents::Trusted), ("always", Parents::Always)];
/// One of a hundred.
const RATIO_PPM: u32 = 10_000;
const BATCH: NonZeroU32 = NonZeroU32::new(512).expect("it is not 0");
const QUEUE: NonZeroU32 = NonZeroU32::new(8192).expect("it is not 0");
/// Fields of a post.
const HEADERS_MAX: usize = 32;

pub(super) fn traces(root: &Table<'_>) -> Option<Traces> {
    let table = root.table("traces");
    let endpoint = table.optional("endpoint", "\"http://127.0.0.1:4318\"", endpoint);
    let usual = "weir-edge".to_owned();
    let service_name = table.or("service_name", "\"weir-edge\"", usual, |v| v.name());
    let sample_ppm = table.or("sample_ratio", "0.01", RATIO_PPM, |v| v.ratio());
    let failed = table.or("failed", "true", true, |v| v.boolean());
    let parents = table.or("parents", "\"trusted\"", Parents::Trusted, |v| v.choice(&PARENTS));
    let headers = table
        .or("headers", "\"traces-headers.toml\"", Vec::new(), |v| v.confidential_toml(&headers));
    let seconds = Duration::from_secs;
    let timeout =
        table.or("timeout", "\"10s\"", seconds(10), |v| duration(v, seconds(1), seconds(60)));
    let least = Duration::from_millis(100);
    let interval = table.or("interval", "\"5s\"", seconds(5), |v| duration(v, least, seconds(60)));
    let count =
        |v: &Value<'_>, least, most| NonZeroU32::new(u32::try_from(v.integer(least, most)?).ok()?);
    let batch = table.or("batch", "512", BATCH, |v| count(v, 1, 8192));
    let queue = table.or("queue", "8192", QUEUE, |v| match (count(v, 1, 1 << 20)?, batch) {
        (queue, Some(batch)) if queue < batch => v.refuse(
            Finding::new(format!("`traces.queue` {queue} is less than `traces.batch` {batch}"))
                .help("a post takes its spans from the queue"),
        ),
        (queue, _) => Some(queue),
    });
    table.finish();
    Some(Traces {
        endpoint: endpoint?,
        service_name: service_name?,
        sample_ppm: sample_ppm?,
        failed: failed?,
        parents: parents?,
        headers: headers?,
        timeout: timeout?,
        interval: interval?,
        batch: batch?,
        queue: queue?,
    })
}

/// OTLP/HTTP names a path of its own for each signal; who gives a server alone means that one.
fn endpoint(value: &Value<'_>) -> Option<Url> {
    let mut url = value.base_url()?;
    if url.path() == "/" {
        url.set_path("/v1/traces");
    }
    Some(url)
}

/// The file that `headers` names: `authorization = "Bearer …"`, a line for each, in `[headers]`.
fn headers(root: &Table<'_>) -> Option<Vec<(String, Secret)>> {
    if !root.has("headers") {
        root.missing("headers", "{ authorization = \"Bearer …\" }");
    }
    let table = root.table("headers");
    let all = table.free();
    if all.len() > HEADERS_MAX {
        table.wrong(Finding::new(format!("more than {HEADERS_MAX} fields")));
        return None;
    }
    let fields = all.iter().map(|(name, value)| {
        let name = value.check_header_name(name)?;
        if matches!(name.as_str(), "host" | "content-type" | "content-encoding") {
            return value.refuse(
                Finding::new(format!("the header \"{name}\" is set by the exporter"))
                    .help("leave it out"),
            );
        }
        Some((name, Secret::new(value.header_value()?)))
    });
    // Every mistake is told.
    let fields: Vec<_> = fields.collect();
    fields.into_iter().collect()
}
