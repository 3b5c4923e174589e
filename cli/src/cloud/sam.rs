//! The SAM CLI, which builds the functions, uploads them and has CloudFormation deploy the stack.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};

use accretion_core::target::Architecture;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::Command;
use toml::{Table, Value};

use super::{Region, StackError, Template};
use crate::environment::Environment;

/// How many of its last lines are shown where it fails.
const LINES: usize = 12;

/// The parameter that says what the functions are built for.
const ARCHITECTURE: &str = "FunctionArchitecture";

/// A parameter of the template, as `--parameter` takes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Parameter {
    name: String,
    value: String,
}

impl Parameter {
    /// As `--parameter-overrides` takes it, whatever the value is.
    fn as_override(&self) -> String {
        let value = self.value.replace('\\', r"\\").replace('"', "\\\"");
        format!("{}=\"{value}\"", self.name)
    }
}

impl FromStr for Parameter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((name, value))
                if !name.is_empty() && name.bytes().all(|it| it.is_ascii_alphanumeric()) =>
            {
                Ok(Self {
                    name: name.to_owned(),
                    value: value.to_owned(),
                })
            }
            _ => Err("a parameter is written as NAME=VALUE".to_owned()),
        }
    }
}

/// How stacks are to be deployed.
#[derive(Debug, Clone)]
pub(crate) struct Deployment {
    pub(crate) template: Template,
    /// The section of samconfig.toml.
    pub(crate) config_env: String,
    pub(crate) parameters: Vec<Parameter>,
    pub(crate) profile: Option<String>,
}

/// The SAM CLI.
#[derive(Debug, Clone)]
pub(crate) struct Sam {
    program: PathBuf,
    deployment: Deployment,
    config: Config,
}

impl Sam {
    /// What deploys a stack.
    pub(crate) const DEPLOY: &str = "sam deploy";

    /// Finds it, and reads its configuration.
    pub(crate) fn find(
        environment: &Environment,
        deployment: Deployment,
    ) -> Result<Self, StackError> {
        let named = environment.sam.clone();
        let program = named.clone().unwrap_or_else(|| PathBuf::from("sam"));
        let path = environment.path.as_deref().unwrap_or(OsStr::new(""));
        let mut candidates = std::env::split_paths(path).map(|folder| folder.join(&program));
        let found = match named {
            Some(named) => named.is_file().then_some(named),
            None => candidates.find(|candidate| candidate.is_file()),
        };
        let found = found.ok_or_else(|| StackError::SamMissing {
            program: program.display().to_string(),
            problem: "there is no such program".to_owned(),
        })?;
        if let Some(known) = deployment.template.parameters() {
            let mut parameters = deployment.parameters.iter();
            if let Some(unknown) = parameters.find(|it| !known.contains(&it.name)) {
                return Err(StackError::ParameterUnknown {
                    template: deployment.template.path().to_owned(),
                    name: unknown.name.clone(),
                    known,
                });
            }
        }
        Ok(Self {
            config: Config::read(deployment.template.samconfig(), &deployment.config_env)?,
            // It is run in the template's folder.
            program: std::path::absolute(&found).unwrap_or(found),
            deployment,
        })
    }

    /// What the functions of a stack are built for, whose parameter says so by now or not.
    pub(crate) fn architecture(&self, known: Option<&str>) -> Architecture {
        let mut chosen = self.deployment.parameters.iter().rev();
        let chosen = chosen.find(|it| it.name == ARCHITECTURE);
        let chosen = chosen.map(|it| it.value.as_str());
        let chosen = chosen.or_else(|| self.config.value(ARCHITECTURE)).or(known);
        chosen
            .and_then(|it| it.parse().ok())
            .unwrap_or(Architecture::X86_64)
    }

    /// Builds the functions for an architecture. Returns the built template.
    pub(crate) async fn build(
        &self,
        architecture: Architecture,
        said: impl Fn(&str),
    ) -> Result<PathBuf, StackError> {
        let template = &self.deployment.template;
        let folder = template.build_folder(architecture);
        let mut command = self.command("build");
        command
            .arg("--template-file")
            .arg(template.path())
            // They are part of a workspace and are built where they are.
            .arg("--build-in-source")
            .arg("--build-dir")
            .arg(&folder)
            .arg("--parameter-overrides")
            .arg(format!("{ARCHITECTURE}={}", architecture.name()));
        self.run(command, "sam build", said).await?;
        Ok(folder.join("template.yaml"))
    }

