//! Groups and extras of a lock file that are not selected, and so not in the layers.

use accretion_core::excerpt::listed;
use accretion_python::lock;
use accretion_python::request::{Request, Requirements};
use serde::Serialize;

use crate::args::Global;
use crate::print;

/// The number of groups or extras that are named.
const SHOWN: usize = 10;

/// Groups and extras that are not selected, for programs.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Unselected {
    groups: Vec<String>,
    extras: Vec<String>,
}

impl Unselected {
    /// The groups and extras that a request leaves out of its lock file; `None` if there are none.
    pub(crate) fn of(request: &Request) -> Option<Self> {
        let Requirements::Lock(file) = &request.input.requirements else {
            return None;
        };
        let lock::Unselected { groups, extras } = file.lock().unselected(&request.input.selection);
        let is_any = !(groups.is_empty() && extras.is_empty());
        is_any.then_some(Self { groups, extras })
    }

    /// Prints the groups and extras that a request leaves out.
    pub(crate) fn print(request: &Request, global: Global) {
        if let Some(unselected) = Self::of(request) {
            unselected.print_all(global);
        }
    }

    /// Prints the groups and extras.
    pub(crate) fn print_all(&self, global: Global) {
        if global.quiet {
            return;
        }
        for (names, one, several, option) in [
            (&self.groups, "group", "groups", "--group"),
            (&self.extras, "extra", "extras", "--extra"),
        ] {
            let (what, it) = match names.len() {
                0 => continue,
                1 => (one, "it"),
                _ => (several, "them"),
            };
            let all = listed(names, SHOWN);
            print::note(&format!("left out: {what} {all}; {option} adds {it}"));
        }
    }
}
