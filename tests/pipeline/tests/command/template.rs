//! `template`.

use integration_tests::snapshot;
use pipeline_tests::workspace::root;

use crate::Operator;

#[test]
fn the_template_is_found() {
    let operator = Operator::new("http://127.0.0.1:9".to_owned());
    let mut command = operator.command(["template"]);
    let run = operator.finish({
        command.env_remove("ACCRETION_TEMPLATE");
        command
    });
    let of_checkout = root().join("sam/template.yaml");
    assert_eq!(run.exits(0).stdout.trim(), of_checkout.to_str().unwrap());

    operator.write("mine.yaml", "");
    let run = operator.run("template --template mine.yaml").exits(0);
    snapshot!("template_named", run);
    let run = operator.run("template --template mine.yaml --format json");
    snapshot!("template_json", run.exits(0));
    let run = operator.run("template --template none.yaml");
    snapshot!("template_missing", run.fails(3, "TemplateMissing"));
    let mut command = operator.command(["template"]);
    command.env("ACCRETION_TEMPLATE", "mine.yaml");
    let run = operator.finish(command).exits(0);
    assert!(run.stdout.trim().ends_with("mine.yaml"), "{run}");
}
