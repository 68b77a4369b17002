//! cargo-fuzz's program for the target `question`.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| (weir_edge_fuzz::target("question").run)(input));
