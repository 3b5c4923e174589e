//! Writes the forged seeds of every target, each into a folder of the target's name below the given
//! one.

use std::path::PathBuf;
use std::{env, fs, io};

use accretion_fuzz::{TARGETS, forged};

fn main() -> io::Result<()> {
    let folder = env::args_os().nth(1).map(PathBuf::from);
    let folder = folder.ok_or_else(|| io::Error::other("usage: forge_seeds FOLDER"))?;
    for (target, _) in TARGETS {
        fs::create_dir_all(folder.join(target))?;
        for (name, bytes) in forged(target) {
            fs::write(folder.join(target).join(name), bytes)?;
        }
    }
    Ok(())
}
