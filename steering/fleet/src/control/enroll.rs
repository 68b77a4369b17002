//! How nodes come in: tokens, joins, renewals.

use std::{sync::atomic::Ordering::Relaxed, time::Duration};

use weir_steering_api::{
    Code, DecodeError, JoinAnswer, JoinRequest, RenewRequest, VERSION, Wire, decode,
};
use weir_steering_store::{Certificate, JoinError, Joining, Node, Token};

use super::{Control, Denied, Known, micros, millis};
use crate::{
    member::Member,
    signer::{Issue, Issued, SignerError, Subject},
    token::JoinToken,
};

/// Joins that may be tried at once, and a second: each costs a signature to check.
pub(super) const TRIES: f64 = 20.0;
const TRIES_PER_S: f64 = 5.0;
/// A certificate is good from a while ago on: clocks differ.
const BACKDATE_S: u64 = 3_600;
/// Between two renewals of a node.
const RENEWALS: Duration = Duration::from_secs(30);
/// The longest life of a token.
pub const TOKEN_LIFE: Duration = Duration::from_secs(30 * 86_400);
/// The most uses of one.
pub const TOKEN_USES: u32 = 1_000;

/// What a token is for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Admission {
    /// The site it lets into; none: any.
    pub site: Option<String>,
    /// The one node that it is for, which may be there already.
    pub node: Option<String>,
    /// How long it can be used.
    pub life: Duration,
    /// How often.
    pub uses: u32,
}

impl Control {
    /// Makes a token, and tells it this once.
    ///
    /// # Errors
    /// It would be good for too long or too often, or cannot be kept.
    pub async fn admit(&self, admission: &Admission) -> Result<(Token, JoinToken), Denied> {
        let Admission { site, node, life, uses } = admission;
        for (what, name) in [("site", site), ("node", node)] {
            if let Some(name) = name
                && !weir_steering_api::decode::is_name(name)
            {
                let detail = format!("{name:?} is no name of a {what}");
                return Err(self.denied(Code::Malformed, detail));
            }
        }
        if life.is_zero() || *life > TOKEN_LIFE || *uses == 0 || *uses > TOKEN_USES {
            let detail = format!("a token lives up to 30 days and has 1 to {TOKEN_USES} uses");
            return Err(self.denied(Code::Malformed, detail));
        }
        let secret = JoinToken::draw(self.ground.entropy.as_ref());
        let hash = secret.hash();
        let now_ms = self.ground.clock.unix_millis();
        let life_ms = u64::try_from(life.as_millis()).unwrap_or(u64::MAX);
        let token = Token {
            id: hash[..12].to_owned(),
            hash,
            site: site.clone().unwrap_or_default(),
            node: node.clone().unwrap_or_default(),
            uses: i64::from(*uses),
            uses_left: i64::from(*uses),
            created_us: micros(now_ms),
            expires_us: micros(now_ms.saturating_add(life_ms)),
            revoked_us: None,
        };
        let kept = self.ground.store.add_token(&token).await;
        kept.map_err(|error| self.unavailable(&error))?;
        tracing::info!(token = token.id, site = token.site, uses, "a join token was made");
        Ok((token, secret))
    }

    /// Lets a node in that shows a token.
    ///
    /// # Errors
    /// Why not; the token has lost no use then.
    pub async fn join(&self, bytes: &[u8]) -> Result<JoinAnswer, Denied> {
        self.try_once()?;
        let JoinRequest { token, node, site, csr, .. } = self.read(bytes)?;
        let now_ms = self.ground.clock.unix_millis();
        let token = self.token(&token, &node, &site, micros(now_ms)).await?;
        let there = self.state.lock().nodes.contains_key(&node);
        let again = token.node == node;
        if there && !again {
            return Err(self.exists(&node));
        }
        let (issued, certificate) = self.certify(&node, csr, now_ms).await?;
        let kind = if there { "rejoined" } else { "joined" };
        let detail = format!("with token {} into site {site}", token.id);
        let event = self.event(&node, kind, detail.clone());
        let joining = Joining {
            token: token.id,
            node: node.clone(),
            site: site.clone(),
            again,
            certificate: certificate.clone(),
            event,
            now_us: micros(now_ms),
        };
        match self.ground.store.join(&joining).await {
            Ok(()) => {}
            Err(JoinError::Token) => {
                let detail = "the token was used, taken back or over meanwhile: ask for another";
                return Err(self.denied(Code::TokenUsed, detail));
            }
            Err(JoinError::Exists) => return Err(self.exists(&node)),
            Err(JoinError::Store(error)) => return Err(self.unavailable(&error)),
        }
        self.counted.joined.fetch_add(1, Relaxed);
        tracing::info!(node, "{kind}: {detail}");
        self.enter(&node, site, again, certificate.clone(), now_ms);
        self.publish().await;
        Ok(self.answer(node, issued, &certificate))
    }

    /// Gives a node its next certificate; `shown` is the one of its connection.
    ///
    /// # Errors
    /// Why not.
    pub async fn renew(&self, shown: Option<&[u8]>, bytes: &[u8]) -> Result<JoinAnswer, Denied> {
        let identity = self.identify(shown)?;
        let RenewRequest { csr, .. } = self.read(bytes)?;
        let node = identity.node;
        let now = self.moment();
        {
            let mut state = self.state.lock();
            let Some(known) = state.nodes.get_mut(&node) else { return Err(self.unknown(&node)) };
            if known.renewed.is_some_and(|last| now.steady.saturating_sub(last) < RENEWALS) {
                let detail = "a certificate was renewed a moment ago; once in 30 s is enough";
                return Err(self.denied(Code::TooMany, detail));
            }
            known.renewed = Some(now.steady);
        }
        let (issued, certificate) = self.certify(&node, csr, now.unix_ms).await?;
        let kept = self.ground.store.add_certificate(&certificate).await;
        kept.map_err(|error| self.unavailable(&error))?;
        self.counted.renewed.fetch_add(1, Relaxed);
        let event = self.event(&node, "renewed", format!("certificate {}", certificate.serial));
        {
            let mut state = self.state.lock();
            state.changes += 1;
            state.certificates.insert(certificate.serial.clone(), certificate.clone());
            self.note(&mut state, event);
        }
        Ok(self.answer(node, issued, &certificate))
    }

