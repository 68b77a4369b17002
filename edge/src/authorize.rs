//! Second phase: whether the request's token lets it through.

use crate::{admit::Admitted, refuse::Refusal};

/// Session id of the token, where there is one.
pub fn authorize(
    admitted: &Admitted,
    now_seconds: u64,
    worker: usize,
) -> Result<Option<String>, Refusal> {
    let Some(rule) = &admitted.service.token else { return Ok(None) };
    let Some(token) = &admitted.token else {
        return if rule.required { Err(Refusal::TokenMissing) } else { Ok(None) };
    };
    rule.verify(token, &admitted.path, now_seconds, worker).map_err(Refusal::Token)
}
