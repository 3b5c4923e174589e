//! Reading values of a TOML document, with their places.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A value at a path of keys.
pub(super) fn at<'a, 'i>(
    table: &'a DeTable<'i>,
    path: &[&str],
) -> Option<&'a Spanned<DeValue<'i>>> {
    let (first, rest) = path.split_first()?;
    let (_, value) = table.iter().find(|(key, _)| key.get_ref() == first)?;
    match rest {
        [] => Some(value),
        rest => at(value.get_ref().as_table()?, rest),
    }
}

/// A text at a path of keys.
pub(super) fn text_at<'a>(table: &'a DeTable<'_>, path: &[&str]) -> Option<&'a str> {
    at(table, path)?.get_ref().as_str()
}

/// The texts of an array at a path of keys.
pub(super) fn strings<'a>(
    table: &'a DeTable<'_>,
    path: &[&str],
) -> impl Iterator<Item = (&'a str, Range<usize>)> + use<'a> {
    let array = at(table, path).and_then(|value| value.get_ref().as_array());
    let values = array.into_iter().flat_map(|array| array.iter());
    values.filter_map(|value| Some((value.get_ref().as_str()?, value.span())))
}

/// The tables of an array, or of the one table that is there instead.
pub(super) fn tables<'a, 'i>(
    value: &'a Spanned<DeValue<'i>>,
) -> Vec<(&'a DeTable<'i>, Range<usize>)> {
    match value.get_ref() {
        DeValue::Table(table) => vec![(table, value.span())],
        DeValue::Array(array) => array.iter().flat_map(tables).collect(),
        _ => Vec::new(),
    }
}
