//! The lines of the use cases at the level `ERROR`, which alarms count.

use std::cell::RefCell;
use std::sync::LazyLock;

use accretion_core::layer::LayerName;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Dispatch, Event, Level, Metadata, Subscriber};

/// A layer version that an operator was told of as not recorded.
pub(crate) type Alarm = (LayerName, u64);

thread_local! {
    static ALARMS: RefCell<Vec<Alarm>> = const { RefCell::new(Vec::new()) };
}

/// One for all threads: making one costs more than a run.
static LISTENER: LazyLock<Dispatch> = LazyLock::new(|| Dispatch::new(Listener));

/// Runs something whose alarms can be [taken](take).
pub(crate) fn listen<T>(work: impl FnOnce() -> T) -> T {
    ALARMS.take();
    tracing::dispatcher::with_default(&LISTENER, work)
}

/// The alarms that were raised on this thread since they were taken last.
pub(crate) fn take() -> Vec<Alarm> {
    ALARMS.take()
}

/// Listens to nothing but errors.
struct Listener;

impl Subscriber for Listener {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && *metadata.level() == Level::ERROR
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        unreachable!("spans are not enabled")
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line::default();
        event.record(&mut line);
        if line.code == "LayerVersionOrphaned" {
            let layer = line.layer.parse().expect("the line names the layer");
            ALARMS.with_borrow_mut(|alarms| alarms.push((layer, line.version)));
        }
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[derive(Default)]
struct Line {
    code: String,
    layer: String,
    version: u64,
}

impl Visit for Line {
    fn record_u64(&mut self, field: &Field, value: u64) {
        if field.name() == "version" {
            self.version = value;
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "code" => value.clone_into(&mut self.code),
            "layer" => value.clone_into(&mut self.layer),
            _ => {}
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}
}
