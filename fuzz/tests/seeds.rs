//! Every target takes its seeds: those that are committed, what once broke a promise among them, and
//! those that are forged.

use std::fs;
use std::path::Path;

use accretion_fuzz::{TARGETS, forged};

#[test]
fn every_target_takes_its_seeds() {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds");
    for (name, target) in TARGETS {
        let mut all = forged(name);
        // A target whose seeds are all forged has no folder.
        for seed in fs::read_dir(seeds.join(name)).into_iter().flatten() {
            let path = seed.expect("the folder can be read").path();
            let bytes = fs::read(&path).expect("the seed can be read");
            all.push((path.display().to_string(), bytes));
        }
        assert!(!all.is_empty(), "{name} has no seeds");
        for (seed, bytes) in all {
            println!("{name}: {seed}");
            target(&bytes);
        }
    }
}
