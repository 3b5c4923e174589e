//! The header fields of `METADATA` and `WHEEL` (core metadata; PEP 427): those we need.

/// The first value of a header field, in a text of RFC 822 form.
///
/// Field names are compared without regard to case. The body behind the first empty line does not
/// count.
pub(super) fn header<'a>(text: &'a str, field: &str) -> Option<&'a str> {
    text.lines()
        .take_while(|line| !line.is_empty())
        .find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case(field).then_some(value.trim())
        })
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
}
