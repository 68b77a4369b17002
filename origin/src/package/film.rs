//! One film from its file to its pointer.

use std::{
    collections::BTreeSet,
    fs::Metadata,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    thread::available_parallelism,
    time::Duration,
};

use sha2::{Digest, Sha256};
use tokio::{io::AsyncReadExt, sync::OnceCell};
use weir_origin_media::{
    Keys, Plan, Presentation, Rendition, Settings, Source, TitleId, Version, dash, grid, hls,
    key::{self, Pointer},
    ladder,
};
use weir_origin_store::ObjectStore;

use super::{
    Args, MOST_THREADS,
    cut::{Cutter, Piece},
    encode,
    error::PackageError,
    probe,
    progress::Progress,
    publish::{Document, Publisher},
    result::{Outcome, Title},
    target::Target,
    tools::Tools,
    verify,
    work::Work,
};

/// Changes whenever the same source and settings would give other bytes.
const FORMAT: &str = "weir-package 1";
/// What decoding a rendition costs against encoding it.
const VERIFY_SHARE: f64 = 0.15;
/// What each rung pays for decoding the source, in shares of the source's pixels.
const DECODE_SHARE: f64 = 0.3;

/// Everything that the films of one run share.
#[derive(Debug)]
pub(super) struct Bench {
    tools: Tools,
    version: String,
    threads: usize,
    settings: Settings,
    title: Option<TitleId>,
    target: Target,
    bucket: String,
    work_root: PathBuf,
    quiet: bool,
    /// Opened when the first film turns out to be one.
    store: OnceCell<Arc<dyn ObjectStore>>,
    titles: Mutex<BTreeSet<TitleId>>,
}

/// What must be taken back when a film is given up half-way.
#[derive(Debug, Default)]
pub(super) struct Undo(Mutex<Option<Arc<Publisher>>>);

impl Undo {
    fn remember(&self, publisher: &Arc<Publisher>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(publisher));
    }

    /// Takes it back; how many objects could not be.
    pub(super) async fn run(&self) -> usize {
        let publisher = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        match publisher {
            Some(publisher) => publisher.undo().await,
            None => 0,
        }
    }
}

/// What the phases before encoding found out.
struct Film {
    given: PathBuf,
    file: PathBuf,
    meta: Metadata,
    source: Source,
    plan: Plan,
}

impl Bench {
    pub(super) async fn prepare(args: &Args) -> Result<Self, PackageError> {
        if args.title.is_some() && args.files.len() > 1 {
            return Err(PackageError::TitleForMany(args.files.len()));
        }
        let title = args.title.as_deref().map(TitleId::parse).transpose();
        let title =
            title.map_err(|source| PackageError::Title { file: args.files[0].clone(), source })?;
        let tools = Tools::find()?;
        let cores = available_parallelism().map_or(1, usize::from);
        Ok(Self {
            version: tools.version().await?,
            tools,
            threads: args.threads.map_or(cores.min(MOST_THREADS), usize::from),
            settings: Settings {
                segment_micros: u64::try_from(args.segment.as_std().as_micros())
                    .unwrap_or(u64::MAX),
            },
            title,
            target: Target::from_args(args)?,
            bucket: args.bucket.clone(),
            work_root: args.work_dir.clone().unwrap_or_else(std::env::temp_dir),
            quiet: args.quiet,
            store: OnceCell::new(),
            titles: Mutex::default(),
        })
    }

    /// The store's address, for showing keys.
    pub(super) fn base(&self) -> String {
        self.target.name()
    }