    /// Deploys a built template, and waits until CloudFormation is done.
    pub(crate) async fn deploy(
        &self,
        template: &Path,
        region: &Region,
        stack: &str,
        said: impl Fn(&str),
    ) -> Result<(), StackError> {
        let mut command = self.command("deploy");
        command
            .arg("--template-file")
            .arg(template)
            .args(["--stack-name", stack, "--region", region.as_str()])
            .args(["--no-confirm-changeset", "--no-fail-on-empty-changeset"])
            .arg("--no-progressbar");
        if let Some(profile) = &self.deployment.profile {
            command.args(["--profile", profile]);
        }
        if !self.config.names_bucket {
            command.arg("--resolve-s3");
        }
        if !self.config.names_capabilities {
            command.args(["--capabilities", "CAPABILITY_IAM"]);
        }
        // Those of the command line would take the place of the configuration's. What neither
        // names stays what it is on the stack.
        if !self.deployment.parameters.is_empty() {
            let parameters = self.deployment.parameters.iter();
            command
                .arg("--parameter-overrides")
                .args(&self.config.overrides)
                .args(parameters.map(Parameter::as_override));
        }
        self.run(command, Self::DEPLOY, said).await
    }

    fn command(&self, verb: &str) -> Command {
        let template = &self.deployment.template;
        let mut command = Command::new(&self.program);
        command.arg(verb).current_dir(template.folder());
        if let Some(config) = template.samconfig() {
            command.arg("--config-file").arg(config);
            command.args(["--config-env", &self.deployment.config_env]);
        }
        command
    }

    /// Runs it to its end. It ends, with all that it has started, with its caller.
    async fn run(
        &self,
        mut command: Command,
        name: &str,
        said: impl Fn(&str),
    ) -> Result<(), StackError> {
        let child = command
            // What it says is to be seen as it says it.
            .env("PYTHONUNBUFFERED", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Ctrl-C on a terminal is for the caller, who knows what has begun.
            .process_group(0)
            .kill_on_drop(true)
            .spawn();
        let unusable = |error: std::io::Error| StackError::SamMissing {
            program: self.program.display().to_string(),
            problem: error.to_string(),
        };
        let mut child = child.map_err(unusable)?;
        let mut group = Group::of(child.id());
        let last = Mutex::new(VecDeque::with_capacity(LINES));
        let heard = |line: &str| {
            said(line);
            let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
            // What went before an error is not what it is about.
            if line.starts_with("Error:") {
                last.clear();
            } else if last.len() == LINES {
                last.pop_front();
            }
            last.push_back(line.to_owned());
        };
        let stdout = child.stdout.take();
        let stderr = child.stderr.take();
        let ((), (), status) =
            tokio::join!(lines(stdout, &heard), lines(stderr, &heard), child.wait());
        group.has_ended();
        if status.map_err(unusable)?.success() {
            return Ok(());
        }
        let last = last.into_inner().unwrap_or_else(PoisonError::into_inner);
        Err(StackError::SamFailed {
            command: name.to_owned(),
            said: Vec::from(last).join("\n"),
        })
    }
}

/// Hands on each line that says something.
async fn lines(from: Option<impl AsyncRead + Unpin>, heard: impl Fn(&str)) {
    let Some(from) = from else { return };
    let mut from = BufReader::new(from);
    let mut bytes = Vec::new();
    // A line that can't be read is not worth a deployment.
    while from
        .read_until(b'\n', &mut bytes)
        .await
        .is_ok_and(|it| it > 0)
    {
        let line = String::from_utf8_lossy(&bytes);
        let line = line.trim_end();
        if !line.is_empty() {
            heard(line);
        }
        bytes.clear();
    }
}

/// A group of processes that ends when this is dropped.
struct Group(Option<Pid>);

impl Group {
    fn of(leader: Option<u32>) -> Self {
        let leader = leader.and_then(|it| i32::try_from(it).ok());
        Self(leader.and_then(Pid::from_raw))
    }

    /// The number may be another one's by now.
    fn has_ended(&mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // Nothing to do about processes that are gone.
            let _ = kill_process_group(group, Signal::TERM);
        }
    }
}

/// What samconfig.toml says of deployments.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Config {
    /// As `--parameter-overrides` takes them.
    overrides: Vec<String>,
    names_bucket: bool,
    names_capabilities: bool,
}

