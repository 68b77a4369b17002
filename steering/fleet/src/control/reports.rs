//! Who speaks, and whether it is believed. Memory alone: this is what every node does each second.

use std::sync::atomic::Ordering::Relaxed;

use weir_steering_api::{Code, Report, ReportAnswer, VERSION};

use super::{Control, Denied, millis, signed_size};
use crate::{
    identity::Identity,
    member::{Clockwork, Refusal},
};

/// Bytes of messages in one answer; the rest comes with the next one.
const ANSWER_BYTES: usize = 8 << 20;

impl Control {
    /// Whom a connection's certificate names, if that counts here.
    ///
    /// # Errors
    /// It shows none, or one that is not, or no more, of a node of this fleet.
    pub fn identify(&self, shown: Option<&[u8]>) -> Result<Identity, Denied> {
        let Some(shown) = shown else {
            let detail = "the connection shows no certificate: `weir-edge join` gets one";
            return Err(self.denied(Code::CertificateMissing, detail));
        };
        let Some(identity) = Identity::of(shown) else {
            return Err(self.denied(Code::NodeUnknown, "the certificate is not one of a node"));
        };
        let state = self.state.lock();
        if !state.nodes.contains_key(&identity.node) {
            drop(state);
            return Err(self.unknown(&identity.node));
        }
        let revoked = match state.certificates.get(&identity.serial) {
            Some(known) => known.node != identity.node || known.revoked_us.is_some(),
            // Forgotten with a node of that name, or of a database that was lost.
            None => true,
        };
        drop(state);
        if revoked {
            let detail = format!(
                "certificate {} of {} was taken back, or is not known any more: join again",
                identity.serial, identity.node
            );
            return Err(self.denied(Code::CertificateRevoked, detail));
        }
        // TLS has looked when the connection began; it may be long since.
        if identity.ends_s <= self.ground.clock.unix_seconds() {
            let detail = format!("the certificate of {} is over: join again", identity.node);
            return Err(self.denied(Code::CertificateExpired, detail));
        }
        Ok(identity)
    }

    pub(super) fn unknown(&self, node: &str) -> Denied {
        let detail = format!("there is no node {node} here: it was forgotten, or never joined");
        self.denied(Code::NodeUnknown, detail)
    }

    /// Takes a report; `shown` is the certificate of its connection.
    ///
    /// # Errors
    /// Why it is not believed. Nothing has changed then.
    pub fn report(&self, shown: Option<&[u8]>, bytes: &[u8]) -> Result<ReportAnswer, Denied> {
        let Identity { node, .. } = self.identify(shown)?;
        let report: Report = self.read(bytes)?;
        if report.identity.node != node {
            let detail = format!(
                "the certificate is of {node}, the report speaks for {}",
                report.identity.node
            );
            tracing::warn!(node, claimed = report.identity.node, "a node claims another's name");
            return Err(self.denied(Code::IdentityForeign, detail));
        }
        let now = self.moment();
        let mut state = self.state.lock();
        let taken = match state.nodes.get_mut(&node) {
            Some(known) => known.member.take(&report, now),
            None => {
                drop(state);
                return Err(self.unknown(&node));
            }
        };
        let back = match taken {
            Ok(back) => back,
            Err(refusal) => {
                drop(state);
                let code = match refusal {
                    Refusal::Replayed { .. } | Refusal::Replaced => Code::Replayed,
                    Refusal::Stale { .. } => Code::Stale,
                    Refusal::TooMany => Code::TooMany,
                };
                return Err(self.denied(code, refusal.to_string()));
            }
        };
        self.counted.reports.fetch_add(1, Relaxed);
        let known = state.nodes.get_mut(&node).expect("it was there a line ago");
        known.fresh = true;
        let (before, clockwork) = (known.clockwork, known.member.clockwork());
        known.clockwork = clockwork;
        let clock_off_ms = known.member.clock_off_ms();
        let flaps = known.member.flaps(now.steady);
        let mut down = Vec::new();
        let mut bytes = 0;
        let common = state.messages.values();
        let own = state.nodes.get(&node).and_then(|known| known.intent.as_ref());
        for message in common.chain(own) {
            let Some(has) = report.applied.0.get(&message.kind) else { continue };
            let size = signed_size(&message.signed);
            if *has < message.number && bytes + size <= ANSWER_BYTES {
                bytes += size;
                down.push(message.signed.clone());
            }
        }
        if back {
            let detail = if flaps { "reports again; it comes and goes" } else { "reports again" };
            let event = self.event(&node, "back", detail);
            self.note(&mut state, event);
        }
        if (clockwork == Clockwork::Wrong) != (before == Clockwork::Wrong) {
            let detail = match clockwork {
                Clockwork::Wrong => format!("its clock is off by {} s", clock_off_ms / 1_000),
                _ => "its clock is right again".to_owned(),
            };
            let event = self.event(&node, "clock", detail);
            self.note(&mut state, event);
        }
        drop(state);
        Ok(ReportAnswer {
            version: VERSION,
            sequence: report.identity.sequence,
            now_ms: now.unix_ms,
            clock_off_ms: (clockwork != Clockwork::Right).then_some(clock_off_ms),
            every_ms: u64::try_from(self.rules.every.as_millis()).unwrap_or(u64::MAX),
            down,
        })
    }

    /// Unix time at which the newest certificate of a node ends.
    pub(super) fn certificate_ends_ms(
        certificates: &std::collections::HashMap<String, weir_steering_store::Certificate>,
        node: &str,
    ) -> Option<u64> {
        let own = certificates.values().filter(|one| one.node == node && one.revoked_us.is_none());
        own.map(|one| millis(one.ends_us)).max()
    }
}
