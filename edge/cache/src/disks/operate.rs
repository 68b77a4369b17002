//! What operators see of disks, and do to them.

use std::{
    path::PathBuf,
    sync::{Arc, atomic::Ordering},
};

use tokio::time::timeout;

use super::{
    CLOSE, Cause, Disks, Inner, LOOK, Offline, Wear,
    member::{Member, Seat},
    rendezvous::DiskId,
    rule::Space,
};
use crate::store::StoreStats;

/// Whether a disk is in use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DiskState {
    /// Its store is being opened.
    Opening,
    /// Read and written.
    Online,
    /// Read only: its file system has no room.
    Full,
    /// Not in use.
    Offline(Offline),
}

/// One disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiskView {
    /// None until its folder could be read once.
    pub id: Option<DiskId>,
    /// Its folder, as the configuration writes it.
    pub path: PathBuf,
    /// Whether it is in use.
    pub state: DiskState,
    /// Counters since the start of the process; capacity as configured.
    pub stats: StoreStats,
    /// Reads given up because they took too long.
    pub overdue: u64,
    /// Its file system, as the last probe found it.
    pub space: Option<Space>,
    /// What was written to it, over restarts.
    pub wear: Wear,
}

/// Why nothing was done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OperateError {
    /// It is what it should become.
    #[error("disk {path} is {state} already")]
    Already {
        /// Which.
        path: String,
        /// What it is.
        state: &'static str,
    },
    /// Somebody else opens or closes it.
    #[error("disk {path} is being opened or closed; try again in a moment")]
    Acting {
        /// Which.
        path: String,
    },
    /// Its old store does not close: calls hang in the kernel.
    #[error("disk {path} does not let go: calls to it hang; take it out, or restart the node")]
    Hangs {
        /// Which.
        path: String,
    },
    /// It was tried.
    #[error("disk {path} cannot be used ({cause}): {what}")]
    Fails {
        /// Which.
        path: String,
        /// Why.
        cause: Cause,
        /// For people.
        what: String,
    },
}

impl Disks {
    /// How often the watch has looked at all disks, ten times a second at least. It gives up a
    /// disk that hangs and waits for none: where it does not go on, nobody guards the disks.
    pub fn looks(&self) -> u64 {
        self.inner.looks.load(Ordering::Relaxed)
    }

    /// All disks, in the order of the configuration.
    pub fn views(&self) -> Vec<DiskView> {
        self.inner.members.iter().map(view).collect()
    }

    /// Places in [`Disks::views`] of the disks that are called so: by folder, by the folder's
    /// last name, or by identity (four digits at least).
    pub fn named(&self, name: &str) -> Vec<usize> {
        let by = |matches: &dyn Fn(&Member) -> bool| -> Vec<usize> {
            let members = self.inner.members.iter().enumerate();
            members.filter(|(_, member)| matches(member)).map(|(index, _)| index).collect()
        };
        let path = by(&|member| member.drive.path().as_os_str() == name);
        if !path.is_empty() {
            return path;
        }
        let last = by(&|member| member.drive.path().file_name().is_some_and(|last| last == name));
        if !last.is_empty() || name.len() < 4 {
            return last;
        }
        by(&|member| member.id().is_some_and(|id| id.to_string().starts_with(name)))
    }

    /// Why it is forgotten at a restart which disks are offline; none where that is written
    /// down.
    pub fn unkept(&self) -> Option<String> {
        self.inner.unkept.lock().clone()
    }

    /// Takes a disk out of use until somebody says otherwise, over restarts too where it can be
    /// written down (see [`Disks::unkept`]).
    pub async fn offline(&self, index: usize) -> Result<DiskView, OperateError> {
        let inner = &self.inner;
        let member = &inner.members[index];
        let _acting = acting(member)?;
        if let Seat::Offline(Offline { cause: Cause::Operator, .. }) = member.seat() {
            return Err(OperateError::Already { path: shown(member), state: "offline" });
        }
        let offline = Offline {
            cause: Cause::Operator,
            what: "taken offline by an operator".into(),
            since_unix_ms: inner.clock.unix_millis(),
        };
        inner.take_offline(index, None, offline);
        inner.saved().await;
        Ok(view(member))
    }

