//! cargo-fuzz's program for the target `state`.

#![no_main]

use std::sync::Once;

use libfuzzer_sys::fuzz_target;

/// libFuzzer's own hook ends the program at every panic. The database panics at some damaged
/// files, which the cache catches: that is no finding. What nobody catches still is one.
static HOOK: Once = Once::new();

fuzz_target!(|input: &[u8]| {
    HOOK.call_once(|| std::panic::set_hook(Box::new(|info| eprintln!("{info}"))));
    (weir_edge_fuzz::target("state").run)(input)
});
