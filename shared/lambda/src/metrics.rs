//! Metrics: lines of the log that CloudWatch reads in its Embedded Metric Format.
//!
//! A line is about one event: a dispatched request, a build, the outcome of a target. It is written
//! at every log level. Each value of a dimension makes a metric, and every metric costs money, so
//! the dimensions are outcomes and codes: few, and known at compile time. Other fields of the line,
//! such as ids, are no dimensions.
//!
//! Source: the Amazon CloudWatch User Guide, "Specification: Embedded metric format".

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use accretion_core::timestamp::Timestamp;
use serde_json::{Map, Value, json};

/// The dimension that distinguishes the metrics of one name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dimension {
    /// An [`Outcome`].
    Outcome,
    /// The code of an error or problem, from the tables of codes.
    Code,
}

impl Dimension {
    /// Its name in CloudWatch.
    pub fn name(self) -> &'static str {
        match self {
            Self::Outcome => "Outcome",
            Self::Code => "Code",
        }
    }
}

/// The result of a request, a build or a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// A request whose builds were started.
    Accepted,
    /// A request with problems.
    Rejected,
    /// A request that had come before.
    Repeated,
    /// A build with a new artifact.
    Built,
    /// A build or a target whose content existed before.
    Unchanged,
    /// A target with a new layer version.
    Published,
    /// A target for which a newer request had been published.
    Superseded,
    /// A build or a target that failed.
    Failed,
    /// A target whose build stopped reporting.
    Lost,
}

impl Outcome {
    /// The dimension's value.
    pub fn name(self) -> &'static str {
        match self {
            Self::Accepted => "Accepted",
            Self::Rejected => "Rejected",
            Self::Repeated => "Repeated",
            Self::Built => "Built",
            Self::Unchanged => "Unchanged",
            Self::Published => "Published",
            Self::Superseded => "Superseded",
            Self::Failed => "Failed",
            Self::Lost => "Lost",
        }
    }
}

/// The unit of a metric's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Unit {
    /// A number of things.
    Count,
    /// A duration.
    Milliseconds,
    /// A size.
    Bytes,
}

impl Unit {
    /// Its name in CloudWatch.
    pub fn name(self) -> &'static str {
        match self {
            Self::Count => "Count",
            Self::Milliseconds => "Milliseconds",
            Self::Bytes => "Bytes",
        }
    }
}

/// A metric.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Metric {
    /// Its name in CloudWatch.
    pub name: &'static str,
    /// The unit of its values.
    pub unit: Unit,
    /// The dimension that distinguishes metrics of this name, if there are several.
    pub dimension: Option<Dimension>,
    /// The values of that dimension, if they are outcomes.
    pub outcomes: &'static [Outcome],
}

