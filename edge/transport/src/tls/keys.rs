//! Keys that all workers share and that survive a restart: session tickets, QUIC address
//! validation and stateless reset, all derived from one master secret in a file. Servers that
//! shall resume each other's sessions share the file.
//!
//! Ticket keys change every twelve hours; a ticket is good in the period it was made in and in
//! the next. The master stays: whoever steals the file can read tickets of the past. TLS 1.3
//! resumption here always has a key exchange of its own, so recorded traffic stays closed.

use std::{
    cell::Cell,
    collections::VecDeque,
    fmt, fs,
    io::{self, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey},
    hkdf::{HKDF_SHA256, Prk, Salt},
    hmac,
    rand::{SecureRandom, SystemRandom},
};
use parking_lot::Mutex;
use rustls::server::ProducesTickets;

/// Seconds since the Unix epoch, from whoever owns the clock.
pub type UnixSeconds = Arc<dyn Fn() -> u64 + Send + Sync>;

const HEADER: &str = "weir transport keys 1";
const SECRET_BYTES: usize = 32;
const PERIOD_SECONDS: u64 = 12 * 3600;

/// The key file is of no use.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// It could not be read.
    #[error("cannot read the transport keys in {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It was missing and could not be made.
    #[error("cannot make the transport keys in {path}")]
    Make {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Others may read it.
    #[error(
        "the transport keys in {path} may be read by others (mode {mode:o}); remove the file, \
         or if nobody has read it: chmod 600 {path}"
    )]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It does not hold keys.
    #[error(
        "{path} does not hold transport keys: expected the line \"{HEADER}\" and a line of 64 \
         hexadecimal digits; remove the file and it is made anew"
    )]
    Malformed {
        /// The file.
        path: PathBuf,
    },
    /// The system gave no random bytes.
    #[error("no random bytes for new transport keys")]
    Random,
}

/// The master secret, ready to derive from.
#[derive(Clone)]
pub struct Keys {
    master: Prk,
    now: UnixSeconds,
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys")
    }
}

impl Keys {
    /// Reads the file, or makes it, readable by its owner only. Two processes that start at
    /// once end up with the same keys.
    pub fn load_or_make(path: &Path, now: UnixSeconds) -> Result<Self, KeysError> {
        let make = |source| KeysError::Make { path: path.to_owned(), source };
        if let Some(text) = read(path)? {
            return Ok(Self::from_secret(&secret_of(path, &text)?, now));
        }
        let mut secret = [0; SECRET_BYTES];
        SystemRandom::new().fill(&mut secret).map_err(|_| KeysError::Random)?;
        let digits: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
        write_once(path, &format!("{HEADER}\n{digits}\n")).map_err(make)?;
        let text = fs::read_to_string(path).map_err(make)?;
        Ok(Self::from_secret(&secret_of(path, &text)?, now))
    }

    /// Whether [`Self::load_or_make`] could read the file. One that is missing is fine, and is
    /// not made.
    pub fn check(path: &Path) -> Result<(), KeysError> {
        match read(path)? {
            Some(text) => secret_of(path, &text).map(drop),
            None => Ok(()),
        }
    }

    /// Keys that live as long as the process.
    pub fn ephemeral(now: UnixSeconds) -> Result<Self, KeysError> {
        let mut secret = [0; SECRET_BYTES];
        SystemRandom::new().fill(&mut secret).map_err(|_| KeysError::Random)?;
        Ok(Self::from_secret(&secret, now))
    }

    fn from_secret(secret: &[u8; SECRET_BYTES], now: UnixSeconds) -> Self {
        Self { master: Salt::new(HKDF_SHA256, HEADER.as_bytes()).extract(secret), now }
    }

    fn derive(&self, purpose: &[u8], period: u64) -> [u8; SECRET_BYTES] {
        let mut key = [0; SECRET_BYTES];
        let period = period.to_be_bytes();
        self.master
            .expand(&[purpose, &period], HKDF_SHA256)
            .and_then(|okm| okm.fill(&mut key))
            .expect("32 bytes are one block of HKDF-SHA-256");
        key
    }

