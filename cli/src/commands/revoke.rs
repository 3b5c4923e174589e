//! `accretion revoke`

use std::process::ExitCode;

use accretion_aws::operator::{Grantee, NamedLayers, Statement};
use accretion_core::diagnostic::printable;
use serde::Serialize;

use crate::args::{Format, Global};
use crate::cloud::{self, AwsOptions, StatementRecord, VersionToShare, Who};
use crate::error::Error;
use crate::{print_json, table};

/// Let somebody not use a published version of a layer any more
///
/// Takes back every statement that grants exactly that, whoever made it. Functions that have the
/// layer already keep it. Prints who may use the version then. Nothing to take back is no error.
#[derive(Debug, clap::Args)]
pub(crate) struct Revoke {
    #[command(flatten)]
    pub(super) version: VersionToShare,
    #[command(flatten)]
    who: Who,
    /// Everybody but your own account, whatever was granted
    #[arg(long, group = "Who", help_heading = "Who may use it")]
    all: bool,
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
    revoked: Vec<StatementRecord>,
    permissions: Vec<StatementRecord>,
}

/// Takes back what was granted.
pub(crate) async fn run(args: Revoke, global: Global) -> Result<ExitCode, Error> {
    let shared = args.version.find(&args.aws).await?;
    let unwanted = args.who.permissions(&shared.clients).await?;
    let unwanted: Vec<_> = unwanted.into_iter().map(Grantee::Known).collect();
    let before = shared.statements().await?;
    let is_unwanted = |statement: &&Statement| args.all || unwanted.contains(&statement.grantee);
    let revoked: Vec<_> = before.iter().filter(is_unwanted).collect();
    let layers = NamedLayers::new(&shared.clients);
    for statement in &revoked {
        let gone = layers.revoke(&shared.layer, shared.version.version, statement);
        gone.await.map_err(cloud::Error::from)?;
    }
    let after = shared.statements().await?;
    match global.format {
        Format::Json => print_json(&Document {
            region: shared.region.as_str(),
            layer: shared.layer.as_str(),
            version: shared.version.version,
            version_arn: &shared.version.arn,
            revoked: revoked.into_iter().map(StatementRecord::from).collect(),
            permissions: after.iter().map(StatementRecord::from).collect(),
        }),
        Format::Text if global.quiet => {}
        Format::Text => {
            anstream::println!("{}", shared.version.arn);
            for statement in &revoked {
                let (grantee, id) = (&statement.grantee, &statement.id);
                let revoked = format!("revoked from {grantee} ({id})");
                anstream::println!("{}", printable(&revoked));
            }
            let had_nothing =
                |grantee: &&Grantee| !revoked.iter().any(|it| it.grantee == **grantee);
            for grantee in unwanted.iter().filter(had_nothing) {
                anstream::println!("nothing was granted to {grantee}");
            }
            if after.is_empty() {
                anstream::println!("it may be used by its own account alone");
            } else {
                let mut rows = table::new(&["may be used by", "statement"]);
                for statement in &after {
                    rows.add_row([statement.grantee.to_string(), statement.id.clone()]);
                }
                table::print(rows, &[]);
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}
