//! Calls of services that too little is asked of to compile a crate for each.

use serde_json::Value;

use crate::workspace::{REGION, command, run, tool};
use crate::{Error, MiniStack, Result};

/// A call: the service, the operation and its parameters, as boto3 names them.
pub type Call<'a> = (&'a str, &'a str, Value);

/// Makes calls one after the other with boto3, which the pinned tools have, and returns the answers.
/// They end with the first that fails.
pub async fn call(server: &MiniStack, calls: &[Call<'_>]) -> Result<Vec<Value>> {
    call_in(REGION, server, calls).await
}

/// The same in another region than the server's own.
pub async fn call_in(region: &str, server: &MiniStack, calls: &[Call<'_>]) -> Result<Vec<Value>> {
    let calls: Value = calls
        .iter()
        .map(|(service, operation, parameters)| {
            Value::from(vec![
                Value::from(*service),
                Value::from(*operation),
                parameters.clone(),
            ])
        })
        .collect();
    let mut python = command(&tool("python"));
    python
        .args(["-I", "-c", include_str!("call_aws.py")])
        .arg(calls.to_string())
        .env("AWS_DEFAULT_REGION", region)
        .env("AWS_REGION", region)
        .env("AWS_ENDPOINT_URL", server.endpoint());
    let answers = run(python).await?;
    serde_json::from_str(&answers).map_err(|it| Error::Unexpected(format!("{answers}: {it}")))
}
