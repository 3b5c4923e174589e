//! The requests of a run of chaos: decided beforehand, from a seed.

use std::time::Duration;

use fastrand::Rng;
use serde_json::{Value, json};

/// The time in which a request follows another.
const INTERVAL: Duration = Duration::from_millis(50);

/// Projects that want one layer, and those that want two.
const SMALL: usize = 12;
const LARGE: usize = 6;

/// The contents that a layer may have. Small, pinned, and the same everywhere.
pub(crate) const CONTENTS: [&[&str]; 10] = [
    &["six==1.16.0"],
    &["six==1.17.0"],
    &["idna==3.10"],
    &["idna==3.11"],
    &["attrs==25.3.0"],
    &["attrs==25.4.0"],
    &["six==1.17.0", "idna==3.10"],
    &["attrs==25.4.0", "six==1.16.0", "idna==3.11"],
    &["attrs==25.3.0", "idna==3.10"],
    &["attrs==25.3.0", "six==1.16.0"],
];

/// The number of contents that a project alternates between.
const CONTENTS_OF_PROJECT: usize = 4;

/// The way in which a request comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// Dropped into the inbox: S3's event tells of it.
    Object,
    /// Sent to the request queue.
    Message,
    /// An event of the object before it with another version and an older time, which comes after
    /// so long.
    Late {
        /// The age of its time at the moment of the drop.
        older: Duration,
        after: Duration,
    },
}

/// A request that will be made.
#[derive(Debug, Clone)]
pub(crate) struct Planned {
    /// Since the start.
    pub(crate) at: Duration,
    pub(crate) key: String,
    pub(crate) project: String,
    pub(crate) targets: &'static [&'static str],
    /// An index of [`CONTENTS`].
    pub(crate) content: usize,
    pub(crate) permissions: Vec<Value>,
    /// In which ways it comes; each of them is a request of its own.
    pub(crate) ways: Vec<Way>,
}

impl Planned {
    /// A request for `py313` that is dropped into the inbox, for one of [`CONTENTS`].
    pub(crate) fn object(project: &str, key: String, content: usize) -> Self {
        Self {
            at: Duration::ZERO,
            key,
            project: project.to_owned(),
            targets: &["py313"],
            content,
            permissions: Vec::new(),
            ways: vec![Way::Object],
        }
    }

    /// The request's text.
    pub(crate) fn text(&self) -> String {
        let mut request = crate::request(&self.project, CONTENTS[self.content], self.targets);
        request["Permissions"] = json!(self.permissions);
        request.to_string()
    }
}

/// So many requests.
pub(crate) fn plan(requests: u32, random: &mut Rng) -> Vec<Planned> {
    let spread = (INTERVAL * requests).as_millis().try_into().unwrap();
    let projects: Vec<_> = (0..SMALL + LARGE)
        .map(|index| {
            let targets: &[&str] = if index < SMALL {
                &["py313"]
            } else {
                &["py313", "py313-arm64"]
            };
            let mut contents: Vec<_> = (0..CONTENTS.len()).collect();
            random.shuffle(&mut contents);
            contents.truncate(CONTENTS_OF_PROJECT);
            (format!("chaos-{index}"), targets, contents)
        })
        .collect();
    let grantees = [
        json!({"Principal": "123456789012"}),
        json!({"Principal": "*", "OrganizationId": "o-0123456789"}),
    ];
    let mut planned = Vec::new();
    let mut left = requests;
    while left > 0 {
        let (project, targets, contents) = &projects[random.usize(..projects.len())];
        let is_granted = random.u8(..4) == 0;
        let permissions = grantees.iter().filter(|_| is_granted && random.bool());
        let permissions = permissions.cloned().collect();
        let ways = match random.u8(..10) {
            0 => vec![Way::Message],
            1 | 2 if left > 1 => {
                // Most of them come too late for a place before what is published, some by far.
                let older = match random.u8(..4) {
                    0 => Duration::from_hours(24 * 365),
                    _ => millis(random, 100, 15_000),
                };
                let after = millis(random, 0, 20_000);
                vec![Way::Object, Way::Late { older, after }]
            }
            _ => vec![Way::Object],
        };
        left -= u32::try_from(ways.len()).unwrap();
        planned.push(Planned {
            at: millis(random, 0, spread),
            key: format!("chaos/{}.json", planned.len()),
            project: project.clone(),
            targets,
            content: contents[random.usize(..contents.len())],
            permissions,
            ways,
        });
    }
    planned
}

/// A time between two numbers of milliseconds.
pub(crate) fn millis(random: &mut Rng, from: u64, to: u64) -> Duration {
    Duration::from_millis(random.u64(from..=to))
}
