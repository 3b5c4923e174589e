//! What the command says of itself.

use integration_tests::snapshot;

use crate::Operator;

#[test]
fn help() {
    let operator = Operator::new("http://127.0.0.1:9".to_owned());
    snapshot!("help", operator.run("--help").exits(0));
    snapshot!("no_command", operator.run("").exits(2));
}