    /// Signs stateless reset tokens (RFC 9000 §10.3).
    pub fn reset_key(&self) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, &self.derive(b"quic stateless reset", 0))
    }

    /// Seals address validation tokens (RFC 9000 §8.1).
    pub fn token_key(&self) -> Prk {
        Prk::new_less_safe(HKDF_SHA256, &self.derive(b"quic address validation", 0))
    }

    /// Seals session tickets.
    pub fn ticketer(&self) -> Arc<dyn ProducesTickets> {
        Arc::new(Tickets { keys: self.clone(), made: Mutex::new(VecDeque::new()) })
    }
}

/// The text of the file; none where there is no file.
fn read(path: &Path) -> Result<Option<String>, KeysError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            Err(KeysError::Malformed { path: path.to_owned() })
        }
        Err(source) => Err(KeysError::Read { path: path.to_owned(), source }),
    }
}

/// The secret of a file with that text, which nobody else may read.
fn secret_of(path: &Path, text: &str) -> Result<[u8; SECRET_BYTES], KeysError> {
    let mode = fs::metadata(path)
        .map_err(|source| KeysError::Read { path: path.to_owned(), source })?
        .mode()
        & 0o777;
    if mode & 0o077 != 0 {
        return Err(KeysError::Exposed { path: path.to_owned(), mode });
    }
    secret_in(text).ok_or_else(|| KeysError::Malformed { path: path.to_owned() })
}

fn secret_in(text: &str) -> Option<[u8; SECRET_BYTES]> {
    let digits = text.strip_prefix(HEADER)?.strip_prefix('\n')?.trim_end().as_bytes();
    let (pairs, []) = digits.as_chunks::<2>() else { return None };
    let mut secret = [0; SECRET_BYTES];
    if pairs.len() != secret.len() {
        return None;
    }
    for (byte, pair) in secret.iter_mut().zip(pairs) {
        let digit = |digit: u8| char::from(digit).to_digit(16);
        *byte = u8::try_from(digit(pair[0])? * 16 + digit(pair[1])?).ok()?;
    }
    Some(secret)
}

/// Writes the whole file under another name first: who comes in between finds all or nothing,
/// and who comes second keeps the first one's.
fn write_once(path: &Path, text: &str) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let directory = directory.unwrap_or_else(|| Path::new("."));
    fs::create_dir_all(directory)?;
    let mut draft = path.as_os_str().to_owned();
    draft.push(format!(".{}", std::process::id()));
    let draft = PathBuf::from(draft);
    let _ = fs::remove_file(&draft);
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
    let linked = file
        .write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .and_then(|()| fs::hard_link(&draft, path));
    fs::remove_file(&draft)?;
    match linked {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => fs::File::open(directory)?.sync_all(),
    }
}

thread_local! {
    static OPENED: Cell<u64> = const { Cell::new(0) };
}

/// Tickets that were opened on this thread. quinn does not tell whether a handshake resumed a
/// session; whether it opened a ticket can be seen from here.
pub(crate) fn tickets_opened() -> u64 {
    OPENED.get()
}

/// Seals tickets with the key of the current period. A ticket is the period (8 bytes), a nonce
/// (12), the sealed session and its tag (16).
struct Tickets {
    keys: Keys,
    /// The last few keys made, newest first.
    made: Mutex<VecDeque<(u64, Arc<LessSafeKey>)>>,
}

impl fmt::Debug for Tickets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tickets")
    }
}

impl Tickets {
    /// Periods whose keys are kept: the last one, this one, and the next for a neighbour whose
    /// clock is ahead.
    const KEPT: usize = 3;

    fn period(&self) -> u64 {
        (self.keys.now)() / PERIOD_SECONDS
    }

    fn key(&self, period: u64) -> Arc<LessSafeKey> {
        let mut made = self.made.lock();
        if let Some((_, key)) = made.iter().find(|(of, _)| *of == period) {
            return Arc::clone(key);
        }
        let secret = self.keys.derive(b"tls ticket", period);
        let key = UnboundKey::new(&AES_256_GCM, &secret).expect("32 bytes are an AES-256 key");
        let key = Arc::new(LessSafeKey::new(key));
        made.push_front((period, Arc::clone(&key)));
        made.truncate(Self::KEPT);
        key
    }
}

