//! The stacks of a region and their data, before anything is deleted.

use std::collections::{BTreeMap, BTreeSet};

use accretion_aws::Clients;
use accretion_aws::operator::{Resource, Retained as InAws, Stack, Stacks as CloudFormation};
use accretion_core::layer::LayerName;
use futures_util::future::try_join_all;

use crate::args::Region;
use crate::cloud::{self, Pipeline, Retained, StackError, Stacks};
use crate::table;
use crate::units::counted;

/// The logical name of the table that lists the layers of a pipeline.
const LAYERS_TABLE: &str = "LayersTable";

/// The stacks and data of a region.
pub(super) struct Found {
    pub(super) clients: Clients,
    /// The names of stacks in the deployment file.
    pub(super) names: Vec<String>,
    /// The existing stacks, in the order of their deletion.
    pub(super) stacks: Vec<FoundStack>,
    /// The data of deleted stacks.
    pub(super) left: Vec<Retained>,
    /// The published layers of all stacks.
    published: BTreeMap<LayerName, BTreeSet<u64>>,
}

/// An existing stack.
pub(super) struct FoundStack {
    pub(super) stack: Stack,
    pub(super) resources: usize,
    pub(super) retained: Retained,
}

impl Found {
    /// Finds the stacks and data of a region. A stack has to be found before it is deleted: afterwards
    /// nothing names its data.
    pub(super) async fn look(
        region: &Region,
        clients: Clients,
        stacks: &Stacks,
        stack_name: Option<&str>,
    ) -> Result<Self, cloud::Error> {
        let mut names: Vec<_> = stacks.names().into_iter().map(str::to_owned).collect();
        if names.is_empty() {
            names.extend(stack_name.map(str::to_owned));
        }
        let cloud_formation = CloudFormation::new(&clients);
        // The reverse of the order of deployment.
        let describing = names.iter().rev().map(async |name| {
            let Some(stack) = cloud_formation.describe(name).await? else {
                return Ok(None);
            };
            let resources = cloud_formation.resources(&stack.id).await?;
            if !is_pipeline(&stack, &resources) {
                let (region, stack) = (region.clone(), stack.name);
                return Err(StackError::StackForeign { region, stack }.into());
            }
            let mut retained = retained(&stack, &resources);
            // A failed deletion may have released some of its data.
            if let Some(before) = stacks.retained.iter().find(|it| it.stack == stack.id) {
                retained.add(before);
            }
            Ok::<_, cloud::Error>(Some(FoundStack {
                resources: resources.len(),
                retained,
                stack,
            }))
        });
        let described = try_join_all(describing).await?;
        let existing: Vec<_> = described.into_iter().flatten().collect();
        let is_left = |it: &&Retained| existing.iter().all(|found| found.stack.id != it.stack);
        let mut found = Self {
            left: stacks.retained.iter().filter(is_left).cloned().collect(),
            stacks: existing,
            published: BTreeMap::new(),
            names,
            clients,
        };
        found.published = found.find_published().await?;
        Ok(found)
    }

    async fn find_published(&self) -> Result<BTreeMap<LayerName, BTreeSet<u64>>, cloud::Error> {
        let in_aws = InAws::new(&self.clients);
        let tables = self.retained().filter_map(|it| it.layers_table.as_ref());
        let mut published: BTreeMap<_, BTreeSet<u64>> = BTreeMap::new();
        for layers in try_join_all(tables.map(|table| in_aws.published(table))).await? {
            for (layer, versions) in layers {
                published.entry(layer).or_default().extend(versions);
            }
        }
        Ok(published)
    }

    /// The data of existing and deleted stacks.
    fn retained(&self) -> impl Iterator<Item = &Retained> {
        let of_stacks = self.stacks.iter().map(|it| &it.retained);
        of_stacks.chain(&self.left)
    }
}

/// Returns whether a stack is a pipeline, or a failed deployment of one, which has no outputs.
fn is_pipeline(stack: &Stack, resources: &[Resource]) -> bool {
    let has_table = resources.iter().any(|it| it.logical_id == LAYERS_TABLE);
    has_table || resources.is_empty() || stack.parameter(Pipeline::POINTER_PREFIX).is_some()
}

/// The data that a stack leaves.
fn retained(stack: &Stack, resources: &[Resource]) -> Retained {
    let of_type = |resource_type: &'static str| {
        let is_of_type = move |it: &&Resource| it.resource_type == resource_type;
        resources
            .iter()
            .filter(is_of_type)
            .filter(|it| it.is_of_stack())
    };
    let names = |resource_type| {
        let ids = of_type(resource_type).map(|it| it.physical_id.clone());
        let mut names: Vec<_> = ids.collect();
        names.sort();
        names
    };
    let (bucket, table) = ("AWS::S3::Bucket", "AWS::DynamoDB::Table");
    Retained {
        stack: stack.id.clone(),
        buckets: names(bucket),
        layers_table: of_type(table)
            .find(|it| it.logical_id == LAYERS_TABLE)
            .map(|it| it.physical_id.clone()),
        tables: names(table),
        pointer_prefix: stack.parameter(Pipeline::POINTER_PREFIX).map(str::to_owned),
    }
}

/// Prints what the command will delete and keep.
pub(super) fn announce(found: &[(Region, Found)], delete_data: bool) {
    let mut stacks = table::new(&["region", "to delete", ""]);
    let fate = if delete_data {
        "to delete for good"
    } else {
        "to keep"
    };
    let mut data = table::new(&["region", fate, ""]);
    for (region, found) in found {
        let mut add = |what: String, remark: &str| {
            data.add_row([region.to_string(), what, remark.to_owned()]);
        };
        for it in &found.stacks {
            let what = format!("stack {}", it.stack.name);
            stacks.add_row([
                region.to_string(),
                what,
                format!("{} resources", it.resources),
            ]);
        }
        // Without --delete-data, the data of deleted stacks does not matter.
        if !delete_data && found.stacks.is_empty() {
            continue;
        }
        for retained in found.retained() {
            for bucket in &retained.buckets {
                add(format!("bucket {bucket}"), "all versions");
            }
            for name in &retained.tables {
                add(format!("table {name}"), "");
            }
        }
        for (layer, versions) in &found.published {
            add(
                format!("layer {layer}"),
                &counted(versions.len(), "version"),
            );
        }
    }
    for rows in [stacks, data] {
        if !rows.is_empty() {
            table::print_to_stderr(rows, &[]);
            anstream::eprintln!();
        }
    }
}
