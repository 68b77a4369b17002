//! What decided: fields of the response, or keys of the configuration with their places.

use std::{sync::Arc, time::Duration};

use http::{HeaderMap, StatusCode, header};
use weir_config_admin::{ChunkCount, ConfigEntry, Decided};
use weir_edge_cache::StoredObject;
use weir_edge_fill::Policy;
use weir_edge_freshness::{Flags, Lifetime, Rules, Targeted, response_control};

use crate::{
    admit::Admitted,
    node::Node,
    service::{Preset, Service},
};

/// The configuration of one service, key by key.
pub(super) struct Told {
    entries: Vec<ConfigEntry>,
    service: String,
    policy: Arc<Policy>,
    /// Where its table stands, for whom nothing closer is known.
    rule: String,
}

impl Told {
    pub(super) fn of(node: &Node, service: &Service) -> Self {
        let entries = node.config.get().map(|config| config.report().entries);
        Self {
            entries: entries.unwrap_or_default(),
            service: service.id.to_string(),
            policy: Arc::clone(&service.policy),
            rule: service.rule.clone(),
        }
    }

    fn entry(&self, key: &str) -> Option<&ConfigEntry> {
        self.entries.iter().find(|entry| entry.key == key)
    }

    /// A decision of the key of the service's table.
    fn by(&self, what: &str, key: &str, value: Option<String>) -> Decided {
        self.by_key(what, &format!("service[{}].{key}", self.service), value)
    }

    fn by_key(&self, what: &str, key: &str, value: Option<String>) -> Decided {
        let entry = self.entry(key);
        let place = entry.map_or_else(|| self.rule.clone(), |entry| entry.origin.clone());
        let written = entry.map(|entry| entry.value.clone()).unwrap_or_default();
        Decided {
            what: what.to_owned(),
            value: value.unwrap_or(written),
            by: format!("{key}, {place}"),
        }
    }

    /// What holds for every request of the URL.
    pub(super) fn of_requests(&self, admitted: &Admitted) -> Vec<Decided> {
        let service = &admitted.service;
        let mut found = Vec::new();
        let path = match service.preset {
            Preset::Media => "media: one spelling of the path, GET and HEAD, no field of a client",
            Preset::Proxy => "proxy: the path as it came, every method, fields passed on",
        };
        found.push(self.by("rules", "preset", Some(path.to_owned())));
        let query = match service.preset {
            Preset::Proxy => "all of it counts, but CMCD".to_owned(),
            Preset::Media if service.query_keys.is_empty() => "nothing of it counts".to_owned(),
            Preset::Media => format!("these count: {}", service.query_keys.join(", ")),
        };
        found.push(match service.preset {
            Preset::Media => self.by("query", "query_keys", Some(query)),
            Preset::Proxy => self.by("query", "preset", Some(query)),
        });
        let asked = service.upstream_path(&admitted.path).into_owned();
        if asked != admitted.path {
            found.push(self.by("asked as", "strip_prefix", Some(asked)));
        }
        if let Some(token) = &service.token {
            let value = if token.required { "needed" } else { "taken, not needed" };
            found.push(self.by("token", "token.required", Some(value.to_owned())));
        }
        found.push(self.by("upstream", "upstreams", None));
        if let Some(hedge) = &service.hedge {
            let value = hedge.long().map_or_else(
                || "the second is asked too, once it is known how long the first takes".to_owned(),
                |long| format!("the second is asked too after {} ms", long.as_millis()),
            );
            found.push(self.by("hedging", "hedge", Some(value)));
        }
        found
    }

