//! The adapters for operators: no function uses them.

mod catalogue;
mod dropped;
mod identity;
mod inventory;
mod named_layers;
mod retained;
mod stacks;
mod tracked;

pub use catalogue::{Catalogue, DescribedVersion, ListedLayer, ListedVersion};
pub use dropped::Dropped;
pub use identity::Identity;
pub use inventory::{LayerInventory, VersionRecord, VersionRecords};
pub use named_layers::{Grantee, NamedLayers, Publication, Statement, Zip};
pub use retained::Retained;
pub use stacks::{Event as StackEvent, Resource, Stack, Stacks};
pub use tracked::{RequestsTable, Source, Tracked, TrackedRequest, TrackedTarget};
