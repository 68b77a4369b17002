//! cachectl as a person meets it: what it prints, and how it ends.

mod asking;
mod disks;
mod keys;
mod objects;
mod purge;
mod usage;
mod world;
