//! Locking a request: what each of its layers would consist of.

use accretion_core::target::Target;
use accretion_python::lock::LockedPackage;
use accretion_python::request::Request;
use futures_util::future::join_all;

use crate::Error;
use crate::build::SourceDistributions;
use crate::packages::{Locating, Packages};
use crate::ports::{Event, Progress, Resolver, Wheels};

/// All that the layer of one target could consist of, what a request leaves out included, ordered by
/// name.
///
/// # Errors
///
/// Those of [`lock`], and whatever is wrong for the target.
pub async fn lock_target<R: Resolver, W: Wheels>(
    request: &Request,
    target: Target,
    resolver: &R,
    wheels: &W,
    progress: &dyn Progress,
) -> Result<Vec<LockedPackage>, Error> {
    let allowed = SourceDistributions::AsRequested;
    let packages = Packages::new(request, allowed, resolver, wheels, progress)?;
    packages.all(target, Locating::Anew).await
}

/// The locked packages of one layer.
#[derive(Debug)]
pub struct Locked {
    /// The packages, ordered by name.
    pub packages: Vec<LockedPackage>,
    /// Warnings about the layer.
    pub warnings: Vec<String>,
}

/// Locks the packages of each target of a request, in the order of the targets.
///
/// # Errors
///
/// Those of a lock file that can't be read. An error of one target is its own outcome.
pub async fn lock<R: Resolver, W: Wheels>(
    request: &Request,
    resolver: &R,
    wheels: &W,
    progress: &dyn Progress,
) -> Result<Vec<(Target, Result<Locked, Error>)>, Error> {
    let allowed = SourceDistributions::AsRequested;
    let packages = &Packages::new(request, allowed, resolver, wheels, progress)?;
    let locked = request.targets.iter().map(async |target| {
        let outcome = packages.resolve(target, Locating::Anew).await;
        progress.on(Event::Finished(target.into()));
        let locked = outcome.and_then(|resolved| {
            if resolved.packages.is_empty() {
                return Err(packages.nothing_left().into());
            }
            Ok(Locked {
                packages: resolved.packages,
                warnings: resolved.warnings,
            })
        });
        (target, locked)
    });
    Ok(join_all(locked).await)
}
