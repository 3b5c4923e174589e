//! Metrics: lines of the log that CloudWatch reads in its Embedded Metric Format.
//!
//! A line is about one event: a request that was dispatched, a build, what has come of a target. It
//! goes out whatever is logged otherwise. Dimensions make metrics, and every metric costs
//! something: they are outcomes and codes, of which there are few, and both are known when this is
//! compiled. What there may be any number of, such as ids, is in the line beside them.
//!
//! Source: the Amazon CloudWatch User Guide, "Specification: Embedded metric format".

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use accretion_core::timestamp::Timestamp;
use serde_json::{Map, Value, json};

/// What tells the metrics of one name apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dimension {
    /// An [`Outcome`].
    Outcome,
    /// The code of an error or problem: one of the tables of codes.
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

/// What came of something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// A request: its builds are started.
    Accepted,
    /// A request: it can't be used.
    Rejected,
    /// A request: it had come before.
    Repeated,
    /// A build: there is a new artifact.
    Built,
    /// A build or a target: there was one of the same content.
    Unchanged,
    /// A target: there is a new layer version.
    Published,
    /// A target: a newer request was published before.
    Superseded,
    /// A build or a target: it failed.
    Failed,
    /// A target: nothing more was heard of its build.
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

/// What a metric's values are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Unit {
    /// How many.
    Count,
    /// For how long.
    Milliseconds,
    /// How much.
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
    /// What its values are.
    pub unit: Unit,
    /// What tells metrics of this name apart, if there are several.
    pub dimension: Option<Dimension>,
}

