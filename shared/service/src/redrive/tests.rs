use std::collections::VecDeque;
use std::fmt;
use std::sync::Mutex;

use accretion_core::Fault;
use accretion_core::request::IdentityAttributes;
use serde_json::{Value, json};

use super::*;
use crate::ports::async_trait;

/// A queue of dead letters, and what they are sent to.
#[derive(Default)]
struct World {
    state: Mutex<State>,
    /// A text in bodies that are refused, and the class of the refusal.
    refused: Option<(&'static str, Class)>,
    deletes_nothing: bool,
    /// True if what is sent fails at once and is among the dead letters again.
    fails_at_once: bool,
}

#[derive(Default)]
struct State {
    visible: VecDeque<DeadLetter>,
    hidden: Vec<DeadLetter>,
    sent: Vec<RequestMessage>,
    invoked: Vec<Value>,
}

#[derive(Debug)]
struct Refusal(Class);

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no")
    }
}

impl std::error::Error for Refusal {}

impl Fault for Refusal {
    fn code(&self) -> &'static str {
        "Refused"
    }

    fn class(&self) -> Class {
        self.0
    }

    fn hint(&self) -> Option<String> {
        None
    }
}

impl World {
    fn of(letters: impl IntoIterator<Item = DeadLetter>) -> Self {
        let world = Self::default();
        world.state().visible.extend(letters);
        world
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn requests(&self, limit: usize) -> Outcome {
        block_on(Redrive::new(self, limit).requests(self))
    }

    fn publications(&self, limit: usize) -> Outcome {
        block_on(Redrive::new(self, limit).publications(self))
    }

    /// The ids of what can be seen.
    fn visible(&self) -> Vec<String> {
        let state = self.state();
        assert!(state.hidden.is_empty(), "{:?}", state.hidden);
        state.visible.iter().map(|it| it.id.clone()).collect()
    }

    fn take(&self, body: &str) -> Result<(), PortError> {
        match self.refused {
            Some((part, class)) if body.contains(part) => Err(PortError::new(Refusal(class))),
            _ => Ok(()),
        }
    }
}

#[async_trait]
impl DeadLetters for World {
    async fn receive(&self, limit: usize) -> Result<Vec<DeadLetter>, PortError> {
        let mut state = self.state();
        // As few at once as a queue may give.
        let count = limit.min(2).min(state.visible.len());
        let letters: Vec<_> = state.visible.drain(..count).collect();
        state.hidden.extend(letters.iter().cloned());
        Ok(letters)
    }

    async fn delete(&self, letter: &DeadLetter) -> Result<(), PortError> {
        if self.deletes_nothing {
            return Err(PortError::new(Refusal(Class::Transient)));
        }
        self.state().hidden.retain(|it| it.id != letter.id);
        Ok(())
    }

