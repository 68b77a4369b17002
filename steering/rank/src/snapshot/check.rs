//! What a snapshot must be before anything is ranked by it.

use std::collections::HashSet;

use super::{
    FAULTS_MAX, Intent, NAME_MAX, NODES_MAX, Node, ORDER_MAX, RULES_MAX, Rules, SCHEMA, SHARE,
    SITES_MAX, Snapshot,
};

/// Longest base URL, bytes.
const BASE_MAX: usize = 300;
/// Longest time in the rules.
const TIME_MAX: u64 = 7 * 86_400_000;

/// Why a snapshot is not used. The last good one stays.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// Written by another version.
    #[error("its schema is {found}, this program reads {SCHEMA}: upgrade the older of the two")]
    Schema {
        /// What it says.
        found: u32,
    },
    /// Longer than anything real.
    #[error("it has {found} {what}, at most {most} are taken")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// So many.
        found: usize,
        /// And no more.
        most: usize,
    },
    /// A name that would not do in logs, URLs and files.
    #[error("{what} `{name}`: a name is 1 to {NAME_MAX} of a-z, 0-9, `-`, `_` and `.`")]
    Name {
        /// Of what.
        what: &'static str,
        /// The name, cut.
        name: String,
    },
    /// Two of one name.
    #[error("{what} `{name}` is there twice")]
    Twice {
        /// Of what.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// A name that is not there.
    #[error("{by} names the site `{site}`, which the snapshot does not have")]
    NoSite {
        /// Who.
        by: String,
        /// The name.
        site: String,
    },
    /// A value out of its range.
    #[error("{what}: {found} is not within {range}")]
    Range {
        /// Whose.
        what: String,
        /// What it is.
        found: u64,
        /// What it may be.
        range: &'static str,
    },
    /// A base that players could not use.
    #[error("node `{node}`: base `{base}` is no http(s) origin without path")]
    Base {
        /// The node.
        node: String,
        /// Its base, cut.
        base: String,
    },
    /// A set that is not kept as it has to be.
    #[error("node `{node}`: what it holds is too long or not in order")]
    Holdings {
        /// The node.
        node: String,
    },
    /// Prefixes of another map.
    #[error("it belongs to the prefixes {wanted:016x}, and those at hand are {found:016x}")]
    Routes {
        /// What the snapshot was made with.
        wanted: u64,
        /// What is there.
        found: u64,
    },
}

fn cut(text: &str) -> String {
    text.chars().take(NAME_MAX).collect()
}

/// Whether `text` may name a site, a node, a domain or a service.
pub(crate) fn is_name(text: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    (1..=NAME_MAX).contains(&text.len())
        && text.bytes().all(|byte| letter(byte) || matches!(byte, b'-' | b'_' | b'.'))
}

fn name(what: &'static str, text: &str) -> Result<(), SnapshotError> {
    if is_name(text) { Ok(()) } else { Err(SnapshotError::Name { what, name: cut(text) }) }
}

fn few(what: &'static str, found: usize, most: usize) -> Result<(), SnapshotError> {
    if found <= most { Ok(()) } else { Err(SnapshotError::TooMany { what, found, most }) }
}

impl Snapshot {
    /// Every bound and every name; the first mistake that is found.
    pub fn check(&self) -> Result<(), SnapshotError> {
        if self.schema != SCHEMA {
            return Err(SnapshotError::Schema { found: self.schema });
        }
        few("sites", self.sites.len(), SITES_MAX)?;
        few("nodes", self.nodes.len(), NODES_MAX)?;
        few("rules for networks", self.asns.len(), RULES_MAX)?;
        few("rules for countries", self.countries.len(), RULES_MAX)?;
        few("hot titles", self.hot.len(), RULES_MAX)?;
        self.rules.check()?;
        let mut sites = HashSet::with_capacity(self.sites.len());
        for site in &self.sites {
            name("site", &site.name)?;
            few("services of a site", site.services.len(), ORDER_MAX)?;
            few("countries of a site", site.countries.len(), 1000)?;
            site.services.iter().try_for_each(|service| name("service", service))?;
            if !sites.insert(&*site.name) {
                return Err(SnapshotError::Twice { what: "site", name: site.name.clone() });
            }
            if site.place.is_some_and(|place| !place.is_on_earth()) {
                let what = format!("the place of site `{}`", site.name);
                return Err(SnapshotError::Range { what, found: 0, range: "the Earth" });
            }
        }
        let mut nodes = HashSet::with_capacity(self.nodes.len());
        for node in &self.nodes {
            node.check()?;
            if !nodes.insert(&*node.name) {
                return Err(SnapshotError::Twice { what: "node", name: node.name.clone() });
            }
            known(&sites, std::slice::from_ref(&node.site), || format!("node `{}`", node.name))?;
        }
        few("sites in the default order", self.default_order.len(), SITES_MAX)?;
        known(&sites, &self.default_order, || "the default order".to_owned())?;
        for rule in &self.asns {
            few("sites of a network", rule.sites.len(), ORDER_MAX)?;
            known(&sites, &rule.sites, || format!("the rule for AS{}", rule.asn))?;
        }
        for rule in &self.countries {
            few("sites of a country", rule.sites.len(), ORDER_MAX)?;
            known(&sites, &rule.sites, || format!("the rule for {}", rule.country))?;
        }
        Ok(())
    }
}

