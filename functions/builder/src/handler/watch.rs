//! Counts and times of a build.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use accretion_core::Fault;
use accretion_lambda::metrics::{Metric, Metrics, Outcome};
use accretion_service::build::Built;
use accretion_service::ports::{Event, Progress};

use super::{BuildInput, Log};

/// Observes one build of one layer.
#[derive(Debug)]
pub(super) struct Watch {
    since: Instant,
    seen: Mutex<Seen>,
}

/// The state of the build so far.
#[derive(Debug, Default)]
struct Seen {
    /// The current phase, by the metric of its duration.
    phase: Option<(&'static Metric, Instant)>,
    durations: Vec<(&'static Metric, Duration)>,
    hits: u64,
    misses: u64,
    downloaded: u64,
    layer: Option<Layer>,
    /// True if the build continues after build sandboxes.
    ordered: bool,
}

/// The layer that was built.
#[derive(Debug, Clone, Copy)]
struct Layer {
    changed: bool,
    bytes: u64,
    unzipped: u64,
}

impl Seen {
    /// Ends a phase, and begins the next one.
    fn begin(&mut self, next: Option<&'static Metric>) {
        let now = Instant::now();
        if let Some((phase, since)) = self.phase.take() {
            let took = now - since;
            // For a merged layer there is one resolution after the other.
            match self
                .durations
                .iter_mut()
                .find(|(known, _)| std::ptr::eq(*known, phase))
            {
                Some((_, duration)) => *duration += took,
                None => self.durations.push((phase, took)),
            }
        }
        self.phase = next.map(|next| (next, now));
    }
}

impl Watch {
    /// Begins to observe a build.
    pub(super) fn new() -> Self {
        Self {
            since: Instant::now(),
            seen: Mutex::default(),
        }
    }

    /// Notes the layer, new or not.
    pub(super) fn built(&self, built: &Built) {
        self.note_layer(Layer {
            changed: built.changed,
            bytes: built.manifest.artifact_size,
            unzipped: built.manifest.unzipped_size,
        });
    }

    fn note_layer(&self, layer: Layer) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if layer.changed {
            seen.begin(None);
        }
        seen.layer = Some(layer);
    }

    /// Notes that the build continues after build sandboxes.
    pub(super) fn ordered(&self) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.ordered = true;
    }

    /// Writes the metrics after the build. `fault` is its error.
    pub(super) fn write(&self, metrics: &Metrics, input: &BuildInput, fault: Option<&impl Fault>) {
        let seen = std::mem::take(&mut *self.seen.lock().unwrap_or_else(PoisonError::into_inner));
        let mut line = metrics
            .event("build")
            .property("request_id", &input.request_id)
            .property("runtime", input.target.python())
            .property("architecture", input.target.architecture())
            .duration(&Metric::BUILD_DURATION, self.since.elapsed())
            .value(&Metric::CACHE_HITS, seen.hits)
            .value(&Metric::CACHE_MISSES, seen.misses)
            .value(&Metric::DOWNLOADED_BYTES, seen.downloaded);
        for (metric, duration) in seen.durations {
            line = line.duration(metric, duration);
        }
        line = match (fault, seen.layer) {
            (Some(fault), _) => line
                .count(&Metric::BUILDS, Outcome::Failed)
                .count_code(&Metric::FAILED_ATTEMPTS, fault.code()),
            (None, Some(layer)) if layer.changed => line
                .count(&Metric::BUILDS, Outcome::Built)
                .value(&Metric::LAYER_BYTES, layer.bytes)
                .value(&Metric::UNZIPPED_BYTES, layer.unzipped),
            (None, _) if seen.ordered => line,
            (None, _) => line.count(&Metric::BUILDS, Outcome::Unchanged),
        };
        line.write();
    }
}

impl Progress for Watch {
    fn on(&self, event: Event) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::Resolving(_) => seen.begin(Some(&Metric::RESOLVE_DURATION)),
            Event::Resolved { .. } => seen.begin(Some(&Metric::FETCH_DURATION)),
            Event::Splicing(_) => seen.begin(Some(&Metric::SPLICE_DURATION)),
            Event::Storing(_) => seen.begin(Some(&Metric::STORE_DURATION)),
            Event::WheelReady { downloaded: None } => seen.hits += 1,
            Event::WheelReady {
                downloaded: Some(bytes),
            } => {
                seen.misses += 1;
                seen.downloaded += bytes;
            }
            Event::Downloading { .. }
            | Event::Downloaded(_)
            | Event::BuildingWheel { .. }
            | Event::Finished(_) => {}
        }
        drop(seen);
        Log.on(event);
    }
}