    pub(super) async fn package(&self, file: &Path, undo: &Undo) -> Result<Outcome, PackageError> {
        let film = self.look(file).await?;
        let title = self.title_of(file)?;
        let mut progress = Progress::new(title.as_str(), self.quiet);
        self.warn(&film, &progress);
        let version = self.version_of(&film, &mut progress).await?;
        let keys = Keys { title, version };
        let open = || self.target.open(&self.bucket);
        let store = Arc::clone(self.store.get_or_try_init(open).await?);
        let publisher = Publisher::new(store, &self.bucket, &self.target.name(), keys.clone());
        let publisher = Arc::new(publisher);
        let pointer = Pointer::to(&keys, film.plan.duration);
        if publisher.complete().await? {
            publisher.point(&pointer).await?;
            return Ok(Outcome::AlreadyPublished(self.title(&film, &keys, None)));
        }
        publisher.check_writable().await?;
        let work = Work::create(&self.work_root)?;
        let cut = self.encode(&film, &work, &mut progress).await?;
        self.verify(&film, &work, &cut, &mut progress).await?;
        let presentation = presentation(&cut);
        grid::check(&presentation, &film.plan)?;
        film.unchanged()?;
        let manifests = manifests(&presentation);
        let pieces: Vec<Piece> = cut.into_iter().flat_map(|(_, pieces)| pieces).collect();
        let bytes: u64 = pieces.iter().map(|piece| piece.size).sum();
        undo.remember(&publisher);
        progress.step("sending".into(), 0.0);
        #[expect(clippy::cast_precision_loss, reason = "a share for show")]
        let told = |sent: u64| progress.at(sent as f64 / bytes.max(1) as f64, None);
        publisher.publish(work.path(), &pieces, &manifests, &pointer, told).await?;
        let texts: usize = manifests.iter().map(|document| document.text.len()).sum();
        let count = (pieces.len() + manifests.len() + 1, bytes + texts as u64);
        Ok(Outcome::Published(self.title(&film, &keys, Some(count))))
    }

    /// Probe and plan.
    async fn look(&self, given: &Path) -> Result<Film, PackageError> {
        probe::check_file(given)?;
        let file = std::path::absolute(given).map_err(PackageError::io("find", given))?;
        let meta = file.metadata().map_err(PackageError::io("read", given))?;
        let source = probe::probe(&self.tools, &file).await?;
        let plan = ladder::plan(&source, self.settings)
            .map_err(|source| PackageError::Plan { file: given.into(), source })?;
        Ok(Film { given: given.into(), file, meta, source, plan })
    }

    fn title_of(&self, file: &Path) -> Result<TitleId, PackageError> {
        let title = match &self.title {
            Some(title) => title.clone(),
            None => {
                let stem = file.file_stem().unwrap_or_default().to_string_lossy();
                TitleId::from_stem(&stem)
                    .map_err(|source| PackageError::Title { file: file.into(), source })?
            }
        };
        let mut titles = self.titles.lock().unwrap_or_else(PoisonError::into_inner);
        if titles.insert(title.clone()) {
            Ok(title)
        } else {
            Err(PackageError::SameTitle(title.to_string()))
        }
    }

    fn warn(&self, film: &Film, progress: &Progress) {
        let name = film.given.display();
        if film.plan.rate_varied {
            let rate = film.plan.rate;
            progress.note(&format!("{name}: its frame rate varies; made constant at {rate}"));
        }
        if film.source.video.hdr {
            progress.note(&format!(
                "{name}: is high dynamic range; colours will look pale, since the ladder is \
                 standard range"
            ));
        }
        if film.source.audio.is_none() {
            progress.note(&format!("{name}: has no sound"));
        }
    }

    /// A digest over source, settings and encoder.
    async fn version_of(
        &self,
        film: &Film,
        progress: &mut Progress,
    ) -> Result<Version, PackageError> {
        progress.step("reading".into(), 0.0);
        let read = || PackageError::io("read", &film.given);
        let mut file = tokio::fs::File::open(&film.file).await.map_err(read())?;
        let (mut source, mut chunk) = (Sha256::new(), vec![0; 1 << 20]);
        let mut through = 0;
        loop {
            let length = file.read(&mut chunk).await.map_err(read())?;
            if length == 0 {
                break;
            }
            source.update(&chunk[..length]);
            through += length as u64;
            #[expect(clippy::cast_precision_loss, reason = "a share for show")]
            progress.at(through as f64 / film.meta.len().max(1) as f64, None);
        }
        let settings = encode::settings(&film.source, &film.plan, self.threads);
        let mut all = Sha256::new();
        all.update(source.finalize());
        for part in [FORMAT, &self.version, &settings] {
            all.update((part.len() as u64).to_be_bytes());
            all.update(part);
        }
        Ok(Version::from_digest(&all.finalize().into()))
    }

