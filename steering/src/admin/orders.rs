//! What operators order.

use std::time::Duration;

use serde::de::DeserializeOwned;
use weir_config_admin::{
    NodeDone, NodeOrder, TokenKnown, TokenMade, TokenOrder, TokenRevoke, Tokens,
};
use weir_steering_api::{Code, Desired};
use weir_steering_fleet::{Control, Denied, Wanted, control::enroll::Admission};
use weir_steering_store::Token;

use super::{Desk, shown};
use crate::authority::sha256;

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Denied> {
    serde_json::from_slice(body).map_err(|error| Denied {
        code: Code::Malformed,
        detail: format!("the order is not understood: {error}"),
    })
}

pub(super) async fn order(control: &Control, name: &str, body: &[u8]) -> Result<NodeDone, Denied> {
    let done = |view| NodeDone { node: Some(shown::node(&view)), revoked: 0 };
    match read(body)? {
        NodeOrder::Want { state, until_ms } => {
            let Some(state) = Desired::parse(&state) else {
                let known = Desired::ALL.map(Desired::as_str).join(", ");
                let detail = format!("{state:?} is none of {known}");
                return Err(Denied { code: Code::Malformed, detail });
            };
            control.want(name, Wanted { state, until_ms }).await.map(done)
        }
        NodeOrder::Label { changes } => control.label(name, changes).await.map(done),
        NodeOrder::Revoke {} => {
            let revoked = control.revoke(name).await?;
            Ok(NodeDone { node: Some(shown::node(&control.node(name)?)), revoked })
        }
        NodeOrder::Forget {} => {
            control.forget(name).await?;
            Ok(NodeDone { node: None, revoked: 0 })
        }
    }
}

pub(super) async fn token(desk: &Desk, body: &[u8]) -> Result<TokenMade, Denied> {
    let TokenOrder { site, node, ttl_s, uses } = read(body)?;
    let life = Duration::from_secs(ttl_s);
    let (token, secret) = desk.control.admit(&Admission { site, node, life, uses }).await?;
    Ok(TokenMade {
        token: secret.reveal().to_owned(),
        known: known(&token),
        ca_sha256: sha256(desk.control.signer().authority()).unwrap_or_default(),
        urls: desk.urls.clone(),
    })
}

pub(super) async fn tokens(control: &Control) -> Result<Tokens, Denied> {
    let tokens = control.tokens().await?;
    Ok(Tokens { tokens: tokens.iter().map(known).collect() })
}

pub(super) async fn revoke_token(control: &Control, body: &[u8]) -> Result<Tokens, Denied> {
    let TokenRevoke { id } = read(body)?;
    control.revoke_token(&id).await?;
    tokens(control).await
}

fn known(token: &Token) -> TokenKnown {
    let whole = |number: i64| u64::try_from(number).unwrap_or(0);
    TokenKnown {
        id: token.id.clone(),
        site: token.site.clone(),
        node: token.node.clone(),
        uses: whole(token.uses),
        uses_left: whole(token.uses_left),
        expires_ms: whole(token.expires_us / 1_000),
        revoked_ms: token.revoked_us.map(|us| whole(us / 1_000)),
    }
}
