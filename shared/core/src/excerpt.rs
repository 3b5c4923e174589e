//! Excerpts: texts and lists of bounded length, which say how much they leave out.
//!
//! Tools, servers and packages may say any amount, and errors quote them. What is told of an error
//! passes Lambda's answers (6 MB, and 256 KiB for a destination), Step Functions (32,768 characters
//! of a cause, 256 KiB of a state), DynamoDB (400 KB an item) and SNS (256 KiB a message), so it is
//! bounded once, before all of them.

use std::fmt::Display;

use annotate_snippets::normalize_untrusted_str;

/// Bytes of what is told of an error. As JSON it has twice as many at most, and with its hint it
/// fits into the cause of a state machine's failure.
pub const REASON_BYTES: usize = 8_000;

/// Bytes of a hint.
pub const HINT_BYTES: usize = 4_000;

/// The beginning and the end of a text, in so many bytes at most, and between them the number of
/// bytes that are left out.
///
/// ```
/// use accretion_core::excerpt::excerpt;
///
/// assert_eq!(excerpt("short", 100), "short");
/// let long = "x".repeat(1_000);
/// assert_eq!(excerpt(&long, 60), "xxxxxx … 988 bytes left out … xxxxxx");
/// ```
pub fn excerpt(text: &str, limit: usize) -> String {
    /// Bytes of the longest note.
    const NOTE: usize = 48;
    if text.len() <= limit {
        return text.to_owned();
    }
    let half = limit.saturating_sub(NOTE) / 2;
    let head = &text[..text.floor_char_boundary(half)];
    let tail = &text[text.ceil_char_boundary(text.len() - half)..];
    // Whole lines, unless that leaves out most of what there is room for.
    let end = head.rfind('\n').filter(|end| *end > half / 2);
    let start = tail.find('\n').filter(|start| *start < half / 2);
    let (head, gap_before) = end.map_or((head, ' '), |end| (&head[..end], '\n'));
    let (tail, gap_after) = start.map_or((tail, ' '), |start| (&tail[start + 1..], '\n'));
    let left_out = text.len() - head.len() - tail.len();
    format!("{head}{gap_before}… {left_out} bytes left out …{gap_after}{tail}")
}

/// A foreign text within a message: on one line, its characters escaped where they would do more
/// than show, and cut after 80 of them.
///
/// ```
/// use accretion_core::excerpt::shown;
///
/// assert_eq!(shown("it's\na \u{1b}[2J"), r"it's\na \u{1b}[2J");
/// ```
pub fn shown(text: &str) -> String {
    shown_within(text, 80)
}

/// [`shown`] with so many characters at most.
pub fn shown_within(text: &str, limit: usize) -> String {
    let mut shown = String::new();
    for c in text.chars().take(limit) {
        match c {
            '\'' | '"' => shown.push(c),
            c => shown.extend(c.escape_debug()),
        }
    }
    if text.chars().nth(limit).is_some() {
        shown.push('…');
    }
    shown
}

/// A text of so many bytes at most, whose characters do no more than show.
pub fn displayed(text: &str, limit: usize) -> String {
    let lines: Vec<_> = text.lines().map(printable).collect();
    excerpt(&lines.join("\n"), limit)
}

/// A text that only shows: terminals act on control characters.
pub fn printable(text: &str) -> String {
    without_c1(&normalize_untrusted_str(text))
}

/// Replaces the control characters from U+0080 to U+009F, which the renderer passes on, by another
/// character of two bytes, so that places in the text stay the same.
pub(crate) fn without_c1(text: &str) -> String {
    text.replace(|c| matches!(c, '\u{80}'..='\u{9f}'), "¿")
}

/// The first of some things, and how many more there are.
///
/// ```
/// use accretion_core::excerpt::listed;
///
/// assert_eq!(listed(["a", "b"], 2), "a, b");
/// assert_eq!(listed(["a", "b", "c", "d"], 2), "a, b and 2 more");
/// ```
pub fn listed<T: Display>(items: impl IntoIterator<Item = T>, most: usize) -> String {
    let mut rest = items.into_iter();
    let first: Vec<_> = rest.by_ref().take(most).map(|it| it.to_string()).collect();
    match (first.join(", "), rest.count()) {
        (text, 0) => text,
        (text, more) => format!("{text} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excerpt_has_both_ends_whole_lines_and_a_count() {
        let lines: Vec<_> = (0..1_000).map(|line| format!("line {line}")).collect();
        let text = lines.join("\n");
        let cut = excerpt(&text, 200);
        let shown: Vec<_> = cut.lines().collect();
        assert_eq!((shown[0], *shown.last().unwrap()), ("line 0", "line 999"));
        let note = shown.iter().position(|line| line.starts_with('…')).unwrap();
        let of_text = |line: &&str| lines.iter().any(|it| it == line);
        assert!(
            shown[..note].iter().chain(&shown[note + 1..]).all(of_text),
            "{cut}"
        );
        let left_out: usize = shown[note].split(' ').nth(1).unwrap().parse().unwrap();
        let kept: usize = cut.len() - shown[note].len() - 2;
        assert_eq!(kept + left_out, text.len());
    }

    proptest::proptest! {
        #[test]
        fn an_excerpt_is_within_its_limit(
            text in r"[aé\n😀]{0,300}",
            limit in 64_usize..400,
        ) {
            let cut = excerpt(&text, limit);
            proptest::prop_assert!(cut.len() <= limit.max(text.len().min(limit)), "{cut}");
            proptest::prop_assert_eq!(cut == text, text.len() <= limit);
        }
    }

    #[test]
    fn displayed_texts_only_show() {
        let text = "a\u{1b}[2J\u{0}\r\nb\u{9b}".repeat(10_000);
        let shown = displayed(&text, REASON_BYTES);
        assert!(!shown.contains(|c: char| c.is_control() && c != '\n'));
        assert!(shown.len() <= REASON_BYTES);
        assert_eq!(displayed(&shown, REASON_BYTES), shown);
        // Nothing but quotes, backslashes and newlines grows in JSON.
        let worst = displayed(&"\"\\\n".repeat(10_000), REASON_BYTES);
        let json = serde_json::to_string(&worst).unwrap();
        assert!(json.len() <= 2 * REASON_BYTES, "{}", json.len());
    }
}
