//! What [`Disks`](super::Disks) needs of one disk: to look at it, to make it ours, to open
//! its store and to find out whether it works. [`Folder`](super::Folder) is the real one.

use std::{fmt, io, path::Path, sync::Arc};

use futures::future::BoxFuture;

use super::{
    claim::{Inspection, Label},
    rule::Space,
};
use crate::store::ChunkStore;

/// Why a store cannot be opened, with its causes, in one line.
pub type OpenFailure = String;

/// One disk. Calls may take for ever on a broken one: whoever asks has a deadline.
pub trait Drive: Send + Sync + fmt::Debug + 'static {
    /// Its folder, as the configuration writes it.
    fn path(&self) -> &Path;
    /// What is in its folder. Changes nothing.
    fn inspect(&self) -> BoxFuture<'static, io::Result<Inspection>>;
    /// Makes it this node's: takes its lock, writes its marker where it differs, and empties
    /// it where it shall be fresh.
    fn take(&self, label: Label, fresh: bool) -> BoxFuture<'static, io::Result<()>>;
    /// Lets go of what `take` holds.
    fn release(&self);
    /// Opens its store.
    fn open(&self) -> BoxFuture<'static, Result<Arc<dyn ChunkStore>, OpenFailure>>;
    /// Whether its folder still is where it was. Costs no read of the device.
    fn there(&self) -> BoxFuture<'static, io::Result<()>>;
    /// Reads and writes a little, past every cache.
    fn probe(&self, id: super::DiskId) -> BoxFuture<'static, io::Result<Space>>;
}