    pub(super) fn read<T: Wire>(&self, bytes: &[u8]) -> Result<T, Denied> {
        decode(bytes).map_err(|error| {
            let code = match error {
                DecodeError::TooLarge { .. } => Code::TooLarge,
                DecodeError::Version { .. } => Code::Version,
                DecodeError::Malformed { .. } | DecodeError::Field { .. } => Code::Malformed,
            };
            self.denied(code, error.to_string())
        })
    }

    fn try_once(&self) -> Result<(), Denied> {
        let now = self.began.elapsed();
        let mut tries = self.tries.lock();
        let earned = now.saturating_sub(tries.0).as_secs_f64() * TRIES_PER_S;
        *tries = (now, (tries.1 + earned).min(TRIES));
        if tries.1 < 1.0 {
            drop(tries);
            let detail = "too many nodes join at once: ask again in some seconds";
            return Err(self.denied(Code::TooMany, detail));
        }
        tries.1 -= 1.0;
        Ok(())
    }

    /// The token that is shown, if it is good for this node.
    async fn token(
        &self,
        text: &str,
        node: &str,
        site: &str,
        now_us: i64,
    ) -> Result<Token, Denied> {
        let unknown = || {
            let detail = "no such join token: `cachectl enroll token create` makes one";
            self.denied(Code::TokenUnknown, detail)
        };
        let Some(shown) = JoinToken::parse(text) else { return Err(unknown()) };
        let found = self.ground.store.token(&shown.hash()).await;
        let Some(token) = found.map_err(|error| self.unavailable(&error))? else {
            return Err(unknown());
        };
        if token.revoked_us.is_some() {
            return Err(self.denied(Code::TokenRevoked, "the join token was taken back"));
        }
        if token.expires_us <= now_us {
            let detail = "the join token's time is over: ask for another";
            return Err(self.denied(Code::TokenExpired, detail));
        }
        if token.uses_left <= 0 {
            let detail = "the join token was used already: ask for another";
            return Err(self.denied(Code::TokenUsed, detail));
        }
        for (what, meant, got) in [("site", &token.site, site), ("node", &token.node, node)] {
            if !meant.is_empty() && meant != got {
                let detail = format!("the join token is for {what} {meant}, not for {got}");
                return Err(self.denied(Code::TokenForeign, detail));
            }
        }
        Ok(token)
    }

    fn exists(&self, node: &str) -> Denied {
        let detail = format!(
            "there is a node {node} already: give this one another name, or let it take that \
             place with `cachectl enroll token create --node {node}`"
        );
        self.denied(Code::NodeExists, detail)
    }

    async fn certify(
        &self,
        node: &str,
        csr: String,
        now_ms: u64,
    ) -> Result<(Issued, Certificate), Denied> {
        let now_s = now_ms / 1_000;
        let ends_s = now_s + self.rules.certificate.as_secs();
        let from_s = now_s.saturating_sub(BACKDATE_S);
        let issue = Issue { csr, subject: Subject::Node(node.to_owned()), from_s, ends_s };
        let issued = match self.ground.signer.certify(&issue).await {
            Ok(issued) => issued,
            Err(error @ SignerError::Csr(_)) => {
                return Err(self.denied(Code::CsrRefused, error.to_string()));
            }
            Err(error) => return Err(self.unavailable(&error)),
        };
        let certificate = Certificate {
            serial: issued.serial.clone(),
            node: node.to_owned(),
            issued_us: micros(now_ms),
            ends_us: micros(ends_s * 1_000),
            revoked_us: None,
        };
        Ok((issued, certificate))
    }

    fn enter(&self, name: &str, site: String, again: bool, certificate: Certificate, now_ms: u64) {
        let now_us = micros(now_ms);
        let mut state = self.state.lock();
        state.changes += 1;
        if again {
            let own = state.certificates.values_mut().filter(|one| one.node == name);
            for one in own {
                one.revoked_us.get_or_insert(now_us);
            }
        }
        state.certificates.insert(certificate.serial.clone(), certificate);
        match state.nodes.get_mut(name) {
            Some(known) => {
                // Another machine, maybe: what the one before it said counts no more.
                known.member = Member::default();
                known.node.site = site;
                (known.node.joined_us, known.node.updated_us) = (now_us, now_us);
            }
            None => {
                let node = Node {
                    name: name.to_owned(),
                    site,
                    state: "serving".to_owned(),
                    until_us: None,
                    intent: 0,
                    labels: "{}".to_owned(),
                    joined_us: now_us,
                    updated_us: now_us,
                };
                state.nodes.insert(name.to_owned(), Known::new(node, Member::default()));
            }
        }
    }

    fn answer(&self, node: String, issued: Issued, certificate: &Certificate) -> JoinAnswer {
        let (from, ends) = (millis(certificate.issued_us), millis(certificate.ends_us));
        JoinAnswer {
            version: VERSION,
            node,
            certificate: issued.certificate,
            authority: self.ground.signer.authority().to_owned(),
            renew_ms: from + (ends - from) / 3 * 2,
            ends_ms: ends,
            keys: self.ground.signer.keys(),
        }
    }
}
