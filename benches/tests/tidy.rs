//! The house as `cargo metadata` and the files show it: arrows that point down, names, lints,
//! and what no file may hold.

mod tidy {
    mod arrows;
    mod files;
    mod house;
    mod rfc9111;
}
