//! Layers over the limit: what is large in them, and what would make them smaller.
//!
//! Lambda counts a function and all of its layers together, so several layers instead of one do not
//! help. Files that no function needs do, and packages that the runtime has.

use accretion_core::excerpt::listed;
use accretion_core::limits::Limits;

/// The number of the largest packages that are named.
const LARGEST: usize = 5;

/// The least that a package has, or that a pattern saves, to be named.
pub(crate) const NOTABLE: u64 = 1 << 20;

/// The most that an output takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SizeLimit {
    /// Bytes of all files, unpacked.
    pub bytes: u64,
    /// A description, after "the 250 MiB that".
    pub of: &'static str,
    /// An output that takes more.
    pub instead: &'static str,
}

impl SizeLimit {
    /// Lambda's limit for layers.
    pub const LAYER: Self = Self {
        bytes: Limits::LAYER_BYTES,
        of: "Lambda takes of a function and all of its layers together",
        instead: "a function that is a container image may have 10 GB",
    };
}

/// A layer over the limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Oversize {
    /// Bytes of all files.
    pub unzipped: u64,
    /// The limit.
    pub limit: SizeLimit,
    /// The content with its bytes, the largest first: packages, or what a folder has at its top.
    pub largest: Vec<(String, u64)>,
    /// For how many runtimes there is a tree of its own: more than one in a merged layer, none where
    /// only extra files are in it.
    pub trees: usize,
    /// Patterns that would leave files out, with their bytes, the most first.
    pub prunable: Vec<(&'static str, u64)>,
    /// Packages that the runtime has, with their bytes, the most first.
    pub provided: Vec<(String, u64)>,
}

impl Oversize {
    /// A folder that is too large. `tops` is what it has at its top, with its bytes.
    pub fn of_folder(
        unzipped: u64,
        limit: SizeLimit,
        tops: impl IntoIterator<Item = (String, u64)>,
    ) -> Self {
        Self {
            unzipped,
            limit,
            largest: ordered(tops),
            trees: 0,
            prunable: Vec::new(),
            provided: Vec::new(),
        }
    }

    /// Bytes over the limit.
    pub(crate) fn excess(&self) -> u64 {
        self.unzipped.saturating_sub(self.limit.bytes)
    }

    /// Returns advice on how to make it smaller, or on what else to do.
    pub fn hint(&self) -> String {
        let hints = [
            self.of_merging(),
            self.of_leaving_out(),
            Some(self.of_packages()),
        ];
        hints.into_iter().flatten().collect::<Vec<_>>().join("; ")
    }

    fn of_merging(&self) -> Option<String> {
        let trees = self.trees;
        (trees > 1).then(|| {
            format!(
                "what is installed differs between its runtimes, so there is all of it {trees} \
                 times: build a layer for each runtime, or name fewer of them"
            )
        })
    }

    /// The options that leave something out, no more than it takes, and whether that is enough.
    fn of_leaving_out(&self) -> Option<String> {
        let over = self.excess();
        let (mut saved, mut chosen) = (0, Vec::new());
        for (pattern, size) in &self.prunable {
            if saved < over {
                saved += size;
                chosen.push((pattern, *size));
            }
        }
        let of_chosen = |text: &dyn Fn(&str, u64) -> String| -> Vec<String> {
            chosen
                .iter()
                .map(|(pattern, size)| text(pattern, *size))
                .collect()
        };
        let mut options = of_chosen(&|pattern, _| format!("--prune '{pattern}'"));
        let mut left_out =
            of_chosen(&|pattern, size| format!("{} MiB of `{pattern}`", tenths(size)));
        let patterns = of_chosen(&|pattern, _| format!("\"{pattern}\"")).join(", ");
        let mut fields = Vec::new();
        if !patterns.is_empty() {
            fields.push(format!("`\"Prune\": [{patterns}]`"));
        }
        let of_runtime: u64 = self.provided.iter().map(|(_, size)| size).sum();
        if saved < over && of_runtime > 0 {
            saved += of_runtime;
            options.push("--provided-by-runtime".to_owned());
            fields.push("`\"ProvidedByRuntime\": true`".to_owned());
            let names = listed(self.provided.iter().map(|(name, _)| name), LARGEST);
            left_out.push(format!("up to {} MiB of {names}", tenths(of_runtime)));
        }
        if options.is_empty() {
            return None;
        }
        let (options, fields) = (options.join(" "), fields.join(" and "));
        let left_out = left_out.join(", ");
        let outcome = if saved >= over {
            format!("and {} MiB remain", mebibytes(self.unzipped - saved))
        } else {
            format!("{} MiB in all, which is not enough", tenths(saved))
        };
        Some(format!(
            "`{options}` (in a request {fields}) leaves out {left_out}, {outcome}"
        ))
    }

    fn of_packages(&self) -> String {
        let notable = self.largest.iter().filter(|(_, size)| *size >= NOTABLE);
        let sizes = notable.map(|(name, size)| format!("{name} ({} MiB)", mebibytes(*size)));
        let largest = listed(sizes, LARGEST);
        match self.trees {
            0 => format!("take files out of the folder; the largest are {largest}"),
            _ => format!("the largest packages are {largest}; {}", self.limit.instead),
        }
    }
}

/// Mebibytes, to the tenth above.
pub(crate) fn mebibytes(bytes: u64) -> String {
    decimal(bytes.saturating_mul(10).div_ceil(1 << 20))
}

/// Mebibytes, to the tenth below: no saving is said to be more than it is.
fn tenths(bytes: u64) -> String {
    decimal(bytes.saturating_mul(10) >> 20)
}

fn decimal(tenths: u64) -> String {
    match tenths % 10 {
        0 => (tenths / 10).to_string(),
        rest => format!("{}.{rest}", tenths / 10),
    }
}

pub(crate) fn ordered(sizes: impl IntoIterator<Item = (String, u64)>) -> Vec<(String, u64)> {
    let mut largest_first: Vec<_> = sizes.into_iter().collect();
    largest_first.sort_by_key(|(_, size)| std::cmp::Reverse(*size));
    largest_first
}
