//! The encodings of texts: UTF-8, and what pip and uv both read of requirements files besides.
//!
//! A requirements file may be UTF-16 with a byte order mark, as Windows PowerShell writes one. A file
//! that pip and uv decode differently is refused.

use std::borrow::Cow;
use std::str;

use crate::diagnostic::{Problem, Report, code};
use crate::excerpt::shown;

/// The byte order mark that some editors put before a text in UTF-8.
pub const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The reason why bytes are not a text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem}")]
pub struct Undecodable {
    problem: String,
    help: &'static str,
    /// The first bad byte, where one is to blame.
    at: Option<usize>,
}

const SAVE: &str = "save the file in UTF-8";

impl Undecodable {
    fn new(problem: impl Into<String>) -> Self {
        Self {
            problem: problem.into(),
            help: SAVE,
            at: None,
        }
    }
}

/// Decodes a text that has to be UTF-8, without its byte order mark.
fn decode_utf8(bytes: &[u8]) -> Result<&str, Undecodable> {
    if let Some((encoding, _)) = Wide::marked(bytes) {
        let name = encoding.name();
        return Err(Undecodable::new(format!(
            "the text is {name}, and only UTF-8 is read here"
        )));
    }
    let content = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
    str::from_utf8(content).map_err(|error| Undecodable {
        at: Some(error.valid_up_to()),
        ..Undecodable::new("the text is not UTF-8")
    })
}

/// Reads a text that may start with a byte order mark; what is no text is reported.
pub fn decode<'a>(source_name: &str, bytes: &'a [u8]) -> Result<&'a str, Report> {
    decode_utf8(bytes).map_err(|error| undecodable(source_name, bytes, &error))
}

/// The report of bytes that are not a text: at the first bad byte, in a copy that shows it.
pub fn undecodable(source_name: &str, bytes: &[u8], error: &Undecodable) -> Report {
    let problem = Problem::error(code::NOT_UTF8, error.to_string()).help(error.help);
    let Some(at) = error.at else {
        let mut report = Report::new(source_name, "");
        report.push(problem);
        return report;
    };
    let text = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
    let mut report = Report::new(source_name, String::from_utf8_lossy(text));
    report.push(problem.at(0, at..at + char::REPLACEMENT_CHARACTER.len_utf8()));
    report
}

/// Decodes a requirements file, without its byte order mark.
///
/// # Errors
///
/// If it is neither UTF-8 nor UTF-16 with a byte order mark, or declares an encoding by which pip,
/// unlike uv, would read another text.
pub fn decode_requirements(bytes: &[u8]) -> Result<Cow<'_, str>, Undecodable> {
    if let Some((encoding, rest)) = Wide::marked(bytes) {
        return encoding.decode(rest).map(Cow::Owned);
    }
    if matches!(
        bytes,
        [0, 1..=255, 0, 1..=255, ..] | [1..=255, 0, 1..=255, 0, ..]
    ) {
        return Err(Undecodable::new(
            "the text seems to be UTF-16 without a byte order mark, which neither pip nor uv reads",
        ));
    }
    if !bytes.starts_with(BYTE_ORDER_MARK)
        && let Some(declared) = declared(bytes)
        && !reads_the_same(&declared, bytes)
    {
        return Err(Undecodable {
            help: "save the file in UTF-8, and remove the comment",
            ..Undecodable::new(format!(
                "a comment declares the encoding `{}`, by which pip reads another text than uv",
                shown(&declared)
            ))
        });
    }
    decode_utf8(bytes).map(Cow::Borrowed)
}

/// An encoding with units of several bytes, told by its byte order mark.
#[derive(Debug, Clone, Copy)]
enum Wide {
    Utf16Le,
    Utf16Be,
    Utf32Le,
    Utf32Be,
}

impl Wide {
    /// The encoding that a byte order mark tells, and what follows the mark. That of UTF-32 begins
    /// with that of UTF-16.
    fn marked(bytes: &[u8]) -> Option<(Self, &[u8])> {
        const MARKS: [(&[u8], Wide); 4] = [
            (b"\xff\xfe\0\0", Wide::Utf32Le),
            (b"\0\0\xfe\xff", Wide::Utf32Be),
            (b"\xff\xfe", Wide::Utf16Le),
            (b"\xfe\xff", Wide::Utf16Be),
        ];
        MARKS
            .iter()
            .find_map(|(mark, encoding)| Some((*encoding, bytes.strip_prefix(*mark)?)))
    }

    fn name(self) -> &'static str {
        match self {
            Self::Utf16Le | Self::Utf16Be => "UTF-16",
            Self::Utf32Le | Self::Utf32Be => "UTF-32",
        }
    }

    fn decode(self, bytes: &[u8]) -> Result<String, Undecodable> {
        let unit = match self {
            Self::Utf16Le => u16::from_le_bytes,
            Self::Utf16Be => u16::from_be_bytes,
            Self::Utf32Le | Self::Utf32Be => {
                return Err(Undecodable::new(
                    "the text is UTF-32, which uv does not read",
                ));
            }
        };
        let (pairs, rest) = bytes.as_chunks();
        let units: Vec<u16> = pairs.iter().copied().map(unit).collect();
        String::from_utf16(&units)
            .ok()
            .filter(|_| rest.is_empty())
            .ok_or_else(|| Undecodable::new("the text is damaged: its byte order mark says UTF-16"))
    }
}

