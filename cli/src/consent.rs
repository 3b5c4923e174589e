//! Confirmation before changes that cannot be undone.

use std::io::{self, BufRead as _, IsTerminal as _};

use crate::cloud::Error;

/// Asks a question at the terminal. Any answer but yes means no.
pub(crate) async fn ask(question: &str) -> Result<bool, Error> {
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Err(Error::ConfirmationMissing);
    }
    anstream::eprint!("{question} [y/N] ");
    let (answer, answered) = tokio::sync::oneshot::channel();
    // On a separate thread, so that an interrupted command does not wait for it.
    std::thread::spawn(move || {
        let mut line = String::new();
        let read = io::stdin().lock().read_line(&mut line);
        // The receiver is gone if the command is about to end.
        let _ = answer.send(read.is_ok() && is_yes(&line));
    });
    Ok(answered.await.unwrap_or_default())
}

fn is_yes(line: &str) -> bool {
    let answer = line.trim();
    answer.eq_ignore_ascii_case("y") || answer.eq_ignore_ascii_case("yes")
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