macro_rules! metrics {
    ($($(#[$doc:meta])* $constant:ident = $name:literal, $unit:ident
        $(, $dimension:ident $(($($outcome:ident),*))?)?;)*) => {
        impl Metric {
            $(
                $(#[$doc])*
                pub const $constant: Self = Self {
                    name: $name,
                    unit: Unit::$unit,
                    dimension: metrics!(@ $($dimension)?),
                    outcomes: &[$($($(Outcome::$outcome),*)?)?],
                };
            )*

            /// Every metric.
            pub const ALL: &[Self] = &[$(Self::$constant),*];
        }
    };
    (@) => { None };
    (@ $dimension:ident) => { Some(Dimension::$dimension) };
}

metrics! {
    /// Received requests, by outcome.
    REQUESTS = "Requests", Count, Outcome(Accepted, Rejected, Repeated);
    /// Rejected requests, by the code of their first problem.
    REJECTED_REQUESTS = "RejectedRequests", Count, Code;
    /// Messages that could not be dispatched and are delivered again.
    FAILED_DISPATCHES = "FailedDispatches", Count, Code;
    /// Duration of a dispatch.
    DISPATCH_DURATION = "DispatchDuration", Milliseconds;
    /// Attempts to build, by outcome.
    BUILDS = "Builds", Count, Outcome(Built, Unchanged, Failed);
    /// Failed attempts to build, whether another one follows or not.
    FAILED_ATTEMPTS = "FailedAttempts", Count, Code;
    /// Duration of an attempt to build.
    BUILD_DURATION = "BuildDuration", Milliseconds;
    /// Duration of resolving its requirements.
    RESOLVE_DURATION = "ResolveDuration", Milliseconds;
    /// Duration of fetching its wheels.
    FETCH_DURATION = "FetchDuration", Milliseconds;
    /// Duration of writing the layer.
    SPLICE_DURATION = "SpliceDuration", Milliseconds;
    /// Duration of storing the layer.
    STORE_DURATION = "StoreDuration", Milliseconds;
    /// Wheels that the cache had.
    CACHE_HITS = "CacheHits", Count;
    /// Wheels that it did not have.
    CACHE_MISSES = "CacheMisses", Count;
    /// Size of the downloads for them.
    DOWNLOADED_BYTES = "DownloadedBytes", Bytes;
    /// Size of a new artifact.
    LAYER_BYTES = "LayerBytes", Bytes;
    /// The same, unzipped.
    UNZIPPED_BYTES = "UnzippedBytes", Bytes;
    /// Target outcomes in the publisher.
    TARGETS = "Targets", Count, Outcome(Published, Unchanged, Superseded, Failed, Lost);
    /// Failed targets, in a build or in the publisher.
    FAILURES = "Failures", Count, Code;
    /// Duration of publishing.
    PUBLISH_DURATION = "PublishDuration", Milliseconds;
    /// Duration from the request to the layer.
    REQUEST_DURATION = "RequestDuration", Milliseconds;
}

/// The writer of metrics, which writes nothing without a namespace.
#[derive(Clone)]
pub struct Metrics(Option<Arc<Sink>>);

struct Sink {
    namespace: String,
    out: Mutex<Box<dyn Write + Send>>,
}

impl Metrics {
    /// Creates a writer to standard output; an empty namespace disables it.
    pub(crate) fn new(namespace: String) -> Self {
        Self::to(namespace, io::stdout())
    }

    /// Creates a writer to another output, for tests.
    pub fn to(namespace: String, out: impl Write + Send + 'static) -> Self {
        let sink = |namespace| {
            let out: Box<dyn Write + Send> = Box::new(out);
            Arc::new(Sink {
                namespace,
                out: Mutex::new(out),
            })
        };
        Self(Some(namespace).filter(|it| !it.is_empty()).map(sink))
    }

    /// Begins the line of an event.
    pub fn event(&self, message: &'static str) -> Line {
        Line {
            metrics: self.clone(),
            message,
            dimensions: BTreeMap::new(),
            values: Vec::new(),
            properties: Vec::new(),
        }
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let namespace = self.0.as_ref().map(|sink| &sink.namespace);
        f.debug_tuple("Metrics").field(&namespace).finish()
    }
}

/// The line of an event, until it is [written](Self::write).
#[derive(Debug)]
#[must_use]
pub struct Line {
    metrics: Metrics,
    message: &'static str,
    dimensions: BTreeMap<Dimension, &'static str>,
    values: Vec<(&'static Metric, u64)>,
    properties: Vec<(&'static str, Value)>,
}

impl Line {
    /// Adds one to a metric by outcome. An event has one outcome.
    pub fn count(mut self, metric: &'static Metric, outcome: Outcome) -> Self {
        debug_assert!(
            metric.outcomes.contains(&outcome),
            "{metric:?}: {outcome:?}"
        );
        self.dimensions.insert(Dimension::Outcome, outcome.name());
        self.values.push((metric, 1));
        self
    }

    /// Adds one to a metric by code. An event has one code.
    pub fn count_code(mut self, metric: &'static Metric, code: &'static str) -> Self {
        debug_assert_eq!(metric.dimension, Some(Dimension::Code), "{metric:?}");
        self.dimensions.insert(Dimension::Code, code);
        self.values.push((metric, 1));
        self
    }

    /// Adds a value of a metric.
    pub fn value(mut self, metric: &'static Metric, value: u64) -> Self {
        debug_assert_eq!(metric.dimension, None, "{metric:?}");
        self.values.push((metric, value));
        self
    }

    /// Adds a duration to a metric.
    pub fn duration(self, metric: &'static Metric, duration: Duration) -> Self {
        let milliseconds = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        self.value(metric, milliseconds)
    }

    /// Adds a field that is no dimension, such as the id of the request.
    pub fn property(mut self, name: &'static str, value: impl fmt::Display) -> Self {
        self.properties.push((name, value.to_string().into()));
        self
    }

    /// Writes the line.
    pub fn write(self) {
        let Some(sink) = self.metrics.0.clone() else {
            return;
        };
        let mut line = self.document(&sink.namespace, jiff::Timestamp::now().into());
        line.push(b'\n');
        if let Ok(mut out) = sink.out.lock() {
            // As for other lines of the log, an error cannot be reported anywhere.
            let _ = out.write_all(&line).and_then(|()| out.flush());
        }
    }

    fn document(self, namespace: &str, now: Timestamp) -> Vec<u8> {
        let mut definitions: BTreeMap<Option<Dimension>, Vec<Value>> = BTreeMap::new();
        for (metric, _) in &self.values {
            let definition = json!({"Name": metric.name, "Unit": metric.unit.name()});
            definitions
                .entry(metric.dimension)
                .or_default()
                .push(definition);
        }
        let directive = |(dimension, metrics): (Option<Dimension>, Vec<Value>)| {
            let keys: Vec<_> = dimension.into_iter().map(Dimension::name).collect();
            json!({"Namespace": namespace, "Dimensions": [keys], "Metrics": metrics})
        };
        let directives: Vec<_> = definitions.into_iter().map(directive).collect();

        // Every line of the log begins with these.
        let mut root = Map::new();
        root.insert("timestamp".into(), now.to_string().into());
        root.insert("level".into(), "INFO".into());
        root.insert("message".into(), self.message.into());
        for (name, value) in self.properties {
            root.insert(name.into(), value);
        }
        for (dimension, value) in self.dimensions {
            root.insert(dimension.name().into(), value.into());
        }
        for (metric, value) in self.values {
            root.insert(metric.name.into(), value.into());
        }
        root.insert(
            "_aws".into(),
            json!({"Timestamp": now.milliseconds(), "CloudWatchMetrics": directives}),
        );
        serde_json::to_vec(&root).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use accretion_testing::emf::{self, Lines};

    use super::*;

    /// A line with every metric.
    fn every_metric() -> Value {
        let memory = Lines::default();
        let metrics = Metrics::to("Accretion/stack".to_owned(), memory.clone());
        let mut line = metrics.event("all");
        for metric in Metric::ALL {
            line = match metric.dimension {
                Some(Dimension::Outcome) => line.count(metric, metric.outcomes[0]),
                Some(Dimension::Code) => line.count_code(metric, "UvMissing"),
                None => line.value(metric, 7),
            };
        }
        line.property("request_id", "r-1").write();
        let [line] = &memory.read()[..] else {
            panic!("one line for one event");
        };
        line.clone()
    }

    #[test]
    fn lines_follow_the_specification() {
        let line = every_metric();
        assert_eq!(emf::problems(&line), [""; 0], "{line}");
        assert_eq!(line["level"], "INFO");
        assert_eq!(line["message"], "all");
        assert!(
            line["timestamp"]
                .as_str()
                .unwrap()
                .parse::<Timestamp>()
                .is_ok()
        );
    }

    #[test]
    fn a_metric_has_its_dimension_and_no_other() {
        let line = every_metric();
        let written = emf::metrics(&line);
        let names: BTreeSet<_> = written.iter().map(|it| it.name.as_str()).collect();
        assert_eq!(names.len(), written.len(), "a metric counts once");
        let expected: BTreeSet<_> = Metric::ALL.iter().map(|it| it.name).collect();
        assert_eq!(names, expected);
        for metric in Metric::ALL {
            let found = written.iter().find(|it| it.name == metric.name).unwrap();
            assert_eq!(found.unit, metric.unit.name());
            let dimensions: Vec<_> = metric.dimension.into_iter().map(Dimension::name).collect();
            assert_eq!(found.dimensions, [dimensions], "{}", metric.name);
            let counts = metric.dimension.is_some();
            assert_eq!(found.value, Some(if counts { 1.0 } else { 7.0 }));
        }
    }

    /// Dimensions take no text from a request, such as ids, names, packages and hosts: outcomes are an
    /// enum, and codes are static.
    #[test]
    fn dimensions_are_outcomes_and_codes() {
        let line = every_metric();
        let mut values = BTreeSet::new();
        for metric in emf::metrics(&line) {
            for dimension in metric.dimensions.iter().flatten() {
                values.insert((
                    dimension.clone(),
                    line[dimension].as_str().unwrap().to_owned(),
                ));
            }
        }
        let expected = [("Code", "UvMissing"), ("Outcome", "Published")];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(values, BTreeSet::from(expected));
        // The id is a field.
        assert_eq!(line["request_id"], "r-1");
    }

    /// Metric filters of the stack look for these fields, and would count a line of metrics.
    #[test]
    fn no_line_looks_like_that_of_an_error() {
        let line = every_metric();
        for field in ["code", "class", "type", "details"] {
            assert!(line[field].is_null(), "{field}");
        }
    }

    #[test]
    fn without_a_namespace_there_are_no_metrics() {
        let memory = Lines::default();
        let metrics = Metrics::to(String::new(), memory.clone());
        metrics
            .event("all")
            .value(&Metric::BUILD_DURATION, 1)
            .write();
        assert_eq!(memory.read(), [Value::Null; 0]);
    }

    #[test]
    fn every_metric_and_outcome_is_documented() {
        let operations = include_str!("../../../docs/operations.md");
        let table = operations.split("\n## Metrics\n").nth(1).unwrap();
        let table = table.split("\n## ").next().unwrap();
        let rows: Vec<_> = table
            .lines()
            .filter(|line| line.starts_with("| `"))
            .collect();
        assert_eq!(rows.len(), Metric::ALL.len());
        for (metric, row) in Metric::ALL.iter().zip(rows) {
            let dimension = metric.dimension.map_or("", Dimension::name);
            let code = |text: &str| match text {
                "" => String::new(),
                text => format!("`{text}`"),
            };
            let (name, unit) = (metric.name, metric.unit.name());
            let start = format!("| `{name}` | {} | {unit} | ", code(dimension));
            assert!(row.starts_with(&start), "{row} does not start with {start}");
            for outcome in metric.outcomes.iter().map(|it| it.name()) {
                assert!(
                    row.contains(&format!("`{outcome}`")),
                    "{row} has no {outcome}"
                );
            }
        }
    }
}
