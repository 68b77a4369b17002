//! The pure rules of packaging, by table, by snapshot and by property.

mod cut;
mod fmp4;
mod keys;
mod ladder;
mod manifests;
mod probe;
mod rate;
mod scan;
