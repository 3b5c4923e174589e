//! The dashboard, which is generated from the functions' metrics, the resources and the alarms.

use std::fs;

use accretion_lambda::metrics::{Dimension, Metric};
use serde_json::{Value, json};

use super::metrics::{NAMESPACE, SERVICES};
use super::of_type;

const TEMPLATE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../sam/template.yaml");

/// The lines of the template around the body.
const BEFORE: &str = "      DashboardBody: !Sub |\n";
const AFTER: &str = "\nOutputs:\n";

const FUNCTIONS: [&str; 3] = ["DispatcherFunction", "BuilderFunction", "PublisherFunction"];

/// The body: JSON with one widget a line.
///
/// Source: the Amazon CloudWatch API Reference, "Dashboard Body Structure and Syntax".
fn body(template: &str) -> String {
    let mut alarms: Vec<_> = of_type("AWS::CloudWatch::Alarm").into_keys().collect();
    alarms.sort_by_key(|name| template.find(&format!("\n  {name}:\n")));
    let alarms: Vec<_> = alarms
        .iter()
        .map(|name| format!("${{{name}.Arn}}"))
        .collect();
    let mut widgets = vec![json!({
        "type": "alarm", "x": 0, "y": 0, "width": 24, "height": 4,
        "properties": {"title": "Alarms", "alarms": alarms},
    })];
    for (at, chart) in charts().into_iter().enumerate() {
        let (x, y) = (at % 3 * 8, 4 + at / 3 * 6);
        widgets.push(json!({
            "type": "metric", "x": x, "y": y, "width": 8, "height": 6, "properties": chart,
        }));
    }
    let lines: Vec<_> = widgets.iter().map(|it| format!("        {it}")).collect();
    let lines = lines.join(",\n");
    format!("        {{\"start\": \"-PT12H\", \"widgets\": [\n{lines}\n        ]}}\n")
}

/// The charts, three to a row.
fn charts() -> [Value; 18] {
    let queue = |metric, queue, label| aws(metric, queue, &[], json!({"label": label}));
    let messages = "ApproximateNumberOfMessagesVisible";
    let age = json!({"label": "age of the oldest, s", "yAxis": "right"});
    let of_functions = |metric| {
        let line = |name: &str| {
            let label = name.trim_end_matches("Function").to_lowercase();
            aws(metric, name, &[], json!({"label": label}))
        };
        FUNCTIONS.map(line).to_vec()
    };
    [
        outcomes("Requests", &Metric::REQUESTS),
        outcomes("Builds", &Metric::BUILDS),
        outcomes("Target outcomes in the publisher", &Metric::TARGETS),
        codes("Rejected requests, by code", &[&Metric::REJECTED_REQUESTS]),
        codes("Failed targets, by code", &[&Metric::FAILURES]),
        codes(
            "Failed attempts, by code",
            &[&Metric::FAILED_DISPATCHES, &Metric::FAILED_ATTEMPTS],
        ),
        durations(
            "From request to layer",
            &["p50", "p95"],
            &[&Metric::REQUEST_DURATION],
        ),
        durations(
            "Dispatch, build, publish",
            &["p50", "p95"],
            &[
                &Metric::DISPATCH_DURATION,
                &Metric::BUILD_DURATION,
                &Metric::PUBLISH_DURATION,
            ],
        ),
        durations(
            "Phases of a build",
            &["p95"],
            &[
                &Metric::RESOLVE_DURATION,
                &Metric::FETCH_DURATION,
                &Metric::SPLICE_DURATION,
                &Metric::STORE_DURATION,
            ],
        ),
        chart(
            "Request queue",
            "Maximum",
            vec![
                queue(messages, "RequestQueue", "messages"),
                aws("ApproximateAgeOfOldestMessage", "RequestQueue", &[], age),
            ],
        ),
        chart("Executions", "Sum", executions()),
        chart(
            "Dead letters",
            "Maximum",
            vec![
                queue(messages, "RequestDeadLetterQueue", "requests"),
                queue(messages, "PublicationDeadLetterQueue", "publications"),
            ],
        ),
        chart("Functions: errors", "Sum", of_functions("Errors")),
        chart("Functions: throttles", "Sum", of_functions("Throttles")),
        chart(
            "Functions: concurrent executions",
            "Maximum",
            of_functions("ConcurrentExecutions"),
        ),
        cache(),
        chart(
            "Bytes",
            "Sum",
            vec![
                ours(&Metric::DOWNLOADED_BYTES, json!({"label": "downloaded"})),
                ours(&Metric::LAYER_BYTES, json!({"label": "new layers"})),
                ours(
                    &Metric::UNZIPPED_BYTES,
                    json!({"label": "new layers, unzipped"}),
                ),
            ],
        ),
        chart("Tables: throttled", "Sum", throttled_tables()),
    ]
}

/// A chart of lines, which are arrays of a namespace, a name, dimensions and options.
#[expect(clippy::needless_pass_by_value, reason = "the JSON takes them")]
fn chart(title: &str, stat: &str, lines: Vec<Value>) -> Value {
    json!({
        "title": title, "region": "${AWS::Region}", "view": "timeSeries", "stat": stat,
        "period": 300, "metrics": lines,
    })
}

/// The same chart with one more property.
fn with(mut chart: Value, name: &str, value: Value) -> Value {
    chart[name] = value;
    chart
}

/// A line of a metric of the functions without a dimension.
#[expect(clippy::needless_pass_by_value, reason = "the JSON takes them")]
fn ours(metric: &Metric, options: Value) -> Value {
    assert_eq!(metric.dimension, None, "{metric:?}");
    json!([NAMESPACE, metric.name, options])
}

