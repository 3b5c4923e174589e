//! The header fields of `METADATA` and `WHEEL` (core metadata; PEP 427): those we need.

/// The first value of a header field, in a text of RFC 822 form.
///
/// Field names are compared without regard to case. As Python's `email` has it, a line ends at a
/// carriage return too, and the header ends at the first line that is neither a field nor a
/// continuation of one. A value that is continued is none of those we need.
pub(super) fn header<'a>(text: &'a str, field: &str) -> Option<&'a str> {
    let is_continuation = |line: &str| line.starts_with([' ', '\t']);
    let is_name = |name: &str| name.bytes().all(|byte| byte.is_ascii_graphic());
    let mut lines = lines(text).peekable();
    while let Some(line) = lines.next() {
        if is_continuation(line) {
            continue;
        }
        let (name, value) = line.split_once(':').filter(|(name, _)| is_name(name))?;
        if name.eq_ignore_ascii_case(field) {
            let is_whole = !lines.peek().is_some_and(|next| is_continuation(next));
            return is_whole.then_some(value.trim());
        }
    }
    None
}

/// All values of a header field. Lines end and the header ends as for [`header`]; a value that is
/// continued is put together.
pub(super) fn headers(text: &str, field: &str) -> Vec<String> {
    let mut values: Vec<String> = Vec::new();
    let mut is_of_field = false;
    for line in lines(text) {
        if line.starts_with([' ', '\t']) {
            if let Some(last) = values.last_mut().filter(|_| is_of_field) {
                last.push_str(line);
            }
            continue;
        }
        let is_name = |name: &str| name.bytes().all(|byte| byte.is_ascii_graphic());
        let Some((name, value)) = line.split_once(':').filter(|(name, _)| is_name(name)) else {
            break;
        };
        is_of_field = name.eq_ignore_ascii_case(field);
        if is_of_field {
            values.push(value.trim().to_owned());
        }
    }
    values
}

/// Splits at `\n`, `\r\n` and `\r`.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    let lines = text.split('\n');
    lines.flat_map(|line| line.strip_suffix('\r').unwrap_or(line).split('\r'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_header_fields_only() {
        let text = "Metadata-Version: 2.1\r\nname: Demo\r\nVersion:1.0\r\n\r\nLicense: none\r\n";
        assert_eq!(header(text, "Name"), Some("Demo"));
        assert_eq!(header(text, "Version"), Some("1.0"));
        assert_eq!(header(text, "License"), None);
    }

    #[test]
    fn reads_all_values_of_a_field() {
        let text = "Name: demo\nRequires-Dist: a>=1\r\nrequires-dist: b ;\n  extra == 'x'\nX: y\n z\n\
                    Requires-Dist:c\n\nRequires-Dist: d\n";
        let values = headers(text, "Requires-Dist");
        assert_eq!(values, ["a>=1", "b ;  extra == 'x'", "c"]);
        assert_eq!(headers(text, "License"), [""; 0]);
    }

    #[test]
    fn the_header_ends_where_python_has_it_end() {
        for text in [
            "Summary: x\rName: other\nName: demo\n",
            "Summary x\nName: demo\n",
            "Summary : x\nName: demo\n",
            "Summary: x\r\rName: demo\n",
            "Name: demo\n more\n",
            "Name: demo\r\n\tmore\n",
        ] {
            assert_ne!(header(text, "Name"), Some("demo"), "{text:?}");
        }
        for text in [
            "Summary: x\n  y: z\nName: demo",
            "\u{20}x\nName: demo\n",
            ": x\nName: demo\n\n more",
            "Summary: x\r\nName: demo\r\nSummary x",
        ] {
            assert_eq!(header(text, "Name"), Some("demo"), "{text:?}");
        }
    }
}
