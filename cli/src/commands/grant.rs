//! `accretion grant`

use std::process::ExitCode;

use accretion_aws::operator::{Grantee, NamedLayers};
use accretion_core::request::Permission;
use serde::Serialize;

use crate::args::{Format, Global};
use crate::cloud::{self, AwsOptions, PermissionRecord, StatementRecord, VersionToShare, Who};
use crate::error::Error;
use crate::{print_json, table};

/// Let somebody use a published version of a layer
///
/// What is granted already stays as it is. Prints who may use the version then.
#[derive(Debug, clap::Args)]
pub(crate) struct Grant {
    #[command(flatten)]
    pub(super) version: VersionToShare,
    #[command(flatten)]
    who: Who,
    #[command(flatten)]
    aws: AwsOptions,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Document<'a> {
    region: &'a str,
    layer: &'a str,
    version: u64,
    version_arn: &'a str,
    granted: Vec<PermissionRecord>,
    permissions: Vec<StatementRecord>,
}

/// Grants what is not granted yet.
pub(crate) async fn run(args: Grant, global: Global) -> Result<ExitCode, Error> {
    let shared = args.version.find(&args.aws).await?;
    let wanted = args.who.permissions(&shared.clients).await?;
    let before = shared.statements().await?;
    let is_granted = |permission: &Permission| {
        let grantee = Grantee::Known(permission.clone());
        before.iter().any(|statement| statement.grantee == grantee)
    };
    let new: Vec<_> = wanted.iter().filter(|it| !is_granted(it)).collect();
    let layers = NamedLayers::new(&shared.clients);
    for permission in &new {
        let granted = layers.grant(&shared.layer, shared.version.version, permission);
        granted.await.map_err(cloud::Error::from)?;
    }
    let after = shared.statements().await?;
    match global.format {
        Format::Json => print_json(&Document {
            region: shared.region.as_str(),
            layer: shared.layer.as_str(),
            version: shared.version.version,
            version_arn: &shared.version.arn,
            granted: new.into_iter().map(PermissionRecord::from).collect(),
            permissions: after.iter().map(StatementRecord::from).collect(),
        }),
        Format::Text if global.quiet => {}
        Format::Text => {
            anstream::println!("{}", shared.version.arn);
            let mut rows = table::new(&["may be used by", "statement", ""]);
            for statement in &after {
                let is = |known: &Permission| statement.grantee == Grantee::Known(known.clone());
                let note = if new.iter().any(|it| is(it)) {
                    "granted"
                } else if wanted.iter().any(is) {
                    "was granted before"
                } else {
                    ""
                };
                let id = statement.id.clone();
                rows.add_row([statement.grantee.to_string(), id, note.to_owned()]);
            }
            table::print(rows, &[]);
        }
    }
    Ok(ExitCode::SUCCESS)
}