fn known(
    sites: &HashSet<&str>,
    wanted: &[String],
    by: impl Fn() -> String,
) -> Result<(), SnapshotError> {
    match wanted.iter().find(|site| !sites.contains(&***site)) {
        None => Ok(()),
        Some(site) => Err(SnapshotError::NoSite { by: by(), site: cut(site) }),
    }
}

impl Rules {
    fn check(&self) -> Result<(), SnapshotError> {
        let within = |what: &str, found: u64, fits: bool, range: &'static str| {
            let what = format!("rules.{what}");
            if fits { Ok(()) } else { Err(SnapshotError::Range { what, found, range }) }
        };
        let shares = [
            ("knee", self.knee),
            ("leave_below", self.leave_below),
            ("return_above", self.return_above),
            ("panic_below", self.panic_below),
        ];
        for (what, share) in shares {
            within(what, share.into(), share <= SHARE, "0 to 10000")?;
        }
        let over = self.overprovision;
        within("overprovision", over.into(), over >= SHARE, "10000 and more")?;
        let above = self.return_above > self.leave_below;
        within("return_above", self.return_above.into(), above, "more than leave_below")?;
        for (what, samples) in
            [("leave_samples", self.leave_samples), ("return_samples", self.return_samples)]
        {
            within(what, samples.into(), (1..=60).contains(&samples), "1 to 60")?;
        }
        within("observers", self.observers.into(), self.observers > 0, "1 and more")?;
        let times = [
            ("return_after_ms", self.return_after_ms),
            ("ramp_ms", self.ramp_ms),
            ("relapse_within_ms", self.relapse_within_ms),
            ("relapse_dwell_ms", self.relapse_dwell_ms),
            ("dwell_max_ms", self.dwell_max_ms),
            ("forget_after_ms", self.forget_after_ms),
            ("suspect_after_ms", self.suspect_after_ms),
            ("silent_after_ms", self.silent_after_ms),
            ("stale_after_ms", self.stale_after_ms),
        ];
        for (what, time) in times {
            within(what, time, time <= TIME_MAX, "0 to a week")?;
        }
        Ok(())
    }
}

impl Node {
    fn check(&self) -> Result<(), SnapshotError> {
        name("node", &self.name)?;
        name("domain", self.domain.as_deref().unwrap_or("own"))?;
        few("faults of a node", self.health.faults.len(), FAULTS_MAX)?;
        self.health.faults.iter().try_for_each(|fault| name("fault", fault))?;
        let rest = self.base.strip_prefix("https://").or(self.base.strip_prefix("http://"));
        let host = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte);
        let good = self.base.len() <= BASE_MAX
            && rest.is_some_and(|rest| !rest.is_empty() && rest.bytes().all(host));
        if !good {
            return Err(SnapshotError::Base { node: self.name.clone(), base: cut(&self.base) });
        }
        if self.health.spare > SHARE {
            let what = format!("spare share of node `{}`", self.name);
            let found = self.health.spare.into();
            return Err(SnapshotError::Range { what, found, range: "0 to 10000" });
        }
        if self.health.holdings.as_ref().is_some_and(|held| !held.is_bounded()) {
            return Err(SnapshotError::Holdings { node: self.name.clone() });
        }
        Ok(())
    }

    /// Whether an operator took it out.
    pub fn is_wanted(&self) -> bool {
        self.intent == Intent::Serving
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{fleet_of, routes_none};

    fn check(change: impl FnOnce(&mut Snapshot), expected: &str) {
        let mut snapshot = fleet_of(2, 2, &routes_none());
        snapshot.check().unwrap();
        change(&mut snapshot);
        let said = snapshot.check().unwrap_err().to_string();
        assert!(said.contains(expected), "{said}");
    }

    #[test]
    fn what_is_no_snapshot_is_refused_with_its_reason() {
        check(|it| it.schema = 2, "its schema is 2, this program reads 1");
        check(|it| it.nodes[0].site = "else".into(), "names the site `else`");
        check(|it| it.nodes[0].name = it.nodes[1].name.clone(), "is there twice");
        check(|it| it.sites[1].name = it.sites[0].name.clone(), "is there twice");
        check(|it| it.sites[0].name = "Lima 1".into(), "site `Lima 1`: a name is");
        check(|it| it.nodes[0].base = "https://h/path".into(), "no http(s) origin");
        check(|it| it.nodes[0].health.spare = 10_001, "10001 is not within 0 to 10000");
        check(|it| it.rules.return_above = 100, "rules.return_above: 100 is not within");
        check(|it| it.rules.ramp_ms = u64::MAX, "rules.ramp_ms");
        check(|it| it.default_order.push("else".into()), "the default order names");
        check(
            |it| it.asns.push(crate::AsnRule { asn: 7, sites: vec!["else".into()] }),
            "the rule for AS7 names",
        );
        check(
            |it| it.sites = vec![it.sites[0].clone(); SITES_MAX + 1],
            "5001 sites, at most 5000 are taken",
        );
    }

    #[test]
    fn unknown_fields_are_refused() {
        let snapshot = fleet_of(1, 1, &routes_none());
        let text = serde_json::to_string(&snapshot).unwrap();
        assert_eq!(serde_json::from_str::<Snapshot>(&text).unwrap(), snapshot);
        let text = text.replacen("{\"schema\"", "{\"colour\":1,\"schema\"", 1);
        assert!(serde_json::from_str::<Snapshot>(&text).is_err());
    }
}
