//! What a token says.

use serde::{Deserialize, Serialize};

use crate::{
    path::{canonical, covers},
    verify::Reject,
};

/// The claims of a token. Times are whole seconds since the Unix epoch. Claims that are not
/// named here are ignored, as RFC 7519 §4 has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// The service that the token is for.
    pub aud: String,
    /// From this second on it is expired.
    pub exp: u64,
    /// Before this second it is not yet good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nbf: Option<u64>,
    /// The session; never a metric label.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sid: Option<String>,
    /// The paths it opens: this one and everything below it. `/` opens all.
    pub pfx: String,
    /// The highest rung, counted from 0 for the lowest. Carried, enforced elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rung: Option<u32>,
    /// The network the client must be in, as `192.0.2.0/24`. Carried, enforced elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub net: Option<String>,
    /// The country the client must be in, two letters. Carried, enforced elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ctry: Option<String>,
}

impl Claims {
    /// Claims with the required parts only.
    pub fn new(audience: impl Into<String>, prefix: impl Into<String>, expires: u64) -> Self {
        Self {
            aud: audience.into(),
            exp: expires,
            nbf: None,
            sid: None,
            pfx: prefix.into(),
            rung: None,
            net: None,
            ctry: None,
        }
    }

    /// Whether these claims open `path` of the service `audience` at `now`. A query of the path
    /// is not looked at.
    ///
    /// # Errors
    /// The first check that fails: audience, times, path.
    pub fn permit(&self, audience: &str, path: &str, now: u64) -> Result<(), Reject> {
        if self.aud != audience {
            return Err(Reject::WrongAudience);
        }
        self.timely(now)?;
        self.opens(path)
    }

    /// Whether `now` lies between `nbf` and `exp`.
    ///
    /// # Errors
    /// [`Reject::Expired`] or [`Reject::NotYet`].
    pub fn timely(&self, now: u64) -> Result<(), Reject> {
        // RFC 7519 §4.1.4: not on or after.
        if now >= self.exp {
            return Err(Reject::Expired);
        }
        if self.nbf.is_some_and(|from| now < from) {
            return Err(Reject::NotYet);
        }
        Ok(())
    }

    /// Whether the prefix covers `path`.
    ///
    /// # Errors
    /// [`Reject::WrongPrefix`], also for a path that could mean two things.
    pub fn opens(&self, path: &str) -> Result<(), Reject> {
        let path = path.split_once('?').map_or(path, |(path, _)| path);
        match (canonical(&self.pfx), canonical(path)) {
            (Ok(prefix), Ok(path)) if covers(&prefix, &path) => Ok(()),
            _ => Err(Reject::WrongPrefix),
        }
    }
}