impl ProducesTickets for Tickets {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        u32::try_from(PERIOD_SECONDS).expect("twelve hours fit")
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        let period = self.period();
        let mut nonce = [0; 12];
        SystemRandom::new().fill(&mut nonce).ok()?;
        let mut ticket = Vec::with_capacity(8 + 12 + plain.len() + 16);
        ticket.extend_from_slice(&period.to_be_bytes());
        ticket.extend_from_slice(&nonce);
        let mut sealed = plain.to_vec();
        let nonce = Nonce::assume_unique_for_key(nonce);
        let bound = Aad::from(period.to_be_bytes());
        self.key(period).seal_in_place_append_tag(nonce, bound, &mut sealed).ok()?;
        ticket.append(&mut sealed);
        Some(ticket)
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        let (period, rest) = ticket.split_first_chunk::<8>()?;
        let (nonce, sealed) = rest.split_first_chunk::<12>()?;
        let (bound, period) = (Aad::from(*period), u64::from_be_bytes(*period));
        let now = self.period();
        // Checked before a key is made: a client cannot make us derive keys.
        if period > now + 1 || period + 1 < now {
            return None;
        }
        let mut sealed = sealed.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let plain = self.key(period).open_in_place(nonce, bound, &mut sealed).ok()?.len();
        sealed.truncate(plain);
        OPENED.set(OPENED.get() + 1);
        Some(sealed)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        os::unix::fs::PermissionsExt as _,
        sync::atomic::{AtomicU64, Ordering},
    };

    use super::*;

    fn clock() -> (Arc<AtomicU64>, UnixSeconds) {
        let seconds = Arc::new(AtomicU64::new(1_800_000_000));
        let read = Arc::clone(&seconds);
        (seconds, Arc::new(move || read.load(Ordering::Relaxed)))
    }

    #[test]
    fn a_ticket_lives_through_a_restart_and_dies_in_the_second_period() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state/keys");
        let (seconds, now) = clock();
        let ticket =
            Keys::load_or_make(&path, now.clone()).unwrap().ticketer().encrypt(b"x").unwrap();
        let again = Keys::load_or_make(&path, now).unwrap().ticketer();
        assert_eq!(again.decrypt(&ticket).as_deref(), Some(&b"x"[..]));
        seconds.fetch_add(PERIOD_SECONDS, Ordering::Relaxed);
        assert_eq!(again.decrypt(&ticket).as_deref(), Some(&b"x"[..]));
        assert_ne!(again.encrypt(b"x").unwrap()[..8], ticket[..8]);
        seconds.fetch_add(PERIOD_SECONDS, Ordering::Relaxed);
        assert_eq!(again.decrypt(&ticket), None);
    }

    #[test]
    fn no_byte_of_a_ticket_can_be_changed() {
        let tickets = Keys::ephemeral(clock().1).unwrap().ticketer();
        let ticket = tickets.encrypt(b"session").unwrap();
        for at in 0..ticket.len() {
            let mut changed = ticket.clone();
            changed[at] ^= 1;
            assert_eq!(tickets.decrypt(&changed), None, "byte {at}");
            assert_eq!(tickets.decrypt(&ticket[..at]), None, "first {at} bytes");
        }
        let mut far = ticket;
        far[..8].fill(0xff);
        assert_eq!(tickets.decrypt(&far), None);
    }

    #[test]
    fn the_file_is_private_and_checked() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys");
        Keys::load_or_make(&path, clock().1).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);

        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let error = Keys::load_or_make(&path, clock().1).unwrap_err();
        assert!(matches!(error, KeysError::Exposed { mode: 0o644, .. }), "{error}");

        for text in ["", "weir transport keys 1\n", "weir transport keys 1\n00zz\n", "é"] {
            fs::remove_file(&path).unwrap();
            write_once(&path, text).unwrap();
            let error = Keys::load_or_make(&path, clock().1).unwrap_err();
            assert!(matches!(error, KeysError::Malformed { .. }), "{text:?}: {error}");
        }
    }

    #[test]
    fn purposes_have_keys_of_their_own() {
        let keys = Keys::ephemeral(clock().1).unwrap();
        let derived = [keys.derive(b"a", 0), keys.derive(b"b", 0), keys.derive(b"a", 1)];
        assert!(derived[0] != derived[1] && derived[0] != derived[2]);
    }
}
