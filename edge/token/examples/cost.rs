//! What a token check costs, with and without the memo: prints nanoseconds a call.

use std::time::Instant;

use weir_edge_token::{Claims, Memo, SigningKey, Verifier, key_set};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let key = SigningKey::from_seed([7; 32], Some("2026-11"))?;
    let verifier = Verifier::new(&key_set([&key]).to_string())?;
    let mut claims = Claims::new("film", "/vod/sample/", 2_000_000_000);
    claims.sid = Some("5f1c0e9a7d".to_owned());
    let token = key.mint(&claims)?;
    let path = "/vod/sample/v1/1080/seg-00001.m4s";
    let mut memo = Memo::new(4096);
    let measure = |name: &str, rounds: u32, mut work: Box<dyn FnMut() -> bool + '_>| {
        let start = Instant::now();
        let held = (0..rounds).filter(|_| work()).count();
        let each = start.elapsed().as_nanos() / u128::from(rounds);
        println!("{name}: {each} ns ({held} of {rounds} accepted, {} byte token)", token.len());
    };
    let check = || verifier.verify(&token, "film", path, 1_900_000_000).is_ok();
    measure("verify", 5_000, Box::new(check));
    let hit = || verifier.verify_memo(&mut memo, &token, "film", path, 1_900_000_000).is_ok();
    measure("memo hit", 1_000_000, Box::new(hit));
    Ok(())
}
