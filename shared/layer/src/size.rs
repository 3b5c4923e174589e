//! Measuring a layer that is over the limit. Apart from [`Oversize`], which errors have: this needs
//! plans, which have errors.

use std::collections::{BTreeMap, BTreeSet};

use accretion_core::pruning::{Pattern, Pruner, Pruning};

use crate::oversize::{NOTABLE, Oversize, ordered};
use crate::plan::{Package, Plan, Rules};

/// The layer of these trees, each with its packages, and of what is copied, with its name.
pub(crate) fn oversize(
    unzipped: u64,
    trees: &[(&[Package<'_>], &Plan<'_>)],
    copied: Option<(&str, u64)>,
    rules: &Rules,
) -> Oversize {
    let mut sizes: BTreeMap<String, u64> = BTreeMap::new();
    let packages = trees.iter().flat_map(|(packages, plan)| {
        let pruned = plan.pruned.of_packages.iter();
        packages.iter().zip(pruned)
    });
    for (package, (pruned, _)) in packages {
        let size = package.layout.size().saturating_sub(*pruned);
        *sizes.entry(package.layout.name.clone()).or_default() += size;
    }
    let of_runtime = sizes
        .iter()
        .filter(|(name, _)| rules.provided.contains(name.as_str()))
        .map(|(name, size)| (name.clone(), *size));
    let provided = ordered(of_runtime);
    sizes.extend(copied.map(|(folder, size)| (folder.to_owned(), size)));
    Oversize {
        unzipped,
        limit: rules.limit,
        largest: ordered(sizes),
        trees: trees.len(),
        prunable: prunable(trees, rules),
        provided,
    }
}

/// Bytes of what each pattern would leave out: a file counts for the first one that matches it.
fn prunable(trees: &[(&[Package<'_>], &Plan<'_>)], rules: &Rules) -> Vec<(&'static str, u64)> {
    let include: BTreeSet<Pattern> = rules.pruning.include().cloned().collect();
    let pruner = |pattern: &str| {
        let prune = BTreeSet::from([pattern.parse().ok()?]);
        Some(Pruning::new(prune, include.clone()).ok()?.pruner())
    };
    let mut patterns: Vec<(&str, Pruner, u64)> = rules
        .installation
        .prunable()
        .iter()
        .filter_map(|pattern| Some((*pattern, pruner(pattern)?, 0)))
        .collect();
    for (_, plan) in trees {
        for entry in &plan.entries {
            let path = &entry.file.path;
            if rules.installation.is_metadata(path) {
                continue;
            }
            let size = patterns
                .iter_mut()
                .find_map(|(_, pruner, size)| pruner.prunes(path).then_some(size));
            if let Some(size) = size {
                *size += entry.file.size;
            }
        }
    }
    let mut sizes: Vec<_> = patterns
        .into_iter()
        .map(|(pattern, _, size)| (pattern, size))
        .filter(|(_, size)| *size >= NOTABLE)
        .collect();
    sizes.sort_by_key(|(_, size)| std::cmp::Reverse(*size));
    sizes
}
