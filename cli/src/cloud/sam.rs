//! The SAM CLI, which builds the functions, uploads them and deploys the stack through
//! CloudFormation.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Mutex, PoisonError};

use accretion_core::target::Architecture;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::Command;
use toml::{Table, Value};

use super::{StackError, Template};
use crate::args::{Parameter, Region};
use crate::environment::Environment;
use crate::print;

/// The number of its last lines in a failure.
const LINES: usize = 12;

/// The template parameter with the architecture of the functions.
const ARCHITECTURE: &str = "FunctionArchitecture";

impl Parameter {
    /// The parameter as `--parameter-overrides` takes it, for any value.
    fn as_override(&self) -> String {
        let value = self.value.replace('\\', r"\\").replace('"', "\\\"");
        format!("{}=\"{value}\"", self.name)
    }
}

/// The settings of a deployment.
#[derive(Debug, Clone)]
pub(crate) struct Deployment {
    pub(crate) template: Template,
    /// The section of samconfig.toml.
    pub(crate) config_env: String,
    pub(crate) parameters: Vec<Parameter>,
    pub(crate) profile: Option<String>,
}

/// A command of the SAM CLI.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SamCommand {
    Build,
    Deploy,
}

impl SamCommand {
    fn verb(self) -> &'static str {
        match self {
            Self::Build => "build",
            Self::Deploy => "deploy",
        }
    }
}

impl fmt::Display for SamCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sam {}", self.verb())
    }
}

/// The SAM CLI.
#[derive(Debug, Clone)]
pub(crate) struct Sam {
    program: PathBuf,
    deployment: Deployment,
    config: Config,
}