    async fn encode(
        &self,
        film: &Film,
        work: &Work,
        progress: &mut Progress,
    ) -> Result<Vec<(Rendition, Vec<Piece>)>, PackageError> {
        let plan = &film.plan;
        progress.expect(film.shares().sum::<f64>() * (1.0 + VERIFY_SHARE));
        let mut shares = film.shares();
        let count = plan.video.len() + usize::from(plan.audio.is_some());
        let mut jobs = Vec::new();
        for rung in &plan.video {
            let arguments = encode::video(&film.source, plan, rung, self.threads);
            jobs.push((rung.id.clone(), arguments, None));
        }
        if let (Some(rung), Some(audio)) = (&plan.audio, &film.source.audio) {
            let arguments = encode::sound(audio.index, plan, rung);
            jobs.push((rung.id.clone(), arguments, audio.language.clone()));
        }
        let mut cut = Vec::new();
        for (at, (id, arguments, language)) in jobs.into_iter().enumerate() {
            let share = shares.next().unwrap_or(0.0);
            progress.step(format!("encoding {id} ({} of {count})", at + 1), share);
            let mut cutter = Cutter::new(work.path(), &id, plan, language)?;
            let told = |through: u64| {
                let through = through.min(plan.duration);
                #[expect(clippy::cast_precision_loss, reason = "a share for show")]
                let part = through as f64 / plan.duration as f64;
                progress.at(part, Some(Duration::from_micros(through)));
            };
            encode::run(&self.tools, &film.file, &id, &arguments, self.threads, &mut cutter, told)
                .await?;
            cut.push(cutter.finish()?);
        }
        Ok(cut)
    }

    async fn verify(
        &self,
        film: &Film,
        work: &Work,
        cut: &[(Rendition, Vec<Piece>)],
        progress: &mut Progress,
    ) -> Result<(), PackageError> {
        let mut shares = film.shares();
        for (rendition, pieces) in cut {
            let share = shares.next().unwrap_or(0.0) * VERIFY_SHARE;
            progress.step(format!("verifying {}", rendition.id), share);
            #[expect(clippy::cast_precision_loss, reason = "a share for show")]
            let told = |through: usize| progress.at(through as f64 / pieces.len() as f64, None);
            verify::rendition(&self.tools, work.path(), rendition, pieces, told).await?;
        }
        Ok(())
    }

    fn title(&self, film: &Film, keys: &Keys, count: Option<(usize, u64)>) -> Title {
        let video = film.plan.video.iter().map(|rung| rung.id.clone());
        let audio = film.plan.audio.iter().map(|rung| rung.id.clone());
        Title {
            file: film.given.clone(),
            title: keys.title.to_string(),
            version: keys.version.to_string(),
            bucket: self.bucket.clone(),
            pointer: keys.title.pointer_key(),
            hls: keys.of(key::MULTIVARIANT),
            dash: keys.of(key::MPD),
            duration_seconds: Duration::from_micros(film.plan.duration).as_secs_f64(),
            renditions: video.chain(audio).collect(),
            objects: count.map(|(objects, _)| objects),
            bytes: count.map(|(_, bytes)| bytes),
        }
    }
}

impl Film {
    /// What each rung costs, by its pixels and the source's; sound costs next to nothing.
    fn shares(&self) -> impl Iterator<Item = f64> {
        let video = &self.source.video;
        let decode = f64::from(video.width) * f64::from(video.height) * DECODE_SHARE;
        let rungs = self.plan.video.iter();
        let pictures = rungs.map(move |r| f64::from(r.width) * f64::from(r.height) + decode);
        pictures.chain(self.plan.audio.iter().map(move |_| decode * 0.2))
    }

    /// The checks were of a file that is still the same.
    fn unchanged(&self) -> Result<(), PackageError> {
        let now = self.file.metadata().map_err(PackageError::io("read", &self.given))?;
        let same = now.len() == self.meta.len() && now.modified().ok() == self.meta.modified().ok();
        if same { Ok(()) } else { Err(PackageError::Changed(self.given.clone())) }
    }
}

fn presentation(cut: &[(Rendition, Vec<Piece>)]) -> Presentation {
    let (audio, video) = cut
        .iter()
        .map(|(rendition, _)| rendition.clone())
        .partition(|r| matches!(r.kind, weir_origin_media::RenditionKind::Audio { .. }));
    Presentation { video, audio }
}

fn manifests(presentation: &Presentation) -> Vec<Document> {
    let all = presentation.video.iter().chain(&presentation.audio);
    let mut documents: Vec<Document> = all
        .map(|rendition| Document {
            path: format!("{}/{}", rendition.id, key::MEDIA_PLAYLIST),
            text: hls::media(rendition),
        })
        .collect();
    documents
        .push(Document { path: key::MULTIVARIANT.into(), text: hls::multivariant(presentation) });
    documents.push(Document { path: key::MPD.into(), text: dash::mpd(presentation) });
    documents
}
