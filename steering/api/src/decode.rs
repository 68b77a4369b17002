//! Bytes of a stranger to a message, or to what is wrong with them.

use serde::de::DeserializeOwned;

use crate::VERSION;

/// A message: how large it may be, and what of it types do not say.
pub trait Wire: DeserializeOwned {
    /// What people call it.
    const NAME: &'static str;
    /// Most bytes of JSON.
    const MOST_BYTES: usize;

    /// The `version` it carries.
    fn version(&self) -> u32;

    /// Holds every bound of its fields.
    ///
    /// # Errors
    /// The first that is broken.
    fn check(&self) -> Result<(), Broken>;
}

/// A bound that does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// Where, as a JSON pointer.
    pub at: String,
    /// What is expected there, in words.
    pub why: String,
}

impl Broken {
    pub(crate) fn new(at: impl Into<String>, why: impl Into<String>) -> Self {
        Self { at: at.into(), why: why.into() }
    }
}

/// Why bytes are no message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// More bytes than any of its kind has.
    #[error("{name} of {bytes} bytes: at most {most}")]
    TooLarge {
        /// What it should have been.
        name: &'static str,
        /// How many there are.
        bytes: usize,
        /// How many there may be.
        most: usize,
    },
    /// Not JSON, or of another shape.
    #[error("{name} cannot be read: {reason}")]
    Malformed {
        /// What it should have been.
        name: &'static str,
        /// What, and at which line and column.
        reason: String,
    },
    /// Of another version of this protocol.
    #[error("{name} of version {got}: this is version {VERSION}")]
    Version {
        /// What it should have been.
        name: &'static str,
        /// What it says of itself.
        got: u32,
    },
    /// A field that cannot be.
    #[error("{name}: {at} {why}")]
    Field {
        /// What it should have been.
        name: &'static str,
        /// Where, as a JSON pointer.
        at: String,
        /// What is expected there.
        why: String,
    },
}

/// Only the version, whatever else is there: a newer peer may say things of another shape.
#[derive(serde::Deserialize)]
struct Versioned {
    version: u32,
}

/// Reads one message.
///
/// # Errors
/// Whatever is wrong with it; see [`DecodeError`].
pub fn decode<T: Wire>(bytes: &[u8]) -> Result<T, DecodeError> {
    let name = T::NAME;
    if bytes.len() > T::MOST_BYTES {
        return Err(DecodeError::TooLarge { name, bytes: bytes.len(), most: T::MOST_BYTES });
    }
    let message: T =
        serde_json::from_slice(bytes).map_err(|error| {
            match serde_json::from_slice::<Versioned>(bytes) {
                Ok(Versioned { version }) if version != VERSION => {
                    DecodeError::Version { name, got: version }
                }
                _ => DecodeError::Malformed { name, reason: shown(&error) },
            }
        })?;
    if message.version() != VERSION {
        return Err(DecodeError::Version { name, got: message.version() });
    }
    match message.check() {
        Ok(()) => Ok(message),
        Err(Broken { at, why }) => Err(DecodeError::Field { name, at, why }),
    }
}

/// What serde says may quote what a stranger sent; some of it is enough.
fn shown(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let printable = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    printable.take(200).collect()
}

/// Holds bounds, one after another, until the first that is broken.
pub(crate) struct Bounds(Result<(), Broken>);

impl Bounds {
    pub(crate) fn new() -> Self {
        Self(Ok(()))
    }

    pub(crate) fn hold(mut self, at: &str, holds: bool, why: &str) -> Self {
        if self.0.is_ok() && !holds {
            self.0 = Err(Broken::new(at, why));
        }
        self
    }

    pub(crate) fn name(self, at: &str, text: &str) -> Self {
        let why = "is a name: 1 to 64 letters, digits, `-`, `_` and `.`, the first no `.`";
        self.hold(at, is_name(text), why)
    }

    /// A text of at most so many bytes, none of them a control.
    pub(crate) fn text(self, at: &str, text: &str, most: usize) -> Self {
        let holds = text.len() <= most && !text.chars().any(char::is_control);
        self.hold(at, holds, &format!("is a text of at most {most} bytes without controls"))
    }

    pub(crate) fn share(self, at: &str, share: f64) -> Self {
        self.hold(at, (0.0..=1.0).contains(&share), "is a share from 0 to 1")
    }

    pub(crate) fn amount(self, at: &str, amount: f64) -> Self {
        self.hold(at, (0.0..=1e15).contains(&amount), "is an amount from 0 to 10^15")
    }

    pub(crate) fn count(self, at: &str, count: usize, most: usize) -> Self {
        self.hold(at, count <= most, &format!("has at most {most} entries"))
    }

    pub(crate) fn end(self) -> Result<(), Broken> {
        self.0
    }
}

/// Whether a node or a site may be called so: as configurations have it.
pub fn is_name(text: &str) -> bool {
    let sound = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    (1..=64).contains(&text.len()) && text.bytes().all(sound) && !text.starts_with('.')
}
