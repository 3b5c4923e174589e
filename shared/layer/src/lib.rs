//! Layers: which file of which package goes where, and the zip that Lambda unpacks below `/opt`.

mod bundle;
pub mod content;
mod error;
pub mod files;
mod output;
mod oversize;
mod packer;
mod plan;
pub mod secrets;
mod size;
mod splice;

use accretion_core::digest::{Sha256, Written};

pub use bundle::{Bundle, Copied, Tree};
pub use error::Error;
pub use files::of_files;
pub use output::{LayerZip, Output};
pub use oversize::{Oversize, SizeLimit};
pub use packer::{PackError, Packer};
pub use plan::{Package, Pruned, Rules, conflict_error};
pub use splice::{Data, Files, PackageFiles};

fn written(written: accretion_archive::Written) -> Written {
    Written {
        sha256: Sha256(written.sha256),
        size: written.size,
    }
}
