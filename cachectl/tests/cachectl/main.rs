//! cachectl as a person meets it: what it prints, and how it ends.

mod alerts;
mod asking;
mod config;
mod disks;
mod keys;
mod logs;
mod objects;
mod purge;
mod seeing;
mod top;
mod trace;
mod usage;
mod warm;
mod world;
