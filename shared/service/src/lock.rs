//! Locking a request: what each of its layers would consist of.

use accretion_core::request::Targets;
use accretion_core::target::Target;
use futures_util::future::join_all;

use crate::Error;
use crate::ecosystem::{Locating, Packages, Resolved};
use crate::ports::{Event, Progress};

/// Locks the packages of targets, in their order. An error of one target is its own outcome.
pub async fn lock<P: Packages>(
    targets: &Targets,
    packages: &P,
    progress: &dyn Progress,
) -> Vec<(Target, Result<Resolved<P::Package>, Error>)> {
    let locked = targets.iter().map(async |target| {
        let outcome = packages.resolve(target, Locating::Anew).await;
        progress.on(Event::Finished(target.into()));
        let locked = outcome.and_then(|resolved| {
            if resolved.packages.is_empty() {
                return Err(packages.nothing_left().into());
            }
            Ok(resolved)
        });
        (target, locked)
    });
    join_all(locked).await
}
