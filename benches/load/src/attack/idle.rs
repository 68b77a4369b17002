//! Clients that come and say nothing.

use std::io;

use super::{Aim, Tally, wire};
use crate::Protocol;

pub(super) async fn sit(number: usize, aim: &Aim, tally: &Tally) -> io::Result<()> {
    match number % 3 {
        0 => {
            let mut stream = wire::tcp(aim, None).await?;
            tally.add("connections: TCP alone", 1);
            wire::sip(&mut stream, 1).await?;
        }
        1 => {
            let mut stream = wire::tls(aim, Protocol::H1, None).await?;
            tally.add("connections: TLS", 1);
            wire::sip(&mut stream, 1).await?;
        }
        _ => {
            let mut stream = wire::tls(aim, Protocol::H2, None).await?;
            wire::send(&mut stream, &wire::preface(&[], 0)).await?;
            tally.add("connections: HTTP/2", 1);
            return wire::frames(stream, tally).await;
        }
    }
    Ok(())
}