#[cfg(test)]
mod tests {
    use accretion_core::target::Target;
    use accretion_service::ports::PortError;
    use accretion_testing::emf::{self, Lines};
    use serde_json::{Value, json};

    use super::*;
    use crate::handler::Error;

    fn a_target() -> Target {
        Target::from_slug("py313-arm64").unwrap()
    }

    /// The line of a build that was watched.
    fn line(fault: Option<&Error>, work: impl FnOnce(&Watch)) -> Value {
        let input = json!({
            "RequestId": "0ce43a345624ab7be5105730f7afc664",
            "ReceivedAt": "2026-11-20T10:00:00.000Z",
            "Runtime": "python3.13",
            "Architecture": "arm64",
            "Target": "py313-arm64",
        });
        let input: BuildInput = serde_json::from_value(input).unwrap();
        let lines = Lines::default();
        let metrics = Metrics::to("Accretion/stack".to_owned(), lines.clone());
        let watch = Watch::new();
        work(&watch);
        watch.write(&metrics, &input, fault);
        let [line] = &lines.read()[..] else {
            panic!("one line for one build");
        };
        assert_eq!(emf::problems(line), [""; 0], "{line}");
        assert_eq!(line["request_id"], "0ce43a345624ab7be5105730f7afc664");
        assert_eq!(
            (&line["runtime"], &line["architecture"]),
            (&json!("python3.13"), &json!("arm64"))
        );
        assert!(line["BuildDuration"].is_u64(), "{line}");
        line.clone()
    }

    fn phases(line: &Value) -> Vec<&'static str> {
        let phases = [
            &Metric::RESOLVE_DURATION,
            &Metric::FETCH_DURATION,
            &Metric::SPLICE_DURATION,
            &Metric::STORE_DURATION,
        ];
        let names = phases.map(|phase| phase.name).into_iter();
        names.filter(|name| line[name].is_u64()).collect()
    }

    fn is_resolved(watch: &Watch) {
        let target = a_target();
        watch.on(Event::Resolving(target));
        watch.on(Event::Resolved {
            target,
            packages: 3,
        });
    }

    #[test]
    fn a_new_layer_is_counted_with_all_that_it_took() {
        let line = line(None, |watch| {
            is_resolved(watch);
            for downloaded in [Some(700), None, Some(77)] {
                watch.on(Event::WheelReady { downloaded });
            }
            watch.on(Event::Splicing(a_target().into()));
            watch.on(Event::Storing(a_target().into()));
            watch.note_layer(Layer {
                changed: true,
                bytes: 1000,
                unzipped: 3000,
            });
        });
        assert_eq!(
            (&line["Builds"], &line["Outcome"]),
            (&json!(1), &json!("Built"))
        );
        for (name, value) in [
            ("CacheHits", 1),
            ("CacheMisses", 2),
            ("DownloadedBytes", 777),
            ("LayerBytes", 1000),
            ("UnzippedBytes", 3000),
        ] {
            assert_eq!(line[name], value, "{name}");
        }
        let all = [
            "ResolveDuration",
            "FetchDuration",
            "SpliceDuration",
            "StoreDuration",
        ];
        assert_eq!(phases(&line), all);
    }

    #[test]
    fn what_was_there_already_is_no_new_layer() {
        let line = line(None, |watch| {
            is_resolved(watch);
            watch.note_layer(Layer {
                changed: false,
                bytes: 1000,
                unzipped: 3000,
            });
        });
        assert_eq!(line["Outcome"], "Unchanged");
        assert!(line["LayerBytes"].is_null(), "{line}");
        assert_eq!(phases(&line), ["ResolveDuration"]);
    }

    #[test]
    fn a_build_that_waits_for_sandboxes_is_not_counted_yet() {
        let line = line(None, |watch| {
            is_resolved(watch);
            watch.ordered();
        });
        assert!(line["Builds"].is_null(), "{line}");
        assert_eq!(phases(&line), ["ResolveDuration"]);
    }

    #[test]
    fn a_failed_attempt_has_its_code_and_the_phases_that_it_came_through() {
        let fault = Error::Port(PortError::new(accretion_local::Error::PythonMissing));
        let line = line(Some(&fault), is_resolved);
        assert_eq!(line["Outcome"], "Failed");
        assert_eq!(
            (&line["FailedAttempts"], &line["Code"]),
            (&json!(1), &json!("PythonMissing"))
        );
        assert_eq!(phases(&line), ["ResolveDuration"]);
    }
}
