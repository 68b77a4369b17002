//! What differs between two configurations and is not seen in their keys' values: the content of
//! files that they name, and values that are not shown. It is told by a digest, which stays here.

use std::fs;

use weir_config::{
    Entry,
    edge::{Credentials, EdgeConfig, UpstreamKind},
};
use weir_config_admin::ConfigChange;
use xxhash_rust::xxh3::xxh3_128;

/// Keys with the digest of what stands behind each.
#[derive(Debug, Default)]
pub(super) struct Hidden(Vec<(String, u128)>);

impl Hidden {
    pub(super) fn of(config: &EdgeConfig) -> Self {
        let mut found = Vec::new();
        for upstream in &config.upstreams {
            let UpstreamKind::S3(s3) = &upstream.kind else { continue };
            if let Credentials::Static { access_key, secret_key } = &s3.credentials {
                let both = [access_key, secret_key.expose()].join("\n");
                found.push((format!("upstream[{}].credentials", upstream.id), digest(&both)));
            }
        }
        let fields = config.traces.headers.iter();
        let fields: String =
            fields.map(|(name, value)| format!("{name}: {}\n", value.expose())).collect();
        found.push(("traces.headers".to_owned(), digest(&fields)));
        for service in &config.services {
            if let Some(rule) = &service.token {
                // One that cannot be read is refused where it is loaded.
                let content = fs::read_to_string(&rule.jwks).unwrap_or_default();
                found.push((format!("service[{}].token.jwks", service.id), digest(&content)));
            }
            for (name, value) in &service.response_headers.set {
                let key = format!("service[{}].response_headers.set.{name}", service.id);
                found.push((key, digest(value)));
            }
        }
        Self(found)
    }

    /// What changed behind keys that both have and that `seen` does not list already.
    pub(super) fn changes(
        &self,
        before: &Self,
        seen: &[ConfigChange],
        entries: &[Entry],
    ) -> Vec<ConfigChange> {
        let changed = self.0.iter().filter(|(key, digest)| {
            let other = before.0.iter().find(|(known, _)| known == key);
            other.is_some_and(|(_, before)| before != digest)
                && !seen.iter().any(|change| change.key == *key)
        });
        let entry = |key: &String| entries.iter().find(|entry| entry.key == *key);
        let change = |(key, _): &(String, u128)| {
            let value = entry(key).map_or("", |entry| &entry.value);
            ConfigChange {
                key: key.clone(),
                from: Some(value.to_owned()),
                to: Some(format!("{value} (another content, not shown)").trim_start().to_owned()),
                origin: entry(key).map(|entry| entry.origin.to_string()),
                class: entry(key).map_or("live", |entry| entry.class.as_str()).to_owned(),
            }
        };
        changed.map(change).collect()
    }
}

fn digest(text: &str) -> u128 {
    xxh3_128(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changed_is_named_and_not_shown() {
        let hidden = |pairs: &[(&str, &str)]| {
            Hidden(pairs.iter().map(|(key, text)| ((*key).to_owned(), digest(text))).collect())
        };
        let before = hidden(&[("a", "hunter1"), ("b", "same"), ("gone", "x"), ("seen", "1")]);
        let now = hidden(&[("a", "hunter2"), ("b", "same"), ("new", "y"), ("seen", "2")]);
        let seen = ConfigChange {
            key: "seen".into(),
            from: None,
            to: None,
            origin: None,
            class: "live".into(),
        };
        let found = now.changes(&before, &[seen], &[]);
        let keys: Vec<_> = found.iter().map(|change| &*change.key).collect();
        assert_eq!(keys, ["a"]);
        assert!(!format!("{found:?}").contains("hunter"), "{found:?}");
        assert!(now.changes(&now, &[], &[]).is_empty());
    }
}
