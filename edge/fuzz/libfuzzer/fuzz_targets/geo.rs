//! cargo-fuzz's program for the target `geo`.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| (weir_edge_fuzz::target("geo").run)(input));