    async fn make_visible(&self, letter: &DeadLetter) -> Result<(), PortError> {
        let mut state = self.state();
        state.hidden.retain(|it| it.id != letter.id);
        state.visible.push_back(letter.clone());
        Ok(())
    }
}

#[async_trait]
impl RequestQueue for World {
    async fn send(&self, message: &RequestMessage) -> Result<(), PortError> {
        self.take(&message.body)?;
        let mut state = self.state();
        state.sent.push(message.clone());
        if self.fails_at_once {
            let number = state.sent.len();
            let attributes = message.request.as_ref().map(IdentityAttributes::of);
            state.visible.push_back(DeadLetter {
                attributes: attributes.unwrap_or_default(),
                ..letter(&format!("again-{number}"), &message.body)
            });
        }
        Ok(())
    }
}

#[async_trait]
impl Publisher for World {
    async fn invoke(&self, payload: &Value) -> Result<(), PortError> {
        self.take(&payload.to_string())?;
        self.state().invoked.push(payload.clone());
        Ok(())
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread();
    { runtime }.build().unwrap().block_on(future)
}

const SENT_AT: &str = "2026-11-20T10:00:00.500Z";

fn letter(id: &str, body: &str) -> DeadLetter {
    DeadLetter {
        id: id.to_owned(),
        sent_at: SENT_AT.parse().unwrap(),
        attributes: IdentityAttributes::default(),
        body: body.to_owned(),
        receipt: format!("receipt of {id}"),
    }
}

fn request_of(name: &str) -> String {
    json!({"Name": name}).to_string()
}

fn event(keys: &[&str]) -> String {
    let record = |key: &&str| {
        json!({
            "eventSource": "aws:s3",
            "eventTime": "2026-11-20T10:00:00.123Z",
            "eventName": "ObjectCreated:Put",
            "s3": {"bucket": {"name": "inbox"}, "object": {"key": key, "versionId": "v1"}},
        })
    };
    let records: Vec<_> = keys.iter().map(record).collect();
    json!({ "Records": records }).to_string()
}

fn sent(outcome: &Outcome) -> Vec<(&str, Vec<RequestId>)> {
    let sent = outcome.sent.iter();
    sent.map(|it| (it.letter.as_str(), it.requests.clone()))
        .collect()
}

fn left(outcome: &Outcome) -> Vec<(&str, &'static str)> {
    let left = outcome.left.iter();
    left.map(|it| (it.letter.as_str(), it.reason.code()))
        .collect()
}

#[test]
fn a_request_is_sent_as_what_it_was_at_first() {
    let before = RequestRef {
        received_at: "2026-11-06T10:00:00.000Z".parse().unwrap(),
        id: RequestId::of_message("m-0"),
    };
    let again = DeadLetter {
        attributes: IdentityAttributes::of(&before),
        ..letter("m-2", &request_of("again"))
    };
    let event = event(&["tools.json", "folder/", "more.json"]);
    let test = json!({"Event": "s3:TestEvent"}).to_string();
    let world = World::of([
        letter("m-1", &request_of("first")),
        again,
        // An event says itself what it is.
        DeadLetter {
            attributes: IdentityAttributes {
                request_id: Some("me".to_owned()),
                received_at: None,
            },
            ..letter("m-3", &event)
        },
        letter("m-4", &test),
    ]);
    let outcome = world.requests(100);
    assert!(outcome.failure.is_none() && outcome.left.is_empty());
    let first = RequestRef {
        received_at: SENT_AT.parse().unwrap(),
        id: RequestId::of_message("m-1"),
    };
    let of_object = |key| RequestId::of_object("inbox", key, "v1");
    let expected = [
        ("m-1", vec![first.id.clone()]),
        ("m-2", vec![before.id.clone()]),
        ("m-3", vec![of_object("tools.json"), of_object("more.json")]),
        ("m-4", vec![]),
    ];
    assert_eq!(sent(&outcome), expected);
    let expected = [
        (request_of("first"), Some(first)),
        (request_of("again"), Some(before)),
        (event, None),
        (test, None),
    ];
    let expected = expected.map(|(body, request)| RequestMessage { body, request });
    assert_eq!(world.state().sent, expected);
    assert_eq!(world.visible(), [""; 0]);
    assert!(sent(&world.requests(100)).is_empty());
}

#[test]
fn what_would_only_come_back_is_left() {
    let stranger = DeadLetter {
        attributes: IdentityAttributes {
            request_id: Some("me".to_owned()),
            received_at: Some(SENT_AT.to_owned()),
        },
        ..letter("m-2", &request_of("stranger"))
    };
    let letters = [
        letter("m-1", "{\"Name\": \"cut-off"),
        stranger,
        letter("m-3", &request_of("sound")),
        letter("m-4", "{\"Records\": [{}]}"),
    ];
    let world = World::of(letters);
    let poison = [
        ("m-1", "MessageUnknown"),
        ("m-2", "MessageIdentityInvalid"),
        ("m-4", "MessageUnknown"),
    ];
    for count in [1, 0, 0] {
        let outcome = world.requests(100);
        assert_eq!(left(&outcome), poison);
        assert_eq!(outcome.sent.len(), count);
        assert!(outcome.failure.is_none());
        assert_eq!(world.visible(), ["m-1", "m-2", "m-4"]);
    }
    assert_eq!(world.state().sent.len(), 1);
}

#[test]
fn what_comes_back_at_once_is_for_another_run() {
    let world = World {
        fails_at_once: true,
        ..World::of([
            letter("m-1", &request_of("a")),
            letter("m-2", &request_of("b")),
            letter("m-3", &event(&["tools.json"])),
        ])
    };
    let first = world.requests(100);
    assert_eq!(first.sent.len(), 3);
    assert!(first.left.is_empty());
    assert_eq!(world.visible(), ["again-1", "again-2", "again-3"]);
    // As the same requests.
    let second = world.requests(100);
    let requests = |outcome: &Outcome| -> Vec<_> {
        let sent = outcome.sent.iter();
        sent.map(|it| it.requests.clone()).collect()
    };
    assert_eq!(requests(&first), requests(&second));
    let state = world.state();
    assert_eq!(state.sent[..3], state.sent[3..]);
}

#[test]
fn what_was_sent_and_not_deleted_is_sent_once_with_what_came_of_it() {
    let request = RequestRef {
        received_at: SENT_AT.parse().unwrap(),
        id: RequestId::of_message("m-1"),
    };
    let again = DeadLetter {
        attributes: IdentityAttributes::of(&request),
        sent_at: "2026-11-20T11:00:00Z".parse().unwrap(),
        ..letter("m-2", &request_of("a"))
    };
    let world = World::of([letter("m-1", &request_of("a")), again]);
    let outcome = world.requests(100);
    let id = request.id;
    assert_eq!(
        sent(&outcome),
        [("m-1", vec![id.clone()]), ("m-2", vec![id])]
    );
    assert_eq!(world.state().sent.len(), 1);
    assert_eq!(world.visible(), [""; 0]);
}

#[test]
fn what_is_not_deleted_was_sent() {
    let mut world = World::of([
        letter("m-1", &request_of("a")),
        letter("m-2", &request_of("b")),
    ]);
    world.deletes_nothing = true;
    let outcome = world.requests(100);
    assert_eq!(outcome.failure.unwrap().code(), "Refused");
    assert_eq!(outcome.sent.len(), 1);
    assert_eq!(world.visible(), ["m-1", "m-2"]);
    world.deletes_nothing = false;
    assert_eq!(world.requests(100).sent.len(), 2);
    let state = world.state();
    assert_eq!(state.sent.len(), 3);
    assert_eq!(state.sent[0], state.sent[1]);
}

#[test]
fn nothing_is_deleted_that_was_not_sent() {
    for (class, sent, left) in [
        // One that is not taken is no reason not to send the others.
        (Class::Internal, vec!["m-1", "m-3"], vec!["m-2"]),
        // Nobody would be served now.
        (Class::Transient, vec!["m-1"], vec!["m-2", "m-3"]),
    ] {
        let world = World {
            refused: Some(("second", class)),
            ..World::of([
                letter("m-1", &request_of("first")),
                letter("m-2", &request_of("second")),
                letter("m-3", &request_of("third")),
            ])
        };
        let outcome = world.requests(100);
        let ids: Vec<_> = outcome.sent.iter().map(|it| &it.letter).collect();
        assert_eq!(ids, sent);
        assert_eq!(outcome.failure.is_some(), class == Class::Transient);
        assert_eq!(outcome.left.len(), usize::from(class == Class::Internal));
        let mut visible = world.visible();
        visible.sort();
        assert_eq!(visible, left);
    }
}

#[test]
fn a_run_is_bounded() {
    let letters = (0..5).map(|it| letter(&format!("m-{it}"), &request_of(&it.to_string())));
    let world = World::of(letters);
    assert!(sent(&world.requests(0)).is_empty());
    assert_eq!(world.requests(3).sent.len(), 3);
    assert_eq!(world.visible(), ["m-3", "m-4"]);
}

#[test]
fn the_publisher_is_invoked_with_what_it_was_invoked_with() {
    let id = RequestId::of_message("1");
    let key = format!("accretion/manifests/tools/{id}-py313.manifest");
    let payload: Value = serde_json::from_str(&event(&[&key])).unwrap();
    let repair = json!({"Task": "Reconcile"});
    let record = |payload: &Value| json!({"requestPayload": payload}).to_string();
    let world = World::of([
        letter("m-1", &record(&payload)),
        letter("m-2", &json!({"requestContext": {}}).to_string()),
        letter("m-3", &record(&repair)),
        letter("m-4", &record(&repair)),
    ]);
    let outcome = world.publications(100);
    let expected = [("m-1", vec![id]), ("m-3", vec![]), ("m-4", vec![])];
    assert_eq!(sent(&outcome), expected);
    assert_eq!(left(&outcome), [("m-2", "InvocationUnknown")]);
    assert_eq!(world.state().invoked, [payload, repair]);
    assert_eq!(world.visible(), ["m-2"]);
}

#[test]
fn inspected_letters_stay_where_they_are() {
    let world = World::of([
        letter("m-2", &event(&["tools.json", "folder/"])),
        letter("m-1", &request_of("first")),
        letter("m-4", "no"),
        DeadLetter {
            sent_at: "2026-11-20T09:00:00Z".parse().unwrap(),
            ..letter("m-3", &request_of("oldest"))
        },
    ]);
    let inspection = block_on(Redrive::new(&world, 100).inspect_requests());
    assert!(inspection.failure.is_none());
    let seen: Vec<_> = inspection
        .letters
        .iter()
        .map(|it| (it.letter.as_str(), it.requests.clone(), it.keys.clone()))
        .collect();
    let of_message = |id| vec![RequestId::of_message(id)];
    let of_object = vec![RequestId::of_object("inbox", "tools.json", "v1")];
    let keys = vec!["tools.json".to_owned(), "folder/".to_owned()];
    let expected = [
        ("m-3", of_message("m-3"), vec![]),
        ("m-1", of_message("m-1"), vec![]),
        ("m-2", of_object, keys),
        ("m-4", vec![], vec![]),
    ];
    assert_eq!(seen, expected);
    let obstacles: Vec<_> = inspection
        .letters
        .iter()
        .filter_map(|it| Some((it.body.as_str(), it.obstacle.as_ref()?.code())))
        .collect();
    assert_eq!(obstacles, [("no", "MessageUnknown")]);
    assert_eq!(world.visible().len(), 4);
    assert!(world.state().sent.is_empty());
    let inspection = block_on(Redrive::new(&world, 3).inspect_requests());
    assert_eq!(inspection.letters.len(), 3);
    assert_eq!(world.visible().len(), 4);
}

#[test]
fn the_cause_of_a_failed_publication_is_shown() {
    let id = RequestId::of_message("1");
    let key = format!("accretion/manifests/tools/{id}-py313.manifest");
    let payload: Value = serde_json::from_str(&event(&[&key])).unwrap();
    let record = json!({
        "requestContext": {"condition": "RetriesExhausted"},
        "requestPayload": payload,
        "responsePayload": {"errorType": "AccessDenied", "errorMessage": "not allowed"},
    });
    let unknown = json!({"responsePayload": {"errorType": "Panicked"}});
    let world = World::of([
        letter("m-1", &record.to_string()),
        letter("m-2", &unknown.to_string()),
    ]);
    let inspection = block_on(Redrive::new(&world, 100).inspect_publications());
    let [one, other] = &inspection.letters[..] else {
        panic!("{inspection:?}");
    };
    assert_eq!((&one.requests, &one.keys), (&vec![id], &vec![key]));
    assert_eq!(one.cause.code.as_deref(), Some("AccessDenied"));
    assert!(one.obstacle.is_none());
    assert_eq!(other.cause.code.as_deref(), Some("Panicked"));
    let obstacle = other.obstacle.as_ref().unwrap();
    assert_eq!(obstacle.code(), "InvocationUnknown");
    assert_eq!(world.visible(), ["m-1", "m-2"]);
    assert!(world.state().invoked.is_empty());
}

#[test]
fn only_the_chosen_letters_are_sent() {
    let letters = ["a", "b", "c"].map(|name| letter(name, &request_of(name)));
    let world = World::of(letters.into_iter().chain([letter("d", "no")]));
    let meant = ["b", "d", "gone"].map(str::to_owned);
    let redrive = Redrive::new(&world, 100).only(meant);
    let outcome = block_on(redrive.requests(&world));
    let ids: Vec<_> = outcome.sent.iter().map(|it| &it.letter).collect();
    assert_eq!(ids, ["b"]);
    assert_eq!(left(&outcome), [("d", "MessageUnknown")]);
    assert_eq!(world.visible(), ["a", "c", "d"]);
}
