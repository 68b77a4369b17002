//! How do we know? The crates beside this one hold content that proves itself, scripted
//! origins, load, and campaigns. This one holds the test that the house is as it says
//! (`tests/tidy.rs`). Nothing here ships.
