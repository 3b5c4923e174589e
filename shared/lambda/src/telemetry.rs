//! Logs: a JSON object on each line of standard output.
//!
//! Lambda reads `timestamp` and `level` itself. Fields of the spans that an event is in stand
//! beside its own, so that every line has every id.

use std::borrow::Cow;
use std::fmt;
use std::io::Write;
use std::panic;
use std::sync::Mutex;

use accretion_core::timestamp::Timestamp;
use serde::ser::{SerializeMap as _, Serializer as _};
use serde_json::Value;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber, error};
use tracing_subscriber::filter::{FilterExt as _, LevelFilter, Targets, filter_fn};
use tracing_subscriber::layer::{Context, Filter, Layer, SubscriberExt as _};
use tracing_subscriber::registry::{LookupSpan, Scope};

/// The level that is logged by default.
pub(crate) const DEFAULT_LEVEL: LevelFilter = LevelFilter::INFO;

/// The prefix of our crates' names.
const OURS: [&str; 4] = ["accretion", "builder", "dispatcher", "publisher"];

/// Logs everything of ours up to a level. Of others, only warnings: what they have to say below
/// that may hold payloads.
pub(crate) fn start(level: LevelFilter) {
    let lines = JsonLines::new(std::io::stdout()).with_filter(filter(level));
    let subscriber = tracing_subscriber::registry().with(lines);
    // Only a test that has its own already can be in the way.
    let _ = tracing::subscriber::set_global_default(subscriber);
    panic::set_hook(Box::new(|panic| {
        let location = panic.location().map(ToString::to_string);
        error!(
            location,
            "panicked: {}",
            panic.payload_as_str().unwrap_or("no message")
        );
    }));
}

fn filter<S>(level: LevelFilter) -> impl Filter<S> {
    let events = Targets::new()
        .with_default(level.min(LevelFilter::WARN))
        .with_targets(OURS.map(|target| (target, level)))
        // It repeats every error that a handler returns.
        .with_target("lambda_runtime::layers::panic", LevelFilter::OFF);
    // Who wants to see warnings alone wants to know whose they are.
    let is_ours = |target: &str| OURS.iter().any(|ours| target.starts_with(ours));
    let spans = filter_fn(move |metadata| metadata.is_span() && is_ours(metadata.target()))
        .with_max_level_hint(LevelFilter::INFO);
    events.or(spans)
}

/// Writes each event as a JSON object on a line of its own.
struct JsonLines<W> {
    out: Mutex<W>,
}

impl<W: Write> JsonLines<W> {
    fn new(out: W) -> Self {
        Self {
            out: Mutex::new(out),
        }
    }
}

impl<S, W> Layer<S> for JsonLines<W>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: Write + Send + 'static,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if let Some(span) = context.span(id) {
            let mut fields = Fields::default();
            attributes.record(&mut fields);
            span.extensions_mut().insert(fields);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(fields) = span.extensions_mut().get_mut::<Fields>()
        {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Fields::default();
        for span in context
            .event_scope(event)
            .into_iter()
            .flat_map(Scope::from_root)
        {
            if let Some(of_span) = span.extensions().get::<Fields>() {
                for (name, value) in &of_span.0 {
                    fields.set(name, value.clone());
                }
            }
        }
        event.record(&mut fields);
        let now = Timestamp::from(jiff::Timestamp::now());
        let Ok(line) = line(now, event.metadata(), fields) else {
            return;
        };
        if let Ok(mut out) = self.out.lock() {
            // If standard output fails, no one can read about it.
            let _ = out.write_all(&line);
        }
    }
}

/// A line: the fields that Lambda reads come first.
fn line(
    timestamp: Timestamp,
    metadata: &Metadata<'_>,
    mut fields: Fields,
) -> Result<Vec<u8>, serde_json::Error> {
    let message = fields.take("message");
    let mut line = Vec::with_capacity(256);
    let mut serializer = serde_json::Serializer::new(&mut line);
    let mut map = (&mut serializer).serialize_map(None)?;
    map.serialize_entry("timestamp", &timestamp)?;
    map.serialize_entry("level", metadata.level().as_str())?;
    map.serialize_entry("message", &message.unwrap_or_default())?;
    map.serialize_entry("target", metadata.target())?;
    for (name, value) in fields.0 {
        map.serialize_entry(&*unambiguous(name), &value)?;
    }
    map.end()?;
    line.push(b'\n');
    Ok(line)
}