    /// Takes a disk into use again, whatever it was offline for. It comes back with what it
    /// held, or empty where nobody knows what was removed meanwhile.
    pub async fn online(&self, index: usize) -> Result<DiskView, OperateError> {
        let member = &self.inner.members[index];
        if member.live().is_some() {
            return Err(OperateError::Already { path: shown(member), state: "online" });
        }
        {
            let _acting = acting(member)?;
            member.opens();
            self.closed(index).await?;
            member.pardoned.store(true, Ordering::Relaxed);
        }
        self.inner.start(index).await;
        self.inner.saved().await;
        done(member)
    }

    /// Takes a disk out of use, forgets what it held, and begins anew with what is in its
    /// folder's place now. What was written to it is forgotten where that is another device.
    pub async fn replace(&self, index: usize) -> Result<DiskView, OperateError> {
        let inner = &self.inner;
        let member = &inner.members[index];
        let _acting = acting(member)?;
        let now = inner.clock.unix_millis();
        let what = "it is being replaced".into();
        let offline = Offline { cause: Cause::Operator, what, since_unix_ms: now };
        inner.take_offline(index, None, offline);
        member.opens();
        self.closed(index).await?;
        member.pardoned.store(true, Ordering::Relaxed);
        // Its place in the hash space stays: no other disk's chunks move.
        let known = member.id();
        let id = known.unwrap_or_else(|| DiskId((inner.config.draw)()));
        let inspected = timeout(LOOK, member.drive.inspect()).await;
        let same = match inspected {
            Ok(Ok(found)) => known.is_some_and(|id| found.is_of(id, &inner.config.node)),
            // It cannot be read: what it is will be asked when it can be.
            Ok(Err(_)) | Err(_) => known.is_some(),
        };
        let wear = if same { member.wear() } else { Wear::new(now) };
        member.forget(id, wear);
        if let Err((cause, what)) = inner.use_it(index, id, true).await {
            inner.leave(index, cause, what);
        }
        inner.saved().await;
        done(member)
    }

    /// Waits until the store that was taken offline has let go of the disk.
    async fn closed(&self, index: usize) -> Result<(), OperateError> {
        let member = &self.inner.members[index];
        let closing = member.closing.lock().clone();
        let Some(closing) = closing else { return Ok(()) };
        if timeout(CLOSE, closing).await.is_ok() {
            return Ok(());
        }
        self.inner.leave(index, Cause::Slow, "calls to it hang and do not end".into());
        Err(OperateError::Hangs { path: shown(member) })
    }
}

impl Inner {
    /// Writes the register and waits for that.
    async fn saved(self: &Arc<Self>) {
        let inner = Arc::clone(self);
        drop(self.handle.spawn_blocking(move || inner.save_now()).await);
    }
}

fn acting(member: &Member) -> Result<tokio::sync::MutexGuard<'_, ()>, OperateError> {
    member.acting.try_lock().map_err(|_| OperateError::Acting { path: shown(member) })
}

fn done(member: &Member) -> Result<DiskView, OperateError> {
    let view = view(member);
    match &view.state {
        DiskState::Offline(Offline { cause, what, .. }) => {
            Err(OperateError::Fails { path: shown(member), cause: *cause, what: what.clone() })
        }
        _ => Ok(view),
    }
}

fn shown(member: &Member) -> String {
    member.drive.path().display().to_string()
}

fn view(member: &Member) -> DiskView {
    let state = match member.seat() {
        Seat::Opening => DiskState::Opening,
        Seat::Online(live) if live.full.load(Ordering::Relaxed) => DiskState::Full,
        Seat::Online(_) => DiskState::Online,
        Seat::Offline(offline) => DiskState::Offline(offline),
    };
    DiskView {
        id: member.id(),
        path: member.drive.path().to_owned(),
        state,
        stats: member.stats(),
        overdue: member.overdue.load(Ordering::Relaxed),
        space: *member.space.lock(),
        wear: member.wear(),
    }
}