/// The encoding that one of the first two lines declares, found as pip finds it (PEP 263).
fn declared(bytes: &[u8]) -> Option<String> {
    let lines = bytes.split(|byte| *byte == b'\n').take(2);
    let mut comments = lines.filter(|line| line.starts_with(b"#"));
    comments.find_map(|line| {
        let line = String::from_utf8_lossy(line);
        line.match_indices("coding").find_map(|(at, word)| {
            let after = line[at + word.len()..]
                .strip_prefix([':', '='])?
                .trim_start();
            let is_end = |c: char| !(c.is_ascii_alphanumeric() || "-_.".contains(c));
            let name = &after[..after.find(is_end).unwrap_or(after.len())];
            (!name.is_empty()).then(|| name.to_owned())
        })
    })
}

/// Returns whether a text is the same by an encoding as by UTF-8.
///
/// It need not be where it has no more than comments beyond ASCII: by `latin-1`, the second byte of
/// `Å` is the end of a line.
fn reads_the_same(encoding: &str, bytes: &[u8]) -> bool {
    /// Encodings that ASCII is a part of, by how their names begin.
    const WITH_ASCII: [&str; 8] = [
        "ascii",
        "us-ascii",
        "latin",
        "l1",
        "iso-8859",
        "iso8859",
        "cp125",
        "windows-125",
    ];
    let written = encoding.to_ascii_lowercase().replace('_', "-");
    let is_part = || WITH_ASCII.iter().any(|name| written.starts_with(name));
    matches!(&*written, "utf-8" | "utf8" | "utf-8-sig") || (bytes.is_ascii() && is_part())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utf16(text: &str, unit: fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(unit).collect()
    }

    #[test]
    fn requirements_are_decoded_as_pip_and_uv_both_do() {
        let le = |text: &str| utf16(text, u16::to_le_bytes);
        let be = |text: &str| utf16(text, u16::to_be_bytes);
        for (bytes, expected) in [
            (b"six\n".as_slice(), Ok("six\n")),
            (b"\xef\xbb\xbfsix", Ok("six")),
            (&le("\u{feff}six==1\r\n"), Ok("six==1\r\n")),
            (&be("\u{feff}six==1\r\n"), Ok("six==1\r\n")),
            (&le("\u{feff}# 日本 𝄞"), Ok("# 日本 𝄞")),
            (&le("\u{feff}"), Ok("")),
            (b"# coding: utf-8\n# \xc3\xa9", Ok("# coding: utf-8\n# é")),
            (
                b"# vim: set fileencoding=UTF_8 :\nsix",
                Ok("# vim: set fileencoding=UTF_8 :\nsix"),
            ),
            (b"# coding: latin-1\nsix", Ok("# coding: latin-1\nsix")),
            (
                b"#\n\n# coding: utf-7\nsix",
                Ok("#\n\n# coding: utf-7\nsix"),
            ),
            (b"six # coding: utf-7", Ok("six # coding: utf-7")),
            (
                b"\xef\xbb\xbf# coding: latin-1\n# \xc3\x85",
                Ok("# coding: latin-1\n# Å"),
            ),
            (b"# -*- coding: latin-1 -*-\n# f\xe9", Err("`latin-1`")),
            (b"# coding: latin-1\n# \xc3\x85 six", Err("`latin-1`")),
            (b"#\n# coding=utf-7\nsix", Err("`utf-7`")),
            (b"# coding: utf-16\nsix", Err("`utf-16`")),
            (b"# encoding: rot13\nfvk", Err("`rot13`")),
            (&le("six==1"), Err("without a byte order mark")),
            (&be("six==1"), Err("without a byte order mark")),
            (b"\xff\xfe\0\0s\0\0\0", Err("is UTF-32")),
            (b"\0\0\xfe\xff\0\0\0s", Err("is UTF-32")),
            (b"\xff\xfes", Err("is damaged")),
            (b"\xff\xfe\0\xd8s\0", Err("is damaged")),
            (b"caf\xe9", Err("is not UTF-8")),
        ] {
            match (decode_requirements(bytes), expected) {
                (Ok(text), Ok(expected)) => assert_eq!(text, expected),
                (Err(error), Err(problem)) => {
                    assert!(error.to_string().contains(problem), "{error}");
                }
                (decoded, expected) => panic!("{bytes:?}: {decoded:?} instead of {expected:?}"),
            }
        }
    }

    #[test]
    fn everything_else_is_utf8() {
        for (bytes, problem) in [
            (b"\xff\xfe{\0}\0".as_slice(), "the text is UTF-16"),
            (b"\xfe\xff\0{\0}", "the text is UTF-16"),
            (b"\xff\xfe\0\0{\0\0\0", "the text is UTF-32"),
            (b"\xff", "the text is not UTF-8"),
        ] {
            let error = decode_utf8(bytes).unwrap_err();
            assert!(error.to_string().starts_with(problem), "{error}");
        }
        // Comments of other formats declare nothing.
        let text = "# coding: latin-1\n# Å";
        assert_eq!(decode_utf8(text.as_bytes()), Ok(text));
    }
}