    /// What holds for what is stored.
    pub(super) fn of_stored(
        &self,
        node: &Node,
        object: &StoredObject,
        headers: &HeaderMap,
        chunks: ChunkCount,
    ) -> Vec<Decided> {
        let mut found = vec![self.lifetime(object, headers)];
        let (control, _) = response_control(headers);
        found.push(match control.stale_if_error {
            Some(seconds) => Decided {
                what: "stand-in".into(),
                value: format!("{seconds} s past its freshness"),
                by: "stale-if-error of the response".into(),
            },
            None => self.by("stand-in", "stale_if_error", None),
        });
        if headers.contains_key(header::SET_COOKIE) {
            found.push(self.by("cookies", "store_set_cookie", Some("kept for everybody".into())));
        }
        found.push(self.admission(node, object, chunks));
        for kind in ["set", "remove"] {
            let key = format!("service[{}].response_headers.{kind}", self.service);
            let of = |entry: &&ConfigEntry| {
                entry.key == key || entry.key.strip_prefix(&key).is_some_and(|k| k.starts_with('.'))
            };
            for entry in self.entries.iter().filter(of).filter(|entry| entry.origin != "default") {
                let name = entry.key.strip_prefix(&key).unwrap_or_default().trim_start_matches('.');
                let value = format!("{kind} {name} {}", entry.value);
                let value = value.split_whitespace().collect::<Vec<_>>().join(" ");
                found.push(self.by_key("fields", &entry.key, Some(value)));
            }
        }
        found
    }

    /// Where its freshness lifetime comes from (RFC 9111 §4.2.1, RFC 9213 §2.2).
    fn lifetime(&self, object: &StoredObject, headers: &HeaderMap) -> Decided {
        let value = match object.lifetime_millis {
            millis if millis % 1000 == 0 => format!("{} s", millis / 1000),
            millis => format!("{millis} ms"),
        };
        let (control, targeted) = response_control(headers);
        let field = match targeted {
            Targeted::None => "Cache-Control",
            Targeted::Cdn => "CDN-Cache-Control",
            Targeted::Surrogate => "Surrogate-Control",
        };
        let flags = Flags(object.flags);
        // What was kept of it is less than its fields say: it was made stale since.
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let rules = Rules {
            default_ttl_millis: Some(millis(self.policy.default_ttl)),
            negative_ttl_millis: Some(millis(self.policy.negative_ttl)),
            ..Rules::default()
        };
        let times = (object.request_millis, object.response_millis);
        let told = Lifetime::of(object.status, headers, times.0, times.1, &rules);
        let cut = object.lifetime_millis < told.lifetime_millis;
        let of = |directive: &str| Decided {
            what: "ttl".into(),
            value: value.clone(),
            by: match (cut, object.lifetime_millis) {
                (false, _) => format!("{directive} of the response"),
                // A purge, or word that it is another now (RFC 9111 §4.3.5), at age 0.
                (true, 0) => format!("it was made stale after it came, over {directive}"),
                (true, _) => {
                    format!("a purge with --soft at that age, over {directive} of the response")
                }
            },
        };
        if flags.has(Flags::NO_CACHE) {
            let by = format!("no-cache in {field} of the response");
            return Decided { what: "ttl".into(), value: "0 s".into(), by };
        }
        if control.s_maxage.is_some() {
            return of(&format!("s-maxage in {field}"));
        }
        if control.max_age.is_some() {
            return of(&format!("max-age in {field}"));
        }
        if targeted == Targeted::None && headers.contains_key(header::EXPIRES) {
            return of("Expires");
        }
        if flags.has(Flags::HEURISTIC) {
            return of("a tenth of the time since Last-Modified");
        }
        let key = match object.status {
            StatusCode::NOT_FOUND | StatusCode::GONE => "negative_ttl",
            _ => "default_ttl",
        };
        if cut {
            let by = format!("a purge with --soft at that age, or {key} as it was then");
            return Decided { what: "ttl".into(), value, by };
        }
        self.by("ttl", key, Some(value))
    }

    /// Why it is on the disks, or is not.
    fn admission(&self, node: &Node, object: &StoredObject, chunks: ChunkCount) -> Decided {
        let disk = format!("{} of {} chunks", chunks.disk, chunks.total);
        if node.disks.is_none() {
            let by = "no [[cache.disk]] is configured".to_owned();
            return Decided { what: "on disk".into(), value: "never".into(), by };
        }
        if node.engine.cache().pin_of(&object.id).is_some() {
            let by = "it is pinned".to_owned();
            return Decided { what: "on disk".into(), value: disk, by };
        }
        let mut found = self.by_key("on disk", "cache.admission", Some(disk));
        if let Some(entry) = self.entry("cache.admission") {
            found.by = format!("cache.admission = {}, {}", entry.value, entry.origin);
        }
        found
    }
}
