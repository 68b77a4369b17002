//! A server of Debian's packages: in a folder of its own, on a Unix socket alone, not as root.

use std::{
    fs,
    os::unix::{fs::chown, process::CommandExt},
    path::{Path, PathBuf},
    process::Command,
};

/// `nobody`, for where the test runs as root: PostgreSQL refuses to.
const NOBODY: u32 = 65_534;

pub(crate) struct Server {
    folder: tempfile::TempDir,
    programs: PathBuf,
    root: bool,
}

impl Server {
    /// None where it is not installed.
    pub(crate) fn start() -> Option<Self> {
        let mut versions: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
            .ok()?
            .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
            .filter(|bin| bin.join("initdb").exists() && bin.join("pg_ctl").exists())
            .collect();
        versions.sort();
        let programs = versions.pop()?;
        let folder = tempfile::tempdir().unwrap();
        let root = fs::metadata("/proc/self").is_ok_and(|own| {
            use std::os::unix::fs::MetadataExt;
            own.uid() == 0
        });
        if root {
            chown(folder.path(), Some(NOBODY), Some(NOBODY)).unwrap();
        }
        let server = Self { folder, programs, root };
        let (data, log) = (server.data(), server.folder.path().join("log"));
        server.run("initdb", &["-A", "trust", "-U", "weir", "--no-sync", "-D", text(&data)]);
        let socket = text(server.folder.path()).to_owned();
        let options = format!("-k {socket} -c listen_addresses= -c fsync=off");
        server.run(
            "pg_ctl",
            &["-D", text(&data), "-l", text(&log), "-w", "-t", "60", "-o", &options, "start"],
        );
        Some(server)
    }

    /// The address of a new, empty database.
    pub(crate) fn database(&self, name: &str) -> String {
        let socket = text(self.folder.path()).to_owned();
        self.run("createdb", &["-h", &socket, "-U", "weir", name]);
        let encoded = socket.replace('/', "%2F");
        format!("postgres://weir@localhost/{name}?host={encoded}&sslmode=disable")
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.programs.join(program));
        command.args(arguments).current_dir(self.folder.path()).env("LC_ALL", "C");
        if self.root {
            command.uid(NOBODY).gid(NOBODY);
        }
        command
    }

    fn run(&self, program: &str, arguments: &[&str]) {
        // Files and no pipes: the server that pg_ctl starts would keep a pipe open.
        let said = tempfile::tempfile().unwrap();
        let mut command = self.command(program, arguments);
        command.stdout(said.try_clone().unwrap()).stderr(said.try_clone().unwrap());
        let status = command.status().unwrap();
        let log = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        assert!(status.success(), "{program} {arguments:?}: {status} {log}");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let data = self.data();
        let stop = self.command("pg_ctl", &["-D", text(&data), "-m", "immediate", "-w", "stop"]);
        let mut stop = stop;
        let _ended = stop.stdout(std::process::Stdio::null()).status();
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("temporary folders have plain names")
}
