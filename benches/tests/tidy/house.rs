//! Reads the workspace once: its crates, what each depends on, and its files.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::LazyLock,
};

use serde_json::Value;

/// How a dependency is declared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Normal,
    Dev,
    Build,
}

/// One crate of ours.
#[derive(Debug)]
pub(super) struct Package {
    pub(super) name: String,
    /// Relative to the root, `edge/cache`.
    pub(super) path: PathBuf,
    pub(super) direct: BTreeSet<(String, Kind)>,
}

/// The workspace.
#[derive(Debug)]
pub(super) struct House {
    pub(super) root: PathBuf,
    pub(super) packages: Vec<Package>,
    /// Name and version of everything that is built, and what it needs for that.
    resolved: BTreeMap<String, Resolved>,
}

#[derive(Debug)]
struct Resolved {
    name: String,
    needs: Vec<String>,
}

/// Read once for all tests.
pub(super) static HOUSE: LazyLock<House> = LazyLock::new(House::read);

impl House {
    fn read() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("benches has a parent");
        let output = Command::new(env!("CARGO"))
            .args(["metadata", "--format-version", "1", "--locked", "--offline"])
            // What other platforms would link is no concern of ours.
            .args(["--filter-platform", "x86_64-unknown-linux-gnu"])
            .current_dir(root)
            .output()
            .expect("cargo runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "cargo metadata: {said}");
        let all: Value = serde_json::from_slice(&output.stdout).expect("cargo writes JSON");
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        let list = |value: &Value| value.as_array().expect("a list").clone();
        let members: BTreeSet<String> = list(&all["workspace_members"]).iter().map(text).collect();
        let mut names = BTreeMap::new();
        let mut packages = Vec::new();
        for package in list(&all["packages"]) {
            let id = text(&package["id"]);
            names.insert(id.clone(), text(&package["name"]));
            if !members.contains(&id) {
                continue;
            }
            let manifest = PathBuf::from(text(&package["manifest_path"]));
            let path = manifest.parent().expect("a manifest is in a directory");
            let direct = list(&package["dependencies"]).into_iter().map(|dependency| {
                let kind = match dependency["kind"].as_str() {
                    Some("dev") => Kind::Dev,
                    Some("build") => Kind::Build,
                    _ => Kind::Normal,
                };
                (text(&dependency["name"]), kind)
            });
            packages.push(Package {
                name: text(&package["name"]),
                path: path.strip_prefix(root).expect("members are below the root").to_owned(),
                direct: direct.collect(),
            });
        }
        let resolved = list(&all["resolve"]["nodes"]).into_iter().map(|node| {
            let needs = list(&node["deps"]).into_iter().filter(|dependency| {
                list(&dependency["dep_kinds"]).iter().any(|kind| kind["kind"].is_null())
            });
            let id = text(&node["id"]);
            let needs = needs.map(|dependency| text(&dependency["pkg"])).collect();
            (id.clone(), Resolved { name: names[&id].clone(), needs })
        });
        let resolved = resolved.collect();
        Self { root: root.to_owned(), packages, resolved }
    }

    /// Names of everything that is linked into `package`.
    pub(super) fn closure(&self, package: &str) -> BTreeSet<String> {
        let mut open: Vec<&str> = self.ids(package);
        let mut seen = BTreeSet::new();
        while let Some(id) = open.pop() {
            if seen.insert(id) {
                open.extend(self.resolved[id].needs.iter().map(String::as_str));
            }
        }
        seen.into_iter().map(|id| self.resolved[id].name.clone()).collect()
    }

    /// Every version of a crate that is built.
    pub(super) fn ids(&self, package: &str) -> Vec<&str> {
        let all = self.resolved.iter().filter(|(_, resolved)| resolved.name == package);
        all.map(|(id, _)| id.as_str()).collect()
    }

    /// Files with this extension, by the crate that holds them.
    pub(super) fn files(&self, extension: &str) -> Vec<(&Package, PathBuf)> {
        let mut found = Vec::new();
        for package in &self.packages {
            let inner: Vec<PathBuf> =
                self.packages.iter().map(|p| self.root.join(&p.path)).collect();
            let mut open = vec![self.root.join(&package.path)];
            while let Some(directory) = open.pop() {
                for entry in fs::read_dir(&directory).expect("directories can be read") {
                    let path = entry.expect("entries can be read").path();
                    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                    let skip = name.starts_with('.') || matches!(&*name, "target" | "node_modules");
                    if path.is_dir() && !skip && !inner.contains(&path) {
                        open.push(path);
                    } else if path.extension().is_some_and(|known| known == extension) {
                        found.push((package, path));
                    }
                }
            }
        }
        found
    }
}
