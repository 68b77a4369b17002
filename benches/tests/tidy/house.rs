//! Reads the workspace once: its crates, what each depends on, and its files.

use std::{
    collections::BTreeSet,
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
}

/// Read once for all tests.
pub(super) static HOUSE: LazyLock<House> = LazyLock::new(House::read);

/// What cargo says.
fn cargo(root: &Path, arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO"))
        .args(arguments)
        .args(["--locked", "--offline"])
        .current_dir(root)
        .output()
        .expect("cargo runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cargo {arguments:?}: {said}");
    String::from_utf8(output.stdout).expect("cargo writes UTF-8")
}

impl House {
    fn read() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("benches has a parent");
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        let list = |value: &Value| value.as_array().expect("a list").clone();
        let all = cargo(root, &["metadata", "--format-version", "1", "--no-deps"]);
        let all: Value = serde_json::from_str(&all).expect("cargo writes JSON");
        let packages = list(&all["packages"]).into_iter().map(|package| {
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
            Package {
                name: text(&package["name"]),
                path: path.strip_prefix(root).expect("members are below the root").to_owned(),
                direct: direct.collect(),
            }
        });
        Self { root: root.to_owned(), packages: packages.collect() }
    }

    /// Names of everything that is linked into `package` when it is built alone. Not from
    /// `cargo metadata`, which also counts what is only named in weak features.
    pub(super) fn closure(&self, package: &str) -> BTreeSet<String> {
        let tree = cargo(
            &self.root,
            &["tree", "-p", package, "-e", "normal,no-proc-macro", "--prefix", "none"],
        );
        let linked: BTreeSet<String> = crates(&tree).map(|(name, _)| name.to_owned()).collect();
        assert!(linked.contains(package), "cargo tree says nothing of {package}");
        linked
    }

    /// Name and version of everything that is built for the workspace and its tests.
    pub(super) fn built(&self) -> BTreeSet<(String, String)> {
        let tree = cargo(&self.root, &["tree", "--workspace", "-e", "all", "--prefix", "none"]);
        crates(&tree).map(|(name, version)| (name.to_owned(), version.to_owned())).collect()
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

/// `name v1.2.3 (*)` on each line; lines of features have no version.
fn crates(tree: &str) -> impl Iterator<Item = (&str, &str)> {
    tree.lines().filter_map(|line| {
        let mut words = line.split(' ');
        let (name, version) = (words.next()?, words.next()?);
        version.strip_prefix('v').map(|version| (name, version))
    })
}