/// The name of a field that cannot be mistaken for one of every event.
fn unambiguous(name: &'static str) -> Cow<'static, str> {
    match name {
        "timestamp" | "level" | "target" => format!("{name}_").into(),
        name => name.into(),
    }
}

/// Fields in their order. The later one of two of a name counts: it is from an inner span, or from
/// the event itself.
#[derive(Debug, Default)]
struct Fields(Vec<(&'static str, Value)>);

impl Fields {
    fn set(&mut self, name: &'static str, value: Value) {
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => *known = value,
            None => self.0.push((name, value)),
        }
    }

    fn take(&mut self, name: &str) -> Option<Value> {
        let at = self.0.iter().position(|(known, _)| *known == name)?;
        Some(self.0.remove(at).1)
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.set(field.name(), value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.set(field.name(), value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.set(field.name(), value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.set(field.name(), value.into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.set(field.name(), value.into());
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.set(field.name(), value.to_string().into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.set(field.name(), format!("{value:?}").into());
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::Once;

    use accretion_testing::emf::Lines;
    use tracing::{debug, info, info_span, warn};

    use super::*;

    /// The lines of some work.
    pub(crate) fn logged(level: LevelFilter, work: impl FnOnce()) -> Vec<Value> {
        // Without a global subscriber, a line of another test that logs to none at the same time would
        // disable its call site for good.
        static GLOBAL: Once = Once::new();
        GLOBAL.call_once(|| {
            let _ = tracing::subscriber::set_global_default(tracing_subscriber::registry());
        });
        let memory = Lines::default();
        let lines = JsonLines::new(memory.clone()).with_filter(filter(level));
        let subscriber = tracing_subscriber::registry().with(lines);
        tracing::subscriber::with_default(subscriber, work);
        memory.read()
    }

    #[test]
    fn every_line_has_the_ids_of_its_spans() {
        let lines = logged(LevelFilter::INFO, || {
            let invocation = info_span!("invocation", aws_request_id = "i-1", layer = "a");
            let _invocation = invocation.enter();
            let record = info_span!("record", request_id = "r-1", layer = "b");
            let _record = record.enter();
            info!(version = 7_u64, is_new = true, error = %"odd \"text\"\n", "published");
        });
        let [line] = &lines[..] else {
            panic!("{lines:?}")
        };
        let mut line = line.as_object().unwrap().clone();
        let timestamp = line.remove("timestamp").unwrap();
        assert!(timestamp.as_str().unwrap().parse::<Timestamp>().is_ok());
        let expected = serde_json::json!({
            "level": "INFO",
            "message": "published",
            "target": "accretion_lambda::telemetry::tests",
            "aws_request_id": "i-1",
            "layer": "b",
            "request_id": "r-1",
            "version": 7,
            "is_new": true,
            "error": "odd \"text\"\n",
        });
        assert_eq!(Value::Object(line), expected);
    }

    #[test]
    fn warnings_have_ids_where_nothing_less_is_logged() {
        let lines = logged(LevelFilter::WARN, || {
            let _span = info_span!("invocation", aws_request_id = "i-1").entered();
            info!("unheard");
            warn!("heard");
        });
        assert_eq!(lines.len(), 1);
        assert_eq!(lines[0]["aws_request_id"], "i-1");
    }

    #[test]
    fn what_others_say_in_detail_is_not_logged() {
        let messages = |level| {
            let lines = logged(level, || {
                debug!("our detail");
                warn!("our warning");
                tracing::info!(target: "aws_smithy_runtime", "their detail");
                warn!(target: "aws_smithy_runtime", "their warning");
                error!(target: "lambda_runtime::layers::panic", "a repetition");
            });
            let messages = lines.into_iter().map(|line| line["message"].clone());
            messages.collect::<Vec<_>>()
        };
        assert_eq!(
            messages(LevelFilter::INFO),
            ["our warning", "their warning"]
        );
        assert_eq!(
            messages(LevelFilter::TRACE),
            ["our detail", "our warning", "their warning"]
        );
        assert_eq!(messages(LevelFilter::ERROR), [""; 0]);
    }

    #[test]
    fn fields_do_not_pass_for_what_lambda_reads() {
        let lines = logged(LevelFilter::INFO, || info!(level = "none", "said"));
        assert_eq!(lines[0]["level"], "INFO");
        assert_eq!(lines[0]["level_"], "none");
    }
}
