//! An encoder's stream becomes segment files.
//!
//! Pictures: the encoder makes one fragment a GOP, and whole fragments are gathered until a
//! segment of the plan is full. Sound: samples are gathered up to the AAC frame nearest to
//! where the picture is cut, and written as a fragment of our own.

use std::{
    collections::VecDeque,
    fs,
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};
use weir_origin_media::{
    Plan, Rendition, RenditionKind, SegmentFacts,
    fmp4::{BoxHeader, Fragment, Init, Mp4Error, Sample, Track, segment, starts_with_idr},
    grid::audio_cut,
    key,
};

use super::error::PackageError;

/// The largest box taken from an encoder: several times a GOP at the ladder's highest rate.
const LARGEST_BOX: u64 = 256 << 20;

/// A file that will be an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece {
    /// Below the version's prefix.
    pub(super) path: String,
    /// Bytes.
    pub(super) size: u64,
    /// Of the bytes as they were written.
    pub(super) sha256: [u8; 32],
    /// Sound, not picture.
    pub(super) audio: bool,
}

/// Cuts one rendition.
#[derive(Debug)]
pub(super) struct Cutter {
    root: PathBuf,
    rendition: String,
    language: Option<String>,
    plan: Plan,
    buffer: Vec<u8>,
    ftyp: Vec<u8>,
    init: Option<Init>,
    moof: Option<Vec<u8>>,
    pieces: Vec<Piece>,
    facts: Vec<SegmentFacts>,
    pending: Pending,
}

/// What is gathered and not yet a segment.
#[derive(Debug, Default)]
struct Pending {
    /// Pictures: fragments as they came.
    bytes: Vec<u8>,
    facts: Option<SegmentFacts>,
    /// Sound: samples and their bytes, and how many are written.
    samples: VecDeque<(Sample, Vec<u8>)>,
    primed: bool,
    written: u64,
    ticks: u64,
}

impl Cutter {
    /// Files go to `root/<rendition>/`.
    pub(super) fn new(
        root: &Path,
        rendition: &str,
        plan: &Plan,
        language: Option<String>,
    ) -> Result<Self, PackageError> {
        let folder = root.join(rendition);
        fs::create_dir(&folder).map_err(PackageError::io("make", folder))?;
        Ok(Self {
            root: root.into(),
            rendition: rendition.into(),
            language,
            plan: plan.clone(),
            buffer: Vec::new(),
            ftyp: Vec::new(),
            init: None,
            moof: None,
            pieces: Vec::new(),
            facts: Vec::new(),
            pending: Pending::default(),
        })
    }

