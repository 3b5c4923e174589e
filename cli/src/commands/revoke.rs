//! `accretion revoke`

use std::process::ExitCode;

use accretion_aws::operator::{Grantee, Statement};
use accretion_core::diagnostic::printable;
use serde::Serialize;

use crate::args::{Global, Revoke};
use crate::cloud::{self, Shared, StatementRecord};
use crate::error::Error;
use crate::table;

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Revoked {
    revoked: Vec<StatementRecord>,
}

/// Removes the statements that grant these permissions.
pub(super) async fn run(args: Revoke, global: Global) -> Result<ExitCode, Error> {
    let shared = Shared::find(args.placed, &args.aws).await?;
    let permissions = args.grantees.permissions(&shared.clients).await?;
    let unwanted: Vec<_> = permissions.into_iter().map(Grantee::Known).collect();
    let before = shared.statements().await?;
    let is_unwanted = |statement: &&Statement| args.all || unwanted.contains(&statement.grantee);
    let revoked: Vec<_> = before.iter().filter(is_unwanted).collect();
    for statement in &revoked {
        let version = shared.version.version;
        let revoking = shared.layers.revoke(&shared.layer, version, statement);
        revoking.await.map_err(cloud::Error::from)?;
    }
    let after = shared.statements().await?;
    if !global.is_text() {
        let records = revoked.into_iter().map(StatementRecord::from);
        let revoked = records.collect();
        shared.print_json(Revoked { revoked }, &after);
    } else if !global.quiet {
        anstream::println!("{}", shared.version.arn);
        for Statement { grantee, id, .. } in &revoked {
            let text = format!("revoked from {grantee} ({id})");
            anstream::println!("{}", printable(&text));
        }
        let had_none = |grantee: &&Grantee| !revoked.iter().any(|it| it.grantee == **grantee);
        for grantee in unwanted.iter().filter(had_none) {
            anstream::println!("nothing was granted to {grantee}");
        }
        if after.is_empty() {
            anstream::println!("it is shared with no other account");
        } else {
            let mut rows = table::new(&["shared with", "statement"]);
            for statement in &after {
                rows.add_row([statement.grantee.to_string(), statement.id.clone()]);
            }
            table::print(rows, &[]);
        }
    }
    Ok(ExitCode::SUCCESS)
}
