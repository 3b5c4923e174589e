//! Physical lines joined and freed from comments, as pip's `preprocess` does it.

use std::ops::Range;

/// A line after continuations are joined and its comment is cut off.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct LogicalLine {
    /// The remaining text, without surrounding white space. Never empty.
    pub(super) text: String,
    /// The origins of the pieces of `text`: offset in `text`, offset in the source.
    pieces: Vec<(usize, usize)>,
    /// The span of a comment that a backslash continues.
    pub(super) continued_comment: Option<Range<usize>>,
}

impl LogicalLine {
    /// The place in the source of a range of `text`. Never empty.
    pub(super) fn span(&self, range: Range<usize>) -> Range<usize> {
        let start = range.start.min(self.text.len());
        let end = range.end.clamp(start, self.text.len());
        let start = self.text.floor_char_boundary(start);
        if start == self.text.len() {
            // Past the end: the last character, which is always there.
            let last = self.text.char_indices().last().map_or(0, |(at, _)| at);
            return self.place(last)..self.place(self.text.len() - 1) + 1;
        }
        let next = self.text[start..].chars().next().map_or(1, char::len_utf8);
        let end = self.text.ceil_char_boundary(end.max(start + next));
        self.place(start)..self.place(end - 1) + 1
    }

    fn place(&self, offset: usize) -> usize {
        let piece = self.pieces.partition_point(|(start, _)| *start <= offset);
        let (start, place) = self.pieces[piece.saturating_sub(1)];
        place + (offset - start)
    }
}

/// Splits at `\n`, `\r\n` and `\r`; yields the offset and the text of each line.
fn physical_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut rest = Some(0);
    std::iter::from_fn(move || {
        let start = rest?;
        let line = &text[start..];
        let Some(end) = line.find(['\n', '\r']) else {
            rest = None;
            return Some((start, line));
        };
        let terminator = if line[end..].starts_with("\r\n") {
            2
        } else {
            1
        };
        rest = Some(start + end + terminator);
        Some((start, &line[..end]))
    })
}

/// The logical lines of a text that have content.
pub(super) fn logical_lines(text: &str) -> impl Iterator<Item = LogicalLine> {
    let mut physical = physical_lines(text).peekable();
    std::iter::from_fn(move || {
        while physical.peek().is_some() {
            let mut joined = String::new();
            let mut pieces = Vec::new();
            for (start, line) in physical.by_ref() {
                // A line that is a comment as a whole is never continued and ends what was.
                if line.trim_start().starts_with('#') {
                    break;
                }
                pieces.push((joined.len(), start));
                let piece = line.strip_suffix('\\');
                joined.push_str(piece.unwrap_or(line));
                if piece.is_none() {
                    break;
                }
            }
            let line = finish(&joined, &pieces);
            if line.is_some() {
                return line;
            }
        }
        None
    })
}

fn finish(joined: &str, pieces: &[(usize, usize)]) -> Option<LogicalLine> {
    let comment = comment_start(joined);
    let content = &joined[..comment.unwrap_or(joined.len())];
    let text = content.trim();
    let lead = content.len() - content.trim_start().len();
    let last_piece = pieces.last().map_or(0, |(start, _)| *start);
    let whole = LogicalLine {
        text: joined.to_owned(),
        pieces: pieces.to_vec(),
        continued_comment: None,
    };
    let continued_comment = comment
        .filter(|comment| *comment < last_piece && !joined[last_piece..].trim().is_empty())
        .map(|comment| {
            let next = pieces.partition_point(|(start, _)| *start <= comment);
            whole.span(comment..pieces[next].0)
        });
    if text.is_empty() {
        return None;
    }
    let trimmed = pieces
        .iter()
        .map(|(start, place)| match start.checked_sub(lead) {
            Some(start) => (start, *place),
            None => (0, place + (lead - start)),
        })
        .collect();
    Some(LogicalLine {
        text: text.to_owned(),
        pieces: trimmed,
        continued_comment,
    })
}

/// The start of the comment: a `#` that starts the line or follows white space.
fn comment_start(line: &str) -> Option<usize> {
    line.match_indices('#').map(|(at, _)| at).find(|at| {
        line[..*at]
            .chars()
            .next_back()
            .is_none_or(char::is_whitespace)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<String> {
        logical_lines(text).map(|line| line.text).collect()
    }

    #[test]
    fn comments_continuations_and_line_ends_are_pips() {
        let table: &[(&str, &[&str])] = &[
            ("", &[]),
            ("\n\r\n \t\n", &[]),
            ("a\nb\r\nc\rd", &["a", "b", "c", "d"]),
            ("# all\n  # of it\n", &[]),
            ("a # why\nb#not\n", &["a", "b#not"]),
            ("a\t# why", &["a"]),
            (
                "a \\\n  --hash=x \\\r\n  --hash=y\nb",
                &["a   --hash=x   --hash=y", "b"],
            ),
            ("a \\\n# ends it\nb", &["a", "b"]),
            ("# not continued \\\nb", &["b"]),
            ("a \\", &["a"]),
            ("  a  ", &["a"]),
        ];
        for (text, expected) in table {
            assert_eq!(texts(text), *expected, "{text:?}");
        }
    }

    #[test]
    fn spans_lead_back_through_continuations() {
        let text = "\n  ab \\\r\n   cd # x\n";
        let mut lines = logical_lines(text);
        let line = lines.next().expect("a line");
        assert_eq!(lines.next(), None);
        assert_eq!(line.text, "ab    cd");
        assert_eq!(&text[line.span(0..2)], "ab");
        assert_eq!(&text[line.span(6..8)], "cd");
        assert_eq!(&text[line.span(8..8)], "d");
        assert_eq!(&text[line.span(0..8)], "ab \\\r\n   cd");
    }

    #[test]
    fn a_comment_with_a_continuation_is_pointed_out() {
        let text = "a # b \\\nc";
        let comment = |text| {
            logical_lines(text)
                .next()
                .expect("a line")
                .continued_comment
        };
        assert_eq!(comment(text).map(|span| &text[span]), Some("# b "));
        assert_eq!(comment("a # b \\\n\n"), None);
    }
}