    /// Takes the next bytes of the encoder's output.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Result<(), PackageError> {
        self.buffer.extend_from_slice(bytes);
        let buffer = std::mem::take(&mut self.buffer);
        let mut at = 0;
        while let Some(header) = self.read(BoxHeader::parse(&buffer[at..]))? {
            let wrong = |why| self.wrong(Mp4Error::Invalid(header.kind, why));
            let size = header.size.ok_or_else(|| wrong("has no length"))?;
            if size > LARGEST_BOX {
                return Err(wrong("is larger than any GOP"));
            }
            let size = usize::try_from(size).map_err(|_| wrong("is too large"))?;
            let Some(whole) = buffer.get(at..at + size) else { break };
            self.take_box(header, whole)?;
            at += size;
        }
        self.buffer = buffer;
        self.buffer.drain(..at);
        Ok(())
    }

    /// Ends the last segment.
    pub(super) fn finish(mut self) -> Result<(Rendition, Vec<Piece>), PackageError> {
        if !self.buffer.is_empty() || self.moof.is_some() {
            let cut = BoxHeader::parse(&self.buffer).ok().flatten().map_or(
                Mp4Error::Invalid(weir_origin_media::fmp4::Fourcc(*b"moof"), "has no mdat"),
                |header| Mp4Error::Short(header.kind),
            );
            return Err(self.wrong(cut));
        }
        self.flush_video()?;
        let rest = self.pending.samples.len();
        self.flush_audio(rest)?;
        let Some(init) = self.init.take() else {
            let missing = Mp4Error::Missing(weir_origin_media::fmp4::Fourcc(*b"moov"));
            return Err(self.wrong(missing));
        };
        let kind = match init.track {
            Track::Video { width, height, .. } => {
                RenditionKind::Video { width, height, rate: self.plan.rate }
            }
            Track::Audio { channels, sample_rate } => {
                RenditionKind::Audio { sample_rate, channels, language: self.language }
            }
        };
        let rendition = Rendition {
            id: self.rendition,
            codec: init.codec,
            timescale: init.timescale,
            segments: self.facts,
            kind,
        };
        Ok((rendition, self.pieces))
    }

    fn take_box(&mut self, header: BoxHeader, whole: &[u8]) -> Result<(), PackageError> {
        match &header.kind.0 {
            b"ftyp" => self.ftyp = whole.to_vec(),
            b"moov" => {
                let mut bytes = std::mem::take(&mut self.ftyp);
                bytes.extend_from_slice(whole);
                self.init = Some(self.read(Init::parse(&bytes))?);
                let audio = self.is_audio();
                self.store(key::INIT, &bytes, audio)?;
            }
            b"moof" => self.moof = Some(whole.to_vec()),
            b"mdat" => {
                if let Some(moof) = self.moof.take() {
                    self.fragment(&moof, whole, header.header)?;
                }
            }
            // styp, sidx, mfra: nothing that a segment of ours needs.
            _ => {}
        }
        Ok(())
    }

    fn is_audio(&self) -> bool {
        matches!(self.init.as_ref().map(|init| init.track), Some(Track::Audio { .. }))
    }

    fn fragment(&mut self, moof: &[u8], mdat: &[u8], header: usize) -> Result<(), PackageError> {
        let missing = Mp4Error::Missing(weir_origin_media::fmp4::Fourcc(*b"moov"));
        let Some(init) = self.init.as_ref() else { return Err(self.wrong(missing)) };
        let fragment = self.read(Fragment::parse(init, &moof[8..]))?;
        let payload = &mdat[header..];
        if fragment.payload() != payload.len() as u64 {
            let kind = weir_origin_media::fmp4::Fourcc(*b"mdat");
            return Err(self.wrong(Mp4Error::Invalid(kind, "is not as long as its samples")));
        }
        match init.track {
            Track::Video { nal_length, .. } => {
                self.gather_video(&fragment, moof, mdat, payload, nal_length)
            }
            Track::Audio { .. } => self.gather_audio(&fragment, payload),
        }
    }

    fn gather_video(
        &mut self,
        fragment: &Fragment,
        moof: &[u8],
        mdat: &[u8],
        payload: &[u8],
        nal_length: usize,
    ) -> Result<(), PackageError> {
        let first = fragment.samples[0];
        let idr = payload
            .get(..usize::try_from(first.size).unwrap_or(usize::MAX))
            .is_some_and(|sample| starts_with_idr(sample, nal_length));
        let fresh = SegmentFacts {
            start: fragment.base_decode_time,
            shown_from: fragment.shown_from(),
            duration: 0,
            samples: 0,
            bytes: 0,
            independent: first.sync && idr,
        };
        let facts = self.pending.facts.get_or_insert(fresh);
        facts.duration += fragment.duration();
        facts.samples += fragment.samples.len() as u64;
        facts.shown_from = facts.shown_from.min(fresh.shown_from);
        let full = facts.samples >= u64::from(self.plan.segment_frames);
        self.pending.bytes.extend_from_slice(moof);
        self.pending.bytes.extend_from_slice(mdat);
        if full { self.flush_video() } else { Ok(()) }
    }

    fn flush_video(&mut self) -> Result<(), PackageError> {
        let Some(mut facts) = self.pending.facts.take() else { return Ok(()) };
        let bytes = std::mem::take(&mut self.pending.bytes);
        facts.bytes = bytes.len() as u64;
        self.facts.push(facts);
        self.store(&key::segment_name(self.facts.len()), &bytes, false)
    }

    fn gather_audio(&mut self, fragment: &Fragment, payload: &[u8]) -> Result<(), PackageError> {
        let mut rest = payload;
        for sample in &fragment.samples {
            let size = usize::try_from(sample.size).unwrap_or(usize::MAX);
            let Some((bytes, after)) = rest.split_at_checked(size) else { break };
            rest = after;
            // The encoder's first frame only primes the decoder, with nothing in it that is
            // to be heard. Leaving it out makes zero mean zero for every player, whether or
            // not it honours edit lists; a decoder fades in over 21 ms instead.
            if std::mem::replace(&mut self.pending.primed, true) {
                self.pending.samples.push_back((*sample, bytes.to_vec()));
            }
        }
        loop {
            let index = self.facts.len() as u64 + 1;
            let cut = audio_cut(index, self.plan.segment_frames, self.plan.rate);
            let wanted = usize::try_from(cut - self.pending.written).unwrap_or(usize::MAX);
            // One more than wanted: a last frame alone would make a segment of 21 ms.
            if self.pending.samples.len() <= wanted + 1 {
                return Ok(());
            }
            self.flush_audio(wanted)?;
        }
    }

    fn flush_audio(&mut self, frames: usize) -> Result<(), PackageError> {
        if frames == 0 {
            return Ok(());
        }
        let (mut samples, mut payload) = (Vec::with_capacity(frames), Vec::new());
        for (sample, bytes) in self.pending.samples.drain(..frames) {
            samples.push(sample);
            payload.extend_from_slice(&bytes);
        }
        let start = self.pending.ticks;
        let duration: u64 = samples.iter().map(|s| u64::from(s.duration)).sum();
        let number = self.facts.len() + 1;
        let track_id = self.init.as_ref().map_or(1, |init| init.track_id);
        let sequence = u32::try_from(number).unwrap_or(u32::MAX);
        let bytes = segment(sequence, track_id, start, &samples, &payload);
        self.pending.ticks += duration;
        self.pending.written += samples.len() as u64;
        self.facts.push(SegmentFacts {
            start,
            shown_from: start,
            duration,
            samples: samples.len() as u64,
            bytes: bytes.len() as u64,
            // Every AAC frame is one.
            independent: true,
        });
        self.store(&key::segment_name(number), &bytes, true)
    }

    fn store(&mut self, name: &str, bytes: &[u8], audio: bool) -> Result<(), PackageError> {
        let path = format!("{}/{name}", self.rendition);
        let file = self.root.join(&path);
        fs::write(&file, bytes).map_err(PackageError::io("write", file))?;
        let sha256 = Sha256::digest(bytes).into();
        self.pieces.push(Piece { path, size: bytes.len() as u64, sha256, audio });
        Ok(())
    }

    fn read<T>(&self, outcome: Result<T, Mp4Error>) -> Result<T, PackageError> {
        outcome.map_err(|error| self.wrong(error))
    }

    fn wrong(&self, source: Mp4Error) -> PackageError {
        PackageError::Output { what: self.rendition.clone(), source }
    }
}