/// A line of a metric that AWS publishes about a resource.
fn aws(metric: &str, resource: &str, dimensions: &[&str], options: Value) -> Value {
    let mut services = SERVICES.iter();
    let service = services.find(|it| it.metrics.contains(&metric)).unwrap();
    let resources = of_type(service.kind);
    assert!(
        resources.contains_key(resource),
        "{resource} is no {}",
        service.kind
    );
    // A reference to a queue is its URL, one to any other resource is what its dimension names.
    let value = match service.dimension {
        "QueueName" => format!("${{{resource}.QueueName}}"),
        _ => format!("${{{resource}}}"),
    };
    let mut line = vec![
        json!(service.namespace),
        json!(metric),
        json!(service.dimension),
        json!(value),
    ];
    line.extend(dimensions.iter().map(|it| json!(it)));
    line.push(options);
    json!(line)
}

/// A chart of a metric's outcomes.
fn outcomes(title: &str, metric: &Metric) -> Value {
    let lines = metric.outcomes.iter().map(|outcome| {
        let (dimension, outcome) = (Dimension::Outcome.name(), outcome.name());
        json!([NAMESPACE, metric.name, dimension, outcome, {"label": outcome}])
    });
    with(chart(title, "Sum", lines.collect()), "stacked", json!(true))
}

/// A chart of all codes that metrics have.
fn codes(title: &str, metrics: &[&Metric]) -> Value {
    let lines = metrics.iter().map(|metric| {
        assert_eq!(metric.dimension, Some(Dimension::Code), "{metric:?}");
        let (name, code) = (metric.name, Dimension::Code.name());
        let search = format!(r#"{{"{NAMESPACE}",{code}}} MetricName="{name}""#);
        json!([{"id": name.to_lowercase(), "expression": format!("SEARCH('{search}', 'Sum', 300)")}])
    });
    with(chart(title, "Sum", lines.collect()), "stacked", json!(true))
}

/// A chart of percentiles of durations.
fn durations(title: &str, percentiles: &[&str], metrics: &[&Metric]) -> Value {
    let lines = metrics.iter().flat_map(|metric| {
        let name = metric.name.strip_suffix("Duration").unwrap().to_lowercase();
        percentiles
            .iter()
            .map(move |it| ours(metric, json!({"stat": it, "label": format!("{name} {it}")})))
    });
    let axis = json!({"left": {"min": 0, "label": "ms", "showUnits": false}});
    with(chart(title, percentiles[0], lines.collect()), "yAxis", axis)
}

fn executions() -> Vec<Value> {
    let mut services = SERVICES.iter();
    let states = services.find(|it| it.namespace == "AWS/States").unwrap();
    let lines = states.metrics.iter().map(|metric| {
        let label = metric
            .strip_prefix("Executions")
            .unwrap()
            .replace("TimedOut", "timed out");
        let options = json!({"label": label.to_lowercase()});
        aws(metric, "BuildStateMachine", &[], options)
    });
    lines.collect()
}

/// The share of wheels that the builder had.
fn cache() -> Value {
    let hidden = |id| json!({"id": id, "visible": false});
    let lines = vec![
        json!([{"expression": "100 * hits / (hits + misses)", "id": "rate", "label": "hits, %"}]),
        ours(&Metric::CACHE_HITS, hidden("hits")),
        ours(&Metric::CACHE_MISSES, hidden("misses")),
    ];
    let axis = json!({"left": {"min": 0, "max": 100, "showUnits": false}});
    with(chart("Wheels in the cache, %", "Sum", lines), "yAxis", axis)
}

/// The throttled reads and writes of each table, and the writes of its index.
fn throttled_tables() -> Vec<Value> {
    let mut lines = Vec::new();
    for (table, label, index) in [
        ("RequestsTable", "requests", "open"),
        ("LayersTable", "layers", "pending"),
    ] {
        let indexes =
            &of_type("AWS::DynamoDB::Table")[table]["Properties"]["GlobalSecondaryIndexes"];
        assert_eq!(indexes[0]["IndexName"], index, "{table}");
        let of_index = ["GlobalSecondaryIndexName", index];
        for (metric, dimensions, label) in [
            ("ReadThrottleEvents", &[][..], format!("{label}: reads")),
            ("WriteThrottleEvents", &[][..], format!("{label}: writes")),
            (
                "WriteThrottleEvents",
                &of_index[..],
                format!("{label}: writes of the index"),
            ),
        ] {
            lines.push(aws(metric, table, dimensions, json!({"label": label})));
        }
    }
    lines
}

#[test]
fn the_dashboard_in_the_template_is_generated() {
    let template = fs::read_to_string(TEMPLATE).unwrap();
    let (before, rest) = template.split_once(BEFORE).unwrap();
    let (current, after) = rest.split_once(AFTER).unwrap();
    let generated = body(&template);
    if std::env::var_os("UPDATE_DASHBOARD").is_some() {
        fs::write(
            TEMPLATE,
            format!("{before}{BEFORE}{generated}{AFTER}{after}"),
        )
        .unwrap();
        return;
    }
    assert!(
        current == generated,
        "the dashboard in sam/template.yaml is out of date: run `UPDATE_DASHBOARD=1 cargo test -p \
         integration-tests --test template dashboard` and commit it"
    );
}

#[test]
fn every_metric_of_the_functions_is_on_the_dashboard() {
    let generated = body(&fs::read_to_string(TEMPLATE).unwrap());
    for metric in Metric::ALL {
        // In a search its quotation marks are escaped.
        let name = metric.name;
        let shown = [format!("\"{name}\""), format!("\"{name}\\\"")];
        assert!(shown.iter().any(|it| generated.contains(it)), "{name}");
    }
}
