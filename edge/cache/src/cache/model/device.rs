//! A disk under the state file that knows what would be left of it after a crash.

use std::{io, sync::Arc};

use parking_lot::Mutex;

/// Shared by all who hold a clone.
#[derive(Debug, Clone, Default)]
pub(super) struct Device(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    /// As a reader sees it.
    now: Vec<u8>,
    /// As it was at the last sync.
    synced: Vec<u8>,
    /// Writes since.
    since: Vec<(usize, Vec<u8>)>,
    full: bool,
}

impl Device {
    /// What a crash leaves: what was synced, and of the writes since any that `torn` chooses.
    pub(super) fn crashed(&self, mut torn: u64) -> Self {
        let inner = self.0.lock();
        let mut left = inner.synced.clone();
        left.resize(inner.now.len().max(left.len()), 0);
        for (offset, data) in &inner.since {
            torn = torn.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(31) ^ 1;
            if torn & 2 == 0 {
                left[*offset..offset + data.len()].copy_from_slice(data);
            }
        }
        let full = inner.full;
        let inner = Inner { now: left.clone(), synced: left, since: Vec::new(), full };
        Self(Arc::new(Mutex::new(inner)))
    }

    pub(super) fn set_full(&self, full: bool) {
        self.0.lock().full = full;
    }

    pub(super) fn is_full(&self) -> bool {
        self.0.lock().full
    }
}

impl redb::StorageBackend for Device {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.lock().now.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let offset = usize::try_from(offset).expect("a small disk");
        let inner = self.0.lock();
        let data = inner.now.get(offset..offset + out.len());
        out.copy_from_slice(data.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut inner = self.0.lock();
        let len = usize::try_from(len).expect("a small disk");
        inner.now.resize(len, 0);
        inner.since.retain(|(offset, data)| offset + data.len() <= len);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut inner = self.0.lock();
        if inner.full {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let Inner { now, synced, since, .. } = &mut *inner;
        synced.resize(now.len(), 0);
        for (offset, data) in since.drain(..) {
            synced[offset..offset + data.len()].copy_from_slice(&data);
        }
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut inner = self.0.lock();
        if inner.full {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let offset = usize::try_from(offset).expect("a small disk");
        inner.now[offset..offset + data.len()].copy_from_slice(data);
        inner.since.push((offset, data.to_vec()));
        Ok(())
    }
}
