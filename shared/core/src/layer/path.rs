//! The paths of files in a layer.

/// The problem with a path that leads elsewhere.
pub const NOT_RELATIVE: &str = "is no relative path below the wheel's root";

/// The characters that Python takes for the end of a line besides control characters: a path with
/// one of them would be two lines of `RECORD`.
const LINE_SEPARATORS: [char; 2] = ['\u{2028}', '\u{2029}'];

/// Returns the reason why a file of a layer can't have this path below `python/`, as the rest of a
/// sentence.
pub fn path_problem(path: &str) -> Option<&'static str> {
    let is_drive = |path: &[u8]| path.get(1) == Some(&b':') && path[0].is_ascii_alphabetic();
    if path.split('/').any(|part| matches!(part, "" | "." | "..")) {
        Some(NOT_RELATIVE)
    } else if path.contains('\\') {
        Some("has a backslash")
    } else if path.contains(char::is_control) {
        Some("has a control character")
    } else if path.contains(LINE_SEPARATORS) {
        Some("has a line separator")
    } else if path.split('/').any(|part| part.len() > 255) {
        Some("has a part of more than 255 bytes")
    } else if is_drive(path.as_bytes()) {
        Some("starts with a drive letter")
    } else {
        None
    }
}
