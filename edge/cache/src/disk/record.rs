//! A chunk as foyer writes it: its checksums beside its bytes. The key goes in front, whole:
//! foyer finds records by a 64-bit hash of it.

use std::{
    io::{Read, Write},
    sync::Arc,
};

use bytes::Bytes;
use foyer::{Code, Error, ErrorKind};

use crate::chunk::{CHUNK_SIZE, Chunk, ChunkKey, GRAIN, ObjectId};

const KEY_BYTES: usize = 16 + 8 + 4;

impl Code for ChunkKey {
    fn encode(&self, writer: &mut impl Write) -> foyer::Result<()> {
        let mut bytes = [0; KEY_BYTES];
        bytes[..16].copy_from_slice(&self.object.0.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.generation.to_le_bytes());
        bytes[24..].copy_from_slice(&self.index.to_le_bytes());
        writer.write_all(&bytes).map_err(Error::io_error)
    }

    fn decode(reader: &mut impl Read) -> foyer::Result<Self> {
        Ok(Self {
            object: ObjectId(u128::from_le_bytes(take(reader)?)),
            generation: u64::from_le_bytes(take(reader)?),
            index: u32::from_le_bytes(take(reader)?),
        })
    }

    fn estimated_size(&self) -> usize {
        KEY_BYTES
    }
}

/// What a record holds, not yet verified. Length, sums, bytes.
#[derive(Debug, Clone)]
pub(super) struct Stored {
    data: Bytes,
    sums: Arc<[u32]>,
}

impl Stored {
    pub(super) fn verified(self) -> Option<Chunk> {
        Chunk::verified(self.data, self.sums)
    }
}

impl From<&Chunk> for Stored {
    fn from(chunk: &Chunk) -> Self {
        Self { data: chunk.data().clone(), sums: chunk.sums().into() }
    }
}

impl Code for Stored {
    fn encode(&self, writer: &mut impl Write) -> foyer::Result<()> {
        let length = u32::try_from(self.data.len()).unwrap_or(u32::MAX);
        writer.write_all(&length.to_le_bytes()).map_err(Error::io_error)?;
        for sum in self.sums.iter() {
            writer.write_all(&sum.to_le_bytes()).map_err(Error::io_error)?;
        }
        writer.write_all(&self.data).map_err(Error::io_error)
    }

    fn decode(reader: &mut impl Read) -> foyer::Result<Self> {
        let length = u32::from_le_bytes(take(reader)?) as usize;
        if length == 0 || length > CHUNK_SIZE {
            return Err(rotten());
        }
        let mut sums = Vec::with_capacity(length.div_ceil(GRAIN));
        for _ in 0..length.div_ceil(GRAIN) {
            sums.push(u32::from_le_bytes(take(reader)?));
        }
        let mut data = Vec::with_capacity(length);
        // `take` and `read_to_end` fill the allocation without zeroing it first.
        let got = reader.take(length as u64).read_to_end(&mut data).map_err(Error::io_error)?;
        if got != length {
            return Err(rotten());
        }
        Ok(Self { data: data.into(), sums: sums.into() })
    }

    fn estimated_size(&self) -> usize {
        4 + 4 * self.sums.len() + self.data.len()
    }
}

fn take<const N: usize>(reader: &mut impl Read) -> foyer::Result<[u8; N]> {
    let mut bytes = [0; N];
    reader.read_exact(&mut bytes).map_err(|_| rotten())?;
    Ok(bytes)
}

/// Of the kind on which foyer drops the record from its index.
fn rotten() -> Error {
    Error::new(ErrorKind::ChecksumMismatch, "chunk record does not parse")
}
