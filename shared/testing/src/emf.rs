//! Lines in CloudWatch's Embedded Metric Format, as CloudWatch reads them.
//!
//! Source: the Amazon CloudWatch User Guide, "Specification: Embedded metric format", and the API
//! reference, `MetricDatum`.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use serde_json::Value;

/// The units that CloudWatch knows.
const UNITS: &str = "Seconds Microseconds Milliseconds Bytes Kilobytes Megabytes Gigabytes \
    Terabytes Bits Kilobits Megabits Gigabits Terabits Percent Count Bytes/Second \
    Kilobytes/Second Megabytes/Second Gigabytes/Second Terabytes/Second Bits/Second \
    Kilobits/Second Megabits/Second Gigabits/Second Terabits/Second Count/Second None";

/// The ages that a time may have: up to two weeks old, and up to two hours in the future.
const AGE: RangeInclusive<i128> = -7_200_000..=1_209_600_000;

/// A metric that a line holds.
#[derive(Debug, Clone, PartialEq)]
pub struct MetricValue {
    /// The namespace.
    pub namespace: String,
    /// The name.
    pub name: String,
    /// The unit.
    pub unit: String,
    /// Its sets of dimensions, by their names.
    pub dimensions: Vec<Vec<String>>,
    /// The value, if it is one number.
    pub value: Option<f64>,
}

/// Returns whether a line of a log holds metrics.
pub fn is_of_metrics(line: &Value) -> bool {
    line["_aws"]["CloudWatchMetrics"].is_array()
}

/// The metrics of a line that has no [`problems`].
pub fn metrics(line: &Value) -> Vec<MetricValue> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut metrics = Vec::new();
    for directive in items(&line["_aws"]["CloudWatchMetrics"]) {
        let sets = items(&directive["Dimensions"]).iter();
        let dimensions: Vec<Vec<_>> = sets
            .map(|set| items(set).iter().map(text).collect())
            .collect();
        for definition in items(&directive["Metrics"]) {
            let name = text(&definition["Name"]);
            metrics.push(MetricValue {
                namespace: text(&directive["Namespace"]),
                unit: text(&definition["Unit"]),
                dimensions: dimensions.clone(),
                value: line[&name].as_f64(),
                name,
            });
        }
    }
    metrics
}

/// The parts of a line that CloudWatch would refuse, or would take otherwise than intended.
pub fn problems(line: &Value) -> Vec<String> {
    let mut problems = Problems::default();
    problems.hold(line.is_object(), || "it is not an object".to_owned());
    problems.hold(line.to_string().len() <= 1 << 20, || {
        "it is over 1 MiB".to_owned()
    });
    let aws = &line["_aws"];
    problems.hold(keys(aws) == ["CloudWatchMetrics", "Timestamp"], || {
        format!("`_aws` has other members: {aws}")
    });
    let time = &aws["Timestamp"];
    let age = time.as_i64().map(|time| now() - i128::from(time));
    problems.hold(age.is_some_and(|age| AGE.contains(&age)), || {
        format!("`Timestamp` is no time in milliseconds near now: {time}")
    });
    let directives = items(&aws["CloudWatchMetrics"]);
    problems.hold(!directives.is_empty(), || {
        "there are no directives".to_owned()
    });
    for directive in directives {
        problems.of_directive(line, directive);
    }
    let metrics = metrics(line);
    let known: BTreeSet<_> = metrics
        .iter()
        .map(|it| (&it.name, &it.dimensions))
        .collect();
    problems.hold(known.len() == metrics.len(), || {
        "a metric is there twice".to_owned()
    });
    problems.0
}

#[derive(Default)]
struct Problems(Vec<String>);

impl Problems {
    fn hold(&mut self, holds: bool, problem: impl FnOnce() -> String) {
        if !holds {
            self.0.push(problem());
        }
    }

    fn of_directive(&mut self, line: &Value, directive: &Value) {
        self.hold(
            keys(directive) == ["Dimensions", "Metrics", "Namespace"],
            || format!("a directive has other members: {directive}"),
        );
        let namespace = directive["Namespace"].as_str().unwrap_or_default();
        let is_of_names = |c: char| c.is_ascii_alphanumeric() || "._-/#".contains(c);
        let is_namespace = has_length(namespace, 255) && namespace.chars().all(is_of_names);
        self.hold(is_namespace && !namespace.starts_with("AWS/"), || {
            format!("`{namespace}` is no namespace of ours")
        });
        let sets = items(&directive["Dimensions"]);
        self.hold(!sets.is_empty(), || {
            format!("there is no set of dimensions: {directive}")
        });
        for set in sets {
            self.hold(set.is_array(), || {
                format!("a set of dimensions is no list: {set}")
            });
            self.hold(items(set).len() <= 30, || {
                format!("there are more than 30 dimensions: {set}")
            });
            for dimension in items(set) {
                let name = dimension.as_str().unwrap_or_default();
                let value = line[name].as_str().unwrap_or_default();
                let is_text = has_length(name, 255) && has_length(value, 1024) && value.is_ascii();
                self.hold(is_text, || {
                    let value = &line[name];
                    format!("the dimension `{name}` is not a text of the line: {value}")
                });
            }
        }
        let definitions = items(&directive["Metrics"]);
        self.hold((1..=100).contains(&definitions.len()), || {
            format!("there are {} metrics", definitions.len())
        });
        for definition in definitions {
            self.of_metric(line, definition);
        }
    }

