//! The other reader: one Python with its standard library, started once and asked over pipes.

use std::env;
use std::ffi::OsString;
use std::io::{self, Read as _, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};

use serde_json::{Value, json};

/// The variable that names the Python for [`ORACLE`], the one of the tests' own scripts. The
/// default is `python3` on `PATH`.
const PYTHON: &str = "ACCRETION_TOOLS_PYTHON";
const ORACLE: &str = include_str!("../oracle.py");

/// Asks the oracle: `question` is an object, to which the lengths of the blobs are added.
pub(crate) fn ask(mut question: Value, blobs: &[&[u8]]) -> Value {
    static PYTHON: OnceLock<Mutex<Python>> = OnceLock::new();
    question["blobs"] = json!(blobs.iter().map(|blob| blob.len()).collect::<Vec<_>>());
    let python = PYTHON.get_or_init(|| Mutex::new(Python::start()));
    // A target that panicked while it held the lock had its answer by then.
    let mut python = python.lock().unwrap_or_else(PoisonError::into_inner);
    python.ask(&question, blobs).unwrap_or_else(|error| {
        let status = python.child.wait();
        panic!("Python does not answer ({error}; {status:?})")
    })
}

struct Python {
    child: Child,
    questions: ChildStdin,
    answers: ChildStdout,
}

impl Python {
    fn start() -> Self {
        let python = env::var_os(PYTHON).unwrap_or_else(|| OsString::from("python3"));
        // Unbuffered input: what is read is the question and nothing behind it.
        let mut child = Command::new(&python)
            .args(["-I", "-c", ORACLE])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{} can't be run: {error}", python.display()));
        let pipes = child.stdin.take().zip(child.stdout.take());
        let (questions, answers) = pipes.expect("both are piped");
        Self {
            child,
            questions,
            answers,
        }
    }

    fn ask(&mut self, question: &Value, blobs: &[&[u8]]) -> io::Result<Value> {
        let text = question.to_string();
        let length = u32::try_from(text.len()).map_err(io::Error::other)?;
        let head: [&[u8]; 2] = [&length.to_le_bytes(), text.as_bytes()];
        self.questions
            .write_all(&[&head[..], blobs].concat().concat())?;
        let mut length = [0; 4];
        self.answers.read_exact(&mut length)?;
        let length = usize::try_from(u32::from_le_bytes(length)).map_err(io::Error::other)?;
        let mut answer = vec![0; length];
        self.answers.read_exact(&mut answer)?;
        serde_json::from_slice(&answer).map_err(io::Error::other)
    }
}