impl Config {
    /// The section for whoever names none.
    const DEFAULT_ENV: &str = "default";

    fn read(file: Option<PathBuf>, section: &str) -> Result<Self, StackError> {
        let Some(path) = file else {
            return Ok(Self::default());
        };
        let invalid = |problem: String| StackError::SamConfigInvalid {
            path: path.clone(),
            problem,
        };
        let text = fs::read_to_string(&path).map_err(|error| invalid(error.to_string()))?;
        let table: Table = text
            .parse()
            .map_err(|error: toml::de::Error| invalid(error.to_string()))?;
        // The one that is taken where nothing is said need not be there.
        if section != Self::DEFAULT_ENV && !table.contains_key(section) {
            let sections = table.iter().filter(|(_, value)| value.is_table());
            let sections: Vec<_> = sections.map(|(name, _)| name.as_str()).collect();
            let sections = sections.join(", ");
            return Err(invalid(format!(
                "it has no section `{section}`, but {sections}"
            )));
        }
        Ok(Self::of(&table, section))
    }

    fn of(config: &Table, section: &str) -> Self {
        let parameters = |command| {
            let section = config.get(section)?.get(command)?;
            section.get("parameters")?.as_table()
        };
        // What is for deployments counts before what is for all commands.
        let tables = [parameters("deploy"), parameters("global")];
        let find = |name| {
            tables
                .into_iter()
                .flatten()
                .find_map(|table| table.get(name))
        };
        Self {
            overrides: find("parameter_overrides")
                .map(overrides)
                .unwrap_or_default(),
            names_bucket: find("s3_bucket").is_some() || find("resolve_s3").is_some(),
            names_capabilities: find("capabilities").is_some(),
        }
    }

    /// What a parameter is set to, if it is in the usual form.
    fn value(&self, parameter: &str) -> Option<&str> {
        let words = self
            .overrides
            .iter()
            .flat_map(|it| it.split_whitespace())
            .rev();
        let mut values = words.filter_map(|word| {
            let value = word.strip_prefix(parameter)?.strip_prefix('=')?;
            Some(value.trim_matches(['"', '\'']))
        });
        values.next()
    }
}

fn overrides(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => vec![text.clone()],
        Value::Array(several) => several.iter().flat_map(overrides).collect(),
        Value::Table(table) => {
            let parameters = table.iter().map(|(name, value)| Parameter {
                name: name.clone(),
                value: value
                    .as_str()
                    .map_or_else(|| value.to_string(), str::to_owned),
            });
            parameters.map(|it| it.as_override()).collect()
        }
        other => vec![other.to_string()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_handed_on_whatever_they_hold() {
        for (given, handed_on) in [
            ("IndexUrl=", r#"IndexUrl="""#),
            ("AllowedHosts=a, b", r#"AllowedHosts="a, b""#),
            (r#"A=x"y\z=1"#, r#"A="x\"y\\z=1""#),
        ] {
            let parameter: Parameter = given.parse().unwrap();
            assert_eq!(parameter.as_override(), handed_on);
        }
        for given in ["", "A", "=b", "A B=c", "--x=1"] {
            assert!(given.parse::<Parameter>().is_err(), "{given}");
        }
    }

    #[test]
    fn the_configuration_names_parameters_in_any_form() {
        let config = |text: &str, section| Config::of(&text.parse().unwrap(), section);
        let text = r#"
            version = 0.1
            [default.global.parameters]
            capabilities = "CAPABILITY_IAM"
            [default.deploy.parameters]
            resolve_s3 = true
            parameter_overrides = "A=1 FunctionArchitecture=\"arm64\""
            [listed.deploy.parameters]
            s3_bucket = "mine"
            parameter_overrides = ["A=1", "FunctionArchitecture=x86_64 FunctionArchitecture=arm64"]
            [mapped.deploy.parameters]
            parameter_overrides = {A = 1, FunctionArchitecture = "arm64"}
        "#;
        let default = config(text, "default");
        assert!(default.names_bucket && default.names_capabilities);
        for section in ["default", "listed", "mapped"] {
            let config = config(text, section);
            assert_eq!(
                config.value("FunctionArchitecture"),
                Some("arm64"),
                "{section}"
            );
            assert_eq!(config.value("A"), Some("1"), "{section}");
            assert_eq!(config.value("Function"), None, "{section}");
        }
        assert!(!config(text, "listed").names_capabilities);
        assert_eq!(config(text, "other"), Config::default());
    }
}
