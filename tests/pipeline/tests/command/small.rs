//! A server on which stacks are deployed and deleted, and a template that is soon deployed.

use std::path::Path;

use pipeline_tests::boto3;
use pipeline_tests::{MiniStack, Options, Result, sam};
use serde_json::{Value, json};

use crate::{Operator, REGIONS};

/// The outputs and parameters of a pipeline, without functions.
const TEMPLATE: &str = include_str!("small.yaml");

/// Starts a server for the tests of a file. It ends with their process.
pub(crate) fn start(name: &str) -> Result<MiniStack> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let server = MiniStack::start(&folder.join("ministack.log"), &Options::default())?;
    // The SAM CLI's own bucket: in each region the first deployment makes it, and no other one may
    // come meanwhile.
    let template = folder.join("template.yaml");
    std::fs::write(&template, TEMPLATE).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let [one, other] = REGIONS.map(|region| sam::deploy_in(region, &server, name, &template));
        tokio::try_join!(one, other)
    })?;
    Ok(server)
}

/// Somebody with a small template that counts as built, and a deployment file that names regions.
/// All buckets of theirs begin with their name.
pub(crate) struct Deployer {
    pub(crate) operator: Operator,
    pub(crate) server: &'static MiniStack,
    pub(crate) name: String,
}

impl Deployer {
    #[track_caller]
    pub(crate) fn new(server: &'static Result<MiniStack>, name: &str, regions: &str) -> Self {
        let server = server.as_ref().unwrap_or_else(|error| panic!("{error}"));
        let deployer = Self {
            operator: Operator::new(server.endpoint()),
            server,
            name: name.to_owned(),
        };
        deployer.write_template(TEMPLATE);
        if !regions.is_empty() {
            let run = deployer.operator.run(&format!("init d.json {regions}"));
            run.exits(0);
        }
        deployer
    }

    /// Changes the template.
    pub(crate) fn change_template(&self, changes: &[(&str, &str)]) {
        let template = changes
            .iter()
            .fold(TEMPLATE.to_owned(), |template, (from, to)| {
                assert!(template.contains(from), "{from}");
                template.replace(from, to)
            });
        self.write_template(&template);
    }

    fn write_template(&self, template: &str) {
        let prefix = format!("BucketPrefix: {{Type: String, Default: {}}}", self.name);
        let template = template.replace("BucketPrefix: {Type: String, Default: nobody}", &prefix);
        let path = ".aws-sam/build/template.yaml";
        self.operator.write(path, &template);
        self.operator.write("source/template.yaml", &template);
    }

    /// The arguments of `update all` for a stack of their own.
    pub(crate) fn update(&self, options: &str) -> String {
        let Self { name, .. } = self;
        format!(
            "update all d.json --template .aws-sam/build/template.yaml --stack-name {name} {options}"
        )
    }

    /// The entry of a region in the deployment file.
    pub(crate) fn region(&self, region: &str) -> Value {
        let file: Value = serde_json::from_str(&self.operator.read("d.json")).unwrap();
        file["Deployments"][region].clone()
    }

    /// The name of a bucket.
    pub(crate) fn bucket(&self, kind: &str, region: &str) -> String {
        format!("{}-{kind}-000000000000-{region}", self.name)
    }

    /// The answer to a call of boto3 in a region.
    #[track_caller]
    pub(crate) fn call(
        &self,
        region: &str,
        service: &str,
        operation: &str,
        parameters: Value,
    ) -> Value {
        let calls = [(service, operation, parameters)];
        self.calls(region, &calls).pop().unwrap()
    }

    /// The answers to several.
    #[track_caller]
    pub(crate) fn calls(&self, region: &str, calls: &[boto3::Call<'_>]) -> Vec<Value> {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime
            .block_on(boto3::call_in(region, self.server, calls))
            .unwrap_or_else(|error| panic!("{error}"))
    }

    /// The stack as CloudFormation describes it; null if there is none.
    #[track_caller]
    pub(crate) fn stack(&self, region: &str) -> Value {
        let all = self.call(region, "cloudformation", "describe_stacks", json!({}));
        let stacks = all["Stacks"].as_array().unwrap();
        let ours = stacks.iter().find(|it| it["StackName"] == self.name);
        ours.cloned().unwrap_or_default()
    }

    /// A parameter of the stack.
    #[track_caller]
    pub(crate) fn parameter(&self, region: &str, name: &str) -> Value {
        let stack = self.stack(region);
        let parameters = stack["Parameters"].as_array().unwrap();
        let parameter = parameters.iter().find(|it| it["ParameterKey"] == name);
        parameter.unwrap()["ParameterValue"].clone()
    }

    /// The names of their buckets in all regions.
    #[track_caller]
    pub(crate) fn buckets(&self) -> Vec<String> {
        let answer = self.call("eu-west-1", "s3", "list_buckets", json!({}));
        let buckets = answer["Buckets"].as_array().unwrap().iter();
        let names = buckets.map(|it| it["Name"].as_str().unwrap().to_owned());
        let mut names: Vec<_> = names.filter(|it| it.starts_with(&self.name)).collect();
        names.sort();
        names
    }

    /// The names of their tables in a region.
    #[track_caller]
    pub(crate) fn tables(&self, region: &str) -> usize {
        let answer = self.call(region, "dynamodb", "list_tables", json!({}));
        let names = answer["TableNames"].as_array().unwrap().iter();
        names
            .filter(|it| it.as_str().unwrap().starts_with(&self.name))
            .count()
    }
}

/// The output of a command, with the lines of standard error in order: regions are worked on at once.
pub(crate) fn sorted(mut run: integration_tests::Run) -> integration_tests::Run {
    let is_of_region = |line: &&str| line.split_once(": ").is_some_and(|it| it.0.contains("-1"));
    let (mut lines, others): (Vec<_>, Vec<_>) = run.stderr.lines().partition(is_of_region);
    lines.sort_unstable();
    lines.extend(others);
    run.stderr = lines.join("\n");
    run
}

/// The output of a command, without what CloudFormation adds to names.
pub(crate) fn without_suffixes(mut run: integration_tests::Run) -> integration_tests::Run {
    for text in [&mut run.stdout, &mut run.stderr] {
        let lines = text.lines().map(|line| {
            let mut words = line.rsplitn(2, "Table-");
            match (words.next(), words.next()) {
                (Some(suffix), Some(name)) => {
                    let rest = suffix.trim_start_matches(|it: char| it.is_ascii_alphanumeric());
                    format!("{name}Table-[SUFFIX]{rest}")
                }
                _ => line.to_owned(),
            }
        });
        *text = lines.collect::<Vec<_>>().join("\n");
    }
    run
}

/// Puts as many objects into a bucket, of two versions each, and deletes them all: three versions
/// of each are there.
#[track_caller]
pub(crate) fn fill(us: &Deployer, bucket: &str, objects: usize) {
    let calls = (0..objects).flat_map(|number| {
        let object = || json!({"Bucket": bucket, "Key": format!("requests/{number:05}")});
        let put = ("s3", "put_object", object());
        [put.clone(), put, ("s3", "delete_object", object())]
    });
    let calls: Vec<_> = calls.collect();
    // Not all of them fit on a command line.
    for calls in calls.chunks(600) {
        us.calls("eu-west-1", calls);
    }
}