macro_rules! metrics {
    ($($(#[$doc:meta])* $constant:ident = $name:literal, $unit:ident $(, $dimension:ident)?;)*) => {
        impl Metric {
            $(
                $(#[$doc])*
                pub const $constant: Self = Self {
                    name: $name,
                    unit: Unit::$unit,
                    dimension: metrics!(@ $($dimension)?),
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
    /// Requests that came, by what became of them.
    REQUESTS = "Requests", Count, Outcome;
    /// Rejected requests, by the code of the first of their problems.
    REJECTED_REQUESTS = "RejectedRequests", Count, Code;
    /// Messages that could not be dispatched and come again.
    FAILED_DISPATCHES = "FailedDispatches", Count, Code;
    /// How long a dispatch took.
    DISPATCH_DURATION = "DispatchDuration", Milliseconds;
    /// Builds, each attempt, by what came of it.
    BUILDS = "Builds", Count, Outcome;
    /// Attempts to build that failed, whether there is another one or not.
    FAILED_ATTEMPTS = "FailedAttempts", Count, Code;
    /// How long a build took.
    BUILD_DURATION = "BuildDuration", Milliseconds;
    /// How long its requirements were resolved.
    RESOLVE_DURATION = "ResolveDuration", Milliseconds;
    /// How long it was until its wheels were at hand.
    FETCH_DURATION = "FetchDuration", Milliseconds;
    /// How long the layer was written.
    SPLICE_DURATION = "SpliceDuration", Milliseconds;
    /// How long the layer was stored.
    STORE_DURATION = "StoreDuration", Milliseconds;
    /// Wheels that were in the cache.
    CACHE_HITS = "CacheHits", Count;
    /// Wheels that were not.
    CACHE_MISSES = "CacheMisses", Count;
    /// What was downloaded for them.
    DOWNLOADED_BYTES = "DownloadedBytes", Bytes;
    /// A new artifact.
    LAYER_BYTES = "LayerBytes", Bytes;
    /// The same, unpacked.
    UNZIPPED_BYTES = "UnzippedBytes", Bytes;
    /// Targets that came to their end in the publisher.
    TARGETS = "Targets", Count, Outcome;
    /// Targets that failed, in a build or in the publisher.
    FAILURES = "Failures", Count, Code;
    /// How long it took to publish.
    PUBLISH_DURATION = "PublishDuration", Milliseconds;
    /// How long it was from the request to the layer.
    REQUEST_DURATION = "RequestDuration", Milliseconds;
}

/// Writes metrics, or nothing where nobody wants any.
#[derive(Clone)]
pub struct Metrics(Option<Arc<Sink>>);

struct Sink {
    namespace: String,
    out: Mutex<Box<dyn Write + Send>>,
}

impl Metrics {
    /// Metrics of a namespace on standard output; none if it is empty.
    pub(crate) fn new(namespace: String) -> Self {
        Self::to(namespace, io::stdout())
    }

    /// Metrics of a namespace, written somewhere else, for tests.
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
    /// One more of a metric by its outcomes. An event has one outcome.
    pub fn count(mut self, metric: &'static Metric, outcome: Outcome) -> Self {
        debug_assert_eq!(metric.dimension, Some(Dimension::Outcome), "{metric:?}");
        self.dimensions.insert(Dimension::Outcome, outcome.name());
        self.values.push((metric, 1));
        self
    }

    /// One more of a metric by codes. An event has one code.
    pub fn count_code(mut self, metric: &'static Metric, code: &'static str) -> Self {
        debug_assert_eq!(metric.dimension, Some(Dimension::Code), "{metric:?}");
        self.dimensions.insert(Dimension::Code, code);
        self.values.push((metric, 1));
        self
    }

    /// A value of a metric.
    pub fn value(mut self, metric: &'static Metric, value: u64) -> Self {
        debug_assert_eq!(metric.dimension, None, "{metric:?}");
        self.values.push((metric, value));
        self
    }

    /// A time in a metric.
    pub fn duration(self, metric: &'static Metric, duration: Duration) -> Self {
        let milliseconds = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        self.value(metric, milliseconds)
    }

    /// Something else that is to be known of the event, such as its request: no dimension.
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
            // As for other lines: there is nobody to be told.
            let _ = out.write_all(&line).and_then(|()| out.flush());
        }
    }

    fn document(self, namespace: &str, now: Timestamp) -> Vec<u8> {
        let mut directives: BTreeMap<Option<Dimension>, Vec<Value>> = BTreeMap::new();
        for (metric, _) in &self.values {
            let definition = json!({"Name": metric.name, "Unit": metric.unit.name()});
            directives
                .entry(metric.dimension)
                .or_default()
                .push(definition);
        }
        let directives = directives.into_iter().map(|(dimension, metrics)| {
            let keys: Vec<_> = dimension.into_iter().map(Dimension::name).collect();
            json!({"Namespace": namespace, "Dimensions": [keys], "Metrics": metrics})
        });
        let directives: Vec<_> = directives.collect();

        // What every line of the log has first.
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

    /// A line with every metric, and what it says.
    fn every_metric() -> Value {
        let memory = Lines::default();
        let metrics = Metrics::to("Accretion/stack".to_owned(), memory.clone());
        let mut line = metrics.event("all");
        for metric in Metric::ALL {
            line = match metric.dimension {
                Some(Dimension::Outcome) => line.count(metric, Outcome::Built),
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
        let told = emf::metrics(&line);
        let names: BTreeSet<_> = told.iter().map(|it| it.name.as_str()).collect();
        assert_eq!(names.len(), told.len(), "a metric counts once");
        let expected: BTreeSet<_> = Metric::ALL.iter().map(|it| it.name).collect();
        assert_eq!(names, expected);
        for metric in Metric::ALL {
            let told = told.iter().find(|it| it.name == metric.name).unwrap();
            assert_eq!(told.unit, metric.unit.name());
            let dimensions: Vec<_> = metric.dimension.into_iter().map(Dimension::name).collect();
            assert_eq!(told.dimensions, [dimensions], "{}", metric.name);
            let counts = metric.dimension.is_some();
            assert_eq!(told.value, Some(if counts { 1.0 } else { 7.0 }));
        }
    }

    /// Ids, names, packages and hosts are texts of a run, and the dimensions take none: an outcome
    /// is one of an enum, a code is one of the program's own texts.
    #[test]
    fn there_are_few_dimensions_with_few_values() {
        let line = every_metric();
        let mut values = BTreeSet::new();
        for told in emf::metrics(&line) {
            for dimension in told.dimensions.iter().flatten() {
                values.insert((
                    dimension.clone(),
                    line[dimension].as_str().unwrap().to_owned(),
                ));
            }
        }
        let expected = [("Code", "UvMissing"), ("Outcome", "Built")];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(values, BTreeSet::from(expected));
        // It is in the line nevertheless.
        assert_eq!(line["request_id"], "r-1");
    }

    /// Filters of the stack's logs look for these fields, and would count a line of metrics too.
    #[test]
    fn no_line_passes_for_that_of_an_error() {
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

    /// The dashboard is held against the same table.
    #[test]
    fn every_metric_is_documented() {
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
        }
    }
}
