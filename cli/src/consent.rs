//! Asking before what can't be taken back.

use std::io::{self, BufRead as _, IsTerminal as _};

use crate::cloud::Error;

/// Asks a question at the terminal. Whatever is not yes is no.
pub(crate) async fn ask(question: &str) -> Result<bool, Error> {
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Err(Error::ConfirmationMissing);
    }
    anstream::eprint!("{question} [y/N] ");
    let (answer, answered) = tokio::sync::oneshot::channel();
    // A thread of its own: the command does not wait for it when it is interrupted.
    std::thread::spawn(move || {
        let mut line = String::new();
        let read = io::stdin().lock().read_line(&mut line);
        // Nobody waits for it any more if the command is about to end.
        let _ = answer.send(read.is_ok() && is_yes(&line));
    });
    Ok(answered.await.unwrap_or_default())
}

fn is_yes(line: &str) -> bool {
    let line = line.trim();
    line.eq_ignore_ascii_case("y") || line.eq_ignore_ascii_case("yes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_yes_is_yes() {
        for line in ["y\n", "Y", " yes \n", "YES"] {
            assert!(is_yes(line), "{line:?}");
        }
        for line in ["", "\n", "n\n", "yess", "ja", "no yes"] {
            assert!(!is_yes(line), "{line:?}");
        }
    }
}
