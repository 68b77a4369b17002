//! Requests that two readers may take for different ones, and origins that read them as the
//! attacker would like. What a proxy in between lets through is seen at the origins.

pub mod fields;
pub mod h2;
pub mod h3;
pub mod http1;
pub mod listener;
pub mod naive;

/// The path of a request that was hidden in another one. Nobody ever asks for it.
pub const HIDDEN: &str = "/hidden";

/// The request that is hidden, without its end, so that it takes what follows for a field.
pub(crate) fn hidden(id: &str) -> String {
    format!("GET {HIDDEN}/{id} HTTP/1.1\r\nHost: localhost\r\nX-Rest: ")
}
