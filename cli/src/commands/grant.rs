//! `accretion grant`

use std::process::ExitCode;

use accretion_aws::operator::Grantee;
use accretion_core::request::{Permission, PermissionDocument};
use serde::Serialize;

use crate::args::{Global, Grant};
use crate::cloud::{self, Shared};
use crate::error::Error;
use crate::table;

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Granted {
    granted: Vec<PermissionDocument>,
}

/// Grants the permissions that are missing.
pub(super) async fn run(args: Grant, global: Global) -> Result<ExitCode, Error> {
    let shared = Shared::find(args.placed, &args.aws).await?;
    let wanted = args.grantees.permissions(&shared.clients).await?;
    let before = shared.statements().await?;
    let is_granted = |permission: &Permission| {
        let grantee = Grantee::Known(permission.clone());
        before.iter().any(|statement| statement.grantee == grantee)
    };
    let new: Vec<_> = wanted.iter().filter(|it| !is_granted(it)).collect();
    for permission in &new {
        let version = shared.version.version;
        let granting = shared.layers.grant(&shared.layer, version, permission);
        granting.await.map_err(cloud::Error::from)?;
    }
    let after = shared.statements().await?;
    if !global.is_text() {
        let granted = new.into_iter().map(Into::into).collect();
        shared.print_json(Granted { granted }, &after);
    } else if !global.quiet {
        anstream::println!("{}", shared.version.arn);
        let mut rows = table::new(&["shared with", "statement", ""]);
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
    Ok(ExitCode::SUCCESS)
}
