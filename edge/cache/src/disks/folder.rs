//! A disk as a folder of a file system: its marker, its lock, its probe, and the store below
//! it.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read, Write},
    os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::Arc,
};

use futures::{FutureExt, future::BoxFuture};
use parking_lot::Mutex;
use tokio::runtime::Handle;

use super::{
    DiskId,
    claim::{Inspection, Label, Marker},
    drive::{Drive, OpenFailure},
    rule::Space,
};
use crate::{chunk::crc32c, store::ChunkStore};

const MARKER: &str = "weir-disk";
const MARKER_NEW: &str = "weir-disk.new";
const LOCK: &str = "weir-disk.lock";
const PROBE: &str = "weir-disk.probe";
/// The store's own folder: what is in it is the store's business.
const STORE: &str = "chunks";
const TITLE: &str = "weir disk 1";
/// How stores of the time before markers named their files, beside where the marker is now. The
/// first is the marker they had: without it the others are another program's.
const OLD: [&str; 2] = ["weir-store", "foyer-storage-direct-fs-"];
const OLD_LOCK: &str = "weir-store.lock";
/// What O_DIRECT reads and writes at least, on any device.
const PAGE: usize = 4096;

/// Opens the store of one disk in the folder given.
pub type StoreOpener =
    dyn Fn(PathBuf) -> BoxFuture<'static, Result<Arc<dyn ChunkStore>, OpenFailure>> + Send + Sync;

/// A disk of the configuration.
pub struct Folder {
    at: Arc<At>,
    opener: Arc<StoreOpener>,
    handle: Handle,
}

#[derive(Debug)]
struct At {
    path: PathBuf,
    /// A folder of the file system on which this node keeps its state.
    beside: PathBuf,
    lock: Mutex<Option<File>>,
}

impl Folder {
    /// Nothing is touched yet. `beside` is the folder of the register; `opener` is given a
    /// folder below `path`. File system calls run on blocking threads of `handle`.
    pub fn new(path: PathBuf, beside: PathBuf, opener: Arc<StoreOpener>, handle: Handle) -> Self {
        Self { at: Arc::new(At { path, beside, lock: Mutex::new(None) }), opener, handle }
    }

    fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&At) -> io::Result<T> + Send + 'static,
    ) -> BoxFuture<'static, io::Result<T>> {
        let (at, handle) = (Arc::clone(&self.at), self.handle.clone());
        async move {
            let done = handle.spawn_blocking(move || work(&at)).await;
            done.unwrap_or_else(|_| Err(io::Error::other("the runtime ends")))
        }
        .boxed()
    }
}

impl std::fmt::Debug for Folder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Folder").field("path", &self.at.path).finish_non_exhaustive()
    }
}

impl Drive for Folder {
    fn path(&self) -> &Path {
        &self.at.path
    }

    fn inspect(&self) -> BoxFuture<'static, io::Result<Inspection>> {
        self.blocking(At::inspect)
    }

    fn take(&self, label: Label, fresh: bool) -> BoxFuture<'static, io::Result<()>> {
        self.blocking(move |at| at.take(&label, fresh))
    }

    fn release(&self) {
        *self.at.lock.lock() = None;
    }

    fn open(&self) -> BoxFuture<'static, Result<Arc<dyn ChunkStore>, OpenFailure>> {
        (self.opener)(self.at.path.join(STORE))
    }

    fn there(&self) -> BoxFuture<'static, io::Result<()>> {
        self.blocking(At::there)
    }

    fn probe(&self, id: DiskId) -> BoxFuture<'static, io::Result<Space>> {
        self.blocking(move |at| at.probe(id))
    }
}