    fn of_metric(&mut self, line: &Value, definition: &Value) {
        self.hold(keys(definition) == ["Name", "Unit"], || {
            format!("a metric has other members: {definition}")
        });
        let text = |member: &str| definition[member].as_str().unwrap_or_default();
        let (name, unit) = (text("Name"), text("Unit"));
        self.hold(has_length(name, 255), || {
            format!("`{name}` is no name of a metric")
        });
        let is_unit = UNITS.split_whitespace().any(|known| known == unit);
        self.hold(is_unit, || format!("`{unit}` is no unit"));
        let value = &line[name];
        let values = value.as_array();
        let values = values.map_or(std::slice::from_ref(value), Vec::as_slice);
        let are_numbers = values.iter().all(Value::is_number);
        self.hold((1..=100).contains(&values.len()) && are_numbers, || {
            format!("the value of `{name}` is no number: {value}")
        });
    }
}

/// Lines that are written to memory, to be read by a test.
#[derive(Debug, Clone, Default)]
pub struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    /// The lines written so far, as JSON.
    #[track_caller]
    pub fn read(&self) -> Vec<Value> {
        let bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let text = String::from_utf8_lossy(&bytes);
        let parse = |line: &str| {
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"))
        };
        text.lines().map(parse).collect()
    }
}

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn has_length(text: &str, most: usize) -> bool {
    (1..=most).contains(&text.chars().count())
}

/// Milliseconds since 1970.
fn now() -> i128 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis().try_into().unwrap_or(i128::MAX))
}

fn items(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

/// The names of an object's members, in their order.
fn keys(value: &Value) -> Vec<&str> {
    let members = value.as_object().into_iter().flatten();
    let mut names: Vec<_> = members.map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    names
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn line() -> Value {
        json!({
            "_aws": {
                "Timestamp": i64::try_from(now()).unwrap(),
                "CloudWatchMetrics": [{
                    "Namespace": "Accretion/stack",
                    "Dimensions": [["Outcome"], []],
                    "Metrics": [{"Name": "Requests", "Unit": "Count"}],
                }],
            },
            "Outcome": "Accepted",
            "Requests": 1,
            "request_id": "r-1",
        })
    }

    #[test]
    fn what_cloudwatch_takes_has_no_problems() {
        assert_eq!(problems(&line()), [""; 0]);
        assert!(is_of_metrics(&line()));
        let [metric] = &metrics(&line())[..] else {
            panic!("there is one");
        };
        assert_eq!(metric.dimensions, [vec!["Outcome".to_owned()], vec![]]);
        assert_eq!(
            (metric.name.as_str(), metric.value),
            ("Requests", Some(1.0))
        );
    }

    #[test]
    fn what_breaks_a_rule_is_found() {
        let directive = |member| format!("/_aws/CloudWatchMetrics/0/{member}");
        let many = |count: usize| (0..count).map(|n| n.to_string()).collect::<Vec<_>>();
        let metrics = many(101)
            .into_iter()
            .map(|name| json!({"Name": name, "Unit": "Count"}));
        let cases = [
            (
                "/_aws/Timestamp".to_owned(),
                json!(1_763_632_800),
                "milliseconds",
            ),
            ("/_aws/Timestamp".to_owned(), json!("2026"), "milliseconds"),
            (
                "/_aws/CloudWatchMetrics".to_owned(),
                json!([]),
                "no directives",
            ),
            (directive("Namespace"), json!(""), "no namespace"),
            (directive("Namespace"), json!("AWS/Lambda"), "no namespace"),
            (directive("Namespace"), json!("a b"), "no namespace"),
            (directive("Dimensions"), json!([]), "no set"),
            (directive("Dimensions"), json!([["Requests"]]), "not a text"),
            (directive("Dimensions"), json!([["Missing"]]), "not a text"),
            (directive("Dimensions"), json!([many(31)]), "more than 30"),
            (
                directive("Metrics"),
                json!(metrics.collect::<Vec<_>>()),
                "101 metrics",
            ),
            (directive("Metrics/0/Unit"), json!("Pieces"), "no unit"),
            (directive("Metrics/0/Name"), json!("Missing"), "no number"),
            (
                directive("Metrics/0"),
                json!({"Name": "Requests"}),
                "no unit",
            ),
            ("/Requests".to_owned(), json!("1"), "no number"),
            ("/Requests".to_owned(), json!(vec![1; 101]), "no number"),
            ("/Outcome".to_owned(), json!(""), "not a text"),
        ];
        for (pointer, value, problem) in cases {
            let mut line = line();
            *line.pointer_mut(&pointer).unwrap() = value;
            let found = problems(&line);
            assert!(
                found.iter().any(|it| it.contains(problem)),
                "{pointer}: {found:?}"
            );
        }
        assert_ne!(problems(&json!({})), [""; 0]);
    }
}