impl Sam {
    /// Finds the SAM CLI, and reads its configuration.
    pub(crate) fn find(
        environment: &Environment,
        deployment: Deployment,
    ) -> Result<Self, StackError> {
        let named = environment.sam.clone();
        let program = named.clone().unwrap_or_else(|| PathBuf::from("sam"));
        let path = environment.path.as_deref().unwrap_or(OsStr::new(""));
        let mut candidates = std::env::split_paths(path).map(|folder| folder.join(&program));
        let Some(found) = (match named {
            Some(named) => named.is_file().then_some(named),
            None => candidates.find(|candidate| candidate.is_file()),
        }) else {
            return Err(StackError::SamMissing {
                program: program.display().to_string(),
                problem: "the program does not exist".to_owned(),
            });
        };
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
            // It runs in the folder of the template.
            program: std::path::absolute(&found).unwrap_or(found),
            deployment,
        })
    }

    /// The architecture of the functions: from the command line, the configuration, or the parameter
    /// of the stack.
    pub(crate) fn architecture(&self, known: Option<&str>) -> Architecture {
        let mut parameters = self.deployment.parameters.iter().rev();
        parameters
            .find(|it| it.name == ARCHITECTURE)
            .map(|it| it.value.as_str())
            .or_else(|| self.config.value(ARCHITECTURE))
            .or(known)
            .and_then(|it| it.parse().ok())
            .unwrap_or(Architecture::X86_64)
    }

    /// Builds the functions for an architecture. Returns the built template.
    pub(crate) async fn build(
        &self,
        architecture: Architecture,
        on_line: impl Fn(&str),
    ) -> Result<PathBuf, StackError> {
        let template = &self.deployment.template;
        let folder = template.build_folder(architecture);
        let mut command = self.command(SamCommand::Build);
        command
            .arg("--template-file")
            .arg(template.path())
            // The functions are crates of a workspace, which is built in place.
            .arg("--build-in-source")
            .arg("--build-dir")
            .arg(&folder)
            .arg("--parameter-overrides")
            .arg(format!("{ARCHITECTURE}={}", architecture.name()));
        self.run(command, SamCommand::Build, on_line).await?;
        Ok(folder.join("template.yaml"))
    }

    /// Deploys a built template, and waits until CloudFormation is done.
    pub(crate) async fn deploy(
        &self,
        template: &Path,
        region: &Region,
        stack: &str,
        on_line: impl Fn(&str),
    ) -> Result<(), StackError> {
        let mut command = self.command(SamCommand::Deploy);
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
        // Parameters of the command line replace those of the configuration. All others keep their
        // values on the stack.
        if !self.deployment.parameters.is_empty() {
            let parameters = self.deployment.parameters.iter();
            command
                .arg("--parameter-overrides")
                .args(&self.config.overrides)
                .args(parameters.map(Parameter::as_override));
        }
        self.run(command, SamCommand::Deploy, on_line).await
    }

    fn command(&self, command: SamCommand) -> Command {
        let template = &self.deployment.template;
        let mut sam = Command::new(&self.program);
        sam.arg(command.verb()).current_dir(template.folder());
        if let Some(config) = template.samconfig() {
            sam.arg("--config-file").arg(config);
            sam.args(["--config-env", &self.deployment.config_env]);
        }
        sam
    }

    /// Runs a command to its end. If the caller is dropped, the process ends with all of its
    /// descendants.
    async fn run(
        &self,
        mut sam: Command,
        command: SamCommand,
        on_line: impl Fn(&str),
    ) -> Result<(), StackError> {
        let spawned = sam
            // Unbuffered, so that progress is visible at once.
            .env("PYTHONUNBUFFERED", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Ctrl-C on a terminal goes only to the caller, which reports what has begun.
            .process_group(0)
            .kill_on_drop(true)
            .spawn();
        let unusable = |error: std::io::Error| StackError::SamMissing {
            program: self.program.display().to_string(),
            problem: error.to_string(),
        };
        let mut child = spawned.map_err(unusable)?;
        let mut group = Group::of(child.id());
        let last = Mutex::new(VecDeque::with_capacity(LINES));
        let heard = |line: &str| {
            on_line(line);
            let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
            // The lines before an error do not explain it.
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
        let lines = last.into_inner().unwrap_or_else(PoisonError::into_inner);
        Err(StackError::SamFailed {
            command,
            said: Vec::from(lines).join("\n"),
        })
    }
}

/// Passes on each line that is not empty.
async fn lines(from: Option<impl AsyncRead + Unpin>, heard: impl Fn(&str)) {
    let Some(stream) = from else { return };
    let mut from = BufReader::new(stream);
    let mut bytes = Vec::new();
    // An unreadable line does not stop a deployment.
    while from
        .read_until(b'\n', &mut bytes)
        .await
        .is_ok_and(|it| it > 0)
    {
        let text = String::from_utf8_lossy(&bytes);
        let line = text.trim_end();
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
        let id = leader.and_then(|it| i32::try_from(it).ok());
        Self(id.and_then(Pid::from_raw))
    }

    /// Forgets the group, since another one may get its number.
    fn has_ended(&mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // The processes may be gone.
            let _ = kill_process_group(group, Signal::TERM);
        }
    }
}

/// The deployment settings of a samconfig.toml.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Config {
    /// The parameters as `--parameter-overrides` takes them.
    overrides: Vec<String>,
    names_bucket: bool,
    names_capabilities: bool,
}

impl Config {
    /// The default section.
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
        // Only the default section is optional.
        if section != Self::DEFAULT_ENV && !table.contains_key(section) {
            let sections = table.iter().filter(|(_, value)| value.is_table());
            let names = print::joined(sections.map(|(name, _)| name));
            return Err(invalid(format!(
                "it has no section `{section}`, but {names}"
            )));
        }
        Ok(Self::of(&table, section))
    }

    fn of(config: &Table, section: &str) -> Self {
        let parameters = |command| {
            let section = config.get(section)?.get(command)?;
            section.get("parameters")?.as_table()
        };
        // Settings for deployments override settings for all commands.
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

    /// The value of a parameter, if it is in the usual form.
    fn value(&self, parameter: &str) -> Option<&str> {
        let words = self.overrides.iter().flat_map(|it| it.split_whitespace());
        words.rev().find_map(|word| {
            let value = word.strip_prefix(parameter)?.strip_prefix('=')?;
            Some(value.trim_matches(['"', '\'']))
        })
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