impl At {
    fn inspect(&self) -> io::Result<Inspection> {
        let mut found = Inspection {
            marker: marker(&self.path.join(MARKER))?,
            mounted: device(&self.path)? != device(&self.beside)?,
            old_store: false,
            foreign: None,
        };
        let entries = match fs::read_dir(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(found),
            entries => entries?,
        };
        let old = self.path.join(OLD[0]).try_exists()?;
        for entry in entries {
            let name = entry?.file_name();
            let name = name.to_string_lossy();
            let ours = [MARKER, MARKER_NEW, LOCK, PROBE, STORE, "lost+found"].contains(&&*name);
            if name == OLD[0] {
                found.old_store = true;
            } else if !(ours || old && OLD.iter().any(|old| name.starts_with(old))) {
                found.foreign = Some(name.into_owned());
            }
        }
        Ok(found)
    }

    fn take(&self, label: &Label, fresh: bool) -> io::Result<()> {
        fs::create_dir_all(&self.path)?;
        let mut held = self.lock.lock();
        if held.is_none() {
            *held = Some(locked(&self.path.join(LOCK))?);
        }
        drop(held);
        if fresh {
            self.empty()?;
        } else {
            self.convert()?;
        }
        if marker(&self.path.join(MARKER))? != Marker::Found(label.clone()) {
            self.write_marker(label)?;
        }
        self.lay_probe(label.id)
    }

    /// Takes away every store there is or was.
    fn empty(&self) -> io::Result<()> {
        // First, so that a crash in between leaves a disk that is taken for new.
        absent(fs::remove_file(self.path.join(MARKER)))?;
        let store = self.path.join(STORE);
        absent(give_back(&store))?;
        absent(fs::remove_dir_all(store))?;
        for old in self.old_files()? {
            absent(fs::remove_file(self.path.join(old)))?;
        }
        Ok(())
    }

    /// Moves a store of the time before markers to where one is now.
    fn convert(&self) -> io::Result<()> {
        let old = self.old_files()?;
        if old.is_empty() {
            return Ok(());
        }
        if old.iter().any(|name| name == OLD_LOCK) {
            drop(locked(&self.path.join(OLD_LOCK))?);
        }
        let store = self.path.join(STORE);
        fs::create_dir_all(&store)?;
        // The old marker last: what is moved half is moved on at the next start.
        let (last, first): (Vec<_>, Vec<_>) = old.into_iter().partition(|name| name == OLD[0]);
        for name in first.into_iter().chain(last) {
            fs::rename(self.path.join(&name), store.join(&name))?;
        }
        File::open(&store)?.sync_all()
    }

    fn old_files(&self) -> io::Result<Vec<String>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let name = entry?.file_name();
            if let Some(name) = name.to_str()
                && OLD.iter().any(|old| name.starts_with(old))
            {
                found.push(name.to_owned());
            }
        }
        Ok(found)
    }

    fn write_marker(&self, label: &Label) -> io::Result<()> {
        let new = self.path.join(MARKER_NEW);
        let mut file = File::create(&new)?;
        file.write_all(render(label).as_bytes())?;
        file.sync_all()?;
        fs::rename(new, self.path.join(MARKER))?;
        File::open(&self.path)?.sync_all()
    }

    /// Two pages that the file system need not look for space for again.
    fn lay_probe(&self, id: DiskId) -> io::Result<()> {
        let mut page = Page::default();
        page.fill(id);
        let mut file = File::create(self.path.join(PROBE))?;
        file.write_all(page.bytes())?;
        file.write_all(page.bytes())?;
        file.sync_all()
    }

    /// The folder can be there and empty: another one is mounted over it, or none any more.
    fn there(&self) -> io::Result<()> {
        fs::metadata(self.path.join(MARKER))?;
        fs::metadata(self.path.join(STORE))?;
        Ok(())
    }

    /// Opened anew each time: a file system that has shut down fails already here.
    fn probe(&self, id: DiskId) -> io::Result<Space> {
        let path = self.path.join(PROBE);
        let open =
            |flags| OpenOptions::new().read(true).write(true).custom_flags(flags).open(&path);
        let file = match open(libc::O_DIRECT) {
            // tmpfs and some others know no direct access.
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => open(0)?,
            file => file?,
        };
        let (mut page, mut right) = (Page::default(), Page::default());
        right.fill(id);
        file.read_exact_at(page.bytes_mut(), 0)?;
        if page.bytes() != right.bytes() {
            // A device that forgot what it was given, or bytes that rotted. Once more, and it
            // must hold.
            tracing::warn!(path = %path.display(), "the probe of a disk did not verify");
            file.write_all_at(right.bytes(), 0)?;
            file.sync_data()?;
            file.read_exact_at(page.bytes_mut(), 0)?;
            if page.bytes() != right.bytes() {
                return Err(io::Error::other("it does not give back what was written to it"));
            }
        }
        // The second page only: the first one shows what earlier writes became.
        file.write_all_at(right.bytes(), PAGE as u64)?;
        file.sync_data()?;
        self.space()
    }

    fn space(&self) -> io::Result<Space> {
        let system = rustix::fs::statvfs(&self.path)?;
        Ok(Space {
            total_bytes: system.f_blocks.saturating_mul(system.f_frsize),
            free_bytes: system.f_bavail.saturating_mul(system.f_frsize),
            held_bytes: held(&self.path.join(STORE))?,
        })
    }
}

