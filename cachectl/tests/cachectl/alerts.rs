//! Alert rules send whoever is woken to cachectl: what they name must be there.

use crate::world::cachectl;

#[test]
fn commands_that_alerts_name_are_there() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../config/monitoring/alerts.yml");
    let text = std::fs::read_to_string(file).unwrap();
    let mut count = 0;
    for (at, _) in text.match_indices("cachectl ") {
        let line = text[at..].lines().next().unwrap();
        // The command without its options, which are those of a moment; --help asks nobody.
        let command = |word: &&str| word.bytes().all(|byte| byte.is_ascii_lowercase());
        let words = line.split_ascii_whitespace().skip(1).take_while(command);
        let words: Vec<&str> = words.chain(["--help"]).collect();
        let left = cachectl(&words, None);
        assert_eq!(left.code, 0, "{line}: {}", left.stderr);
        assert!(left.stdout.contains("Usage: cachectl"), "{line}: {}", left.stdout);
        count += 1;
    }
    assert!(count > 15, "{count} commands were found");
}
