//! The keys of both servers, declared once: their kinds, defaults, meanings and when a change of
//! them takes effect. The JSON Schema and the tables of docs/configuration.md are made from it,
//! and tests hold it against what the parser asks for.

mod edge;
mod origin;
mod schema;
mod steering;

/// When a changed value is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// From the next lookup on, of requests of running connections, too.
    Live,
    /// By connections that are accepted from then on.
    NewConnections,
    /// When the process starts the next time; a reload says so and keeps what runs.
    Restart,
}

impl Class {
    /// As documents, schema and answers write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::NewConnections => "new-connections",
            Self::Restart => "restart",
        }
    }
}

/// What a key takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A string.
    Text,
    /// A string that names a file or folder; `credential:NAME` is one that systemd passes.
    Path,
    /// A string: number and unit of bytes.
    Size,
    /// A string: number and unit of time.
    Duration,
    /// True or false.
    Boolean,
    /// A whole number, both ends included.
    Integer(u64, u64),
    /// A number from 0 to 1.
    Ratio,
    /// One of a few words.
    Choice(&'static [&'static str]),
    /// A list of strings.
    List,
    /// A table with free keys, strings to strings.
    Map,
    /// `"anonymous"`, `"env"`, `"imds"`, or a table that names a file.
    Credentials,
}

impl Kind {
    /// Whether a variable of the environment holds the text itself rather than TOML.
    pub(crate) fn is_plain_text(self, value: &str) -> bool {
        let quoted = value.starts_with(['"', '\'']);
        match self {
            Self::Boolean | Self::Integer(..) | Self::Ratio | Self::List | Self::Map => false,
            Self::Credentials => !quoted && !value.trim_start().starts_with('{'),
            _ => !quoted,
        }
    }
}

/// One key of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// `cache.disk[].size`: `[]` behind a list of tables.
    pub path: &'static str,
    /// What it takes.
    pub kind: Kind,
    /// The `kind` of upstream that it belongs to; empty: every one.
    pub only: &'static str,
    /// When a changed value is used.
    pub class: Class,
    /// What it takes, for people.
    pub value: &'static str,
    /// `required`, a value as TOML in backticks or bare, or in words.
    pub default: &'static str,
    /// What it means, for people, in Markdown.
    pub about: &'static str,
}

impl Key {
    /// Whether a configuration without it is refused, where its table is there.
    pub fn is_required(&self) -> bool {
        self.default.starts_with("required")
    }

    /// The default as TOML, where it is the same for everybody.
    pub fn literal_default(&self) -> Option<&'static str> {
        let text = self.default.trim_matches('`');
        let literal = (text.starts_with('"') && text.ends_with('"'))
            || text.parse::<f64>().is_ok()
            || matches!(text, "true" | "false");
        literal.then_some(text)
    }

    /// `size` of `cache.disk[].size`.
    pub fn name(&self) -> &'static str {
        self.path.rsplit('.').next().unwrap_or(self.path)
    }

    /// `cache.disk[]` of `cache.disk[].size`.
    pub fn table(&self) -> &'static str {
        self.path.rsplit_once('.').map_or("", |(table, _)| table)
    }
}

/// Whose configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Server {
    /// `edge.toml`
    Edge,
    /// `origin.toml`
    Origin,
    /// `steering.toml`
    Steering,
}

impl Server {
    /// `edge`, `origin` or `steering`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Edge => "edge",
            Self::Origin => "origin",
            Self::Steering => "steering",
        }
    }

    /// What variables of the environment begin with that override its keys.
    pub fn prefix(self) -> &'static str {
        match self {
            Self::Edge => "WEIR_EDGE__",
            Self::Origin => "WEIR_ORIGIN__",
            Self::Steering => "WEIR_STEERING__",
        }
    }

    /// All its keys, in the order of the document.
    pub fn keys(self) -> impl Iterator<Item = &'static Key> + Clone {
        let (one, other, last): (&[Key], &[Key], &[Key]) = match self {
            Self::Edge => (edge::KEYS, edge::served::KEYS, edge::traces::KEYS),
            Self::Origin => (origin::KEYS, &[], &[]),
            Self::Steering => (steering::KEYS, &[], &[]),
        };
        one.iter().chain(other).chain(last)
    }

    /// The key of a path such as `service[film].cors.origins` or `cache.disk[0].size`.
    pub fn key(self, path: &str) -> Option<&'static Key> {
        let mut inside = false;
        let plain: String = path
            .chars()
            .filter(|c| {
                inside = *c == '[' || (inside && *c != ']');
                *c == '[' || !inside
            })
            .collect();
        let mut keys = self.keys();
        keys.clone().find(|key| key.path == plain).or_else(|| {
            keys.find(|key| {
                let rest = plain.strip_prefix(key.path);
                key.kind == Kind::Map && rest.is_some_and(|rest| rest.starts_with('.'))
            })
        })
    }

    /// Its JSON Schema (2020-12).
    pub fn schema(self) -> serde_json::Value {
        schema::schema(self)
    }

    /// The names that a table such as `cache` or `cache.disk[]` knows, `[]` behind lists of
    /// tables.
    pub(crate) fn children(self, table: &str) -> Vec<&'static str> {
        let mut names: Vec<&'static str> = Vec::new();
        for key in self.keys() {
            let rest = match table {
                "" => Some(key.path),
                _ => key.path.strip_prefix(table).and_then(|rest| rest.strip_prefix('.')),
            };
            let name = rest.and_then(|rest| rest.split('.').next());
            names.extend(name.filter(|name| !names.contains(name)));
        }
        names
    }
}