/// A page at an address that O_DIRECT takes.
struct Page(Vec<u8>);

impl Default for Page {
    fn default() -> Self {
        Self(vec![0; 2 * PAGE])
    }
}

impl Page {
    fn start(&self) -> usize {
        self.0.as_ptr().align_offset(PAGE).min(PAGE)
    }

    fn bytes(&self) -> &[u8] {
        &self.0[self.start()..][..PAGE]
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        let start = self.start();
        &mut self.0[start..][..PAGE]
    }

    fn fill(&mut self, id: DiskId) {
        let line = format!("weir probe of disk {id}\n");
        for (byte, with) in self.bytes_mut().iter_mut().zip(line.bytes().cycle()) {
            *byte = with;
        }
    }
}

/// Device of a path, or of what is there of the path to it.
pub(super) fn device(path: &Path) -> io::Result<u64> {
    let mut path = path;
    loop {
        match fs::metadata(if path.as_os_str().is_empty() { Path::new(".") } else { path }) {
            Ok(found) => return Ok(found.dev()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let Some(parent) = path.parent() else {
            return Err(io::Error::from(io::ErrorKind::NotFound));
        };
        path = parent;
    }
}

/// Bytes that files in a folder take, holes left out. A store renames its files while it lives:
/// what is away between the list and the look is not missing.
fn held(folder: &Path) -> io::Result<u64> {
    let mut sum = 0;
    for entry in fs::read_dir(folder)? {
        match entry?.metadata() {
            // 512 whatever the file system's block is: stat(2).
            Ok(about) => sum += about.blocks() * 512,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(sum)
}

/// Takes the room from the files of a store that is about to go. A file that is still open
/// somewhere keeps all of it when only its name is taken away, and the next store, which takes
/// its room at once, would find none.
fn give_back(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            absent(OpenOptions::new().write(true).truncate(true).open(entry.path()).map(drop))?;
        }
    }
    Ok(())
}

fn locked(path: &Path) -> io::Result<File> {
    let file = File::create(path)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(io::Error::other("another process uses it")),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

fn absent(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

fn render(label: &Label) -> String {
    let text = format!("{TITLE}\nid = {}\nnode = {}\n", label.id, label.node);
    format!("{text}crc = {:08x}\n", crc32c(text.as_bytes()))
}

fn marker(path: &Path) -> io::Result<Marker> {
    let mut text = Vec::new();
    match File::open(path) {
        Ok(file) => file.take(4096).read_to_end(&mut text)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Marker::Missing),
        Err(error) => return Err(error),
    };
    let label = std::str::from_utf8(&text).ok().and_then(parse);
    Ok(label.map_or(Marker::Damaged, Marker::Found))
}

fn parse(text: &str) -> Option<Label> {
    let mut lines = text.lines();
    if lines.next()? != TITLE {
        return None;
    }
    let id = DiskId::parse(lines.next()?.strip_prefix("id = ")?)?;
    let node = lines.next()?.strip_prefix("node = ")?.to_owned();
    let label = Label { id, node };
    (render(&label) == text).then_some(label)
}

#[cfg(test)]
mod tests;
