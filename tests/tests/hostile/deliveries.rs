//! Messages of the request queue: events that S3 has not sent, and requests that are not what they
//! say.

use std::time::Duration;

use accretion_core::request::IdentityAttributes;
use accretion_service::dispatch::Message;
use serde_json::{Value, json};

use crate::case::{Case, End, Kind, request};
use crate::site::{Site, event};

/// An event of a good request that is there, changed.
fn changed(change: impl Fn(&mut Value, &Site) + 'static) -> impl Fn(&Site) -> Message + 'static {
    move |site| {
        let text = request().to_string();
        let mut event = site.drop("requests/tools/request.json", text.as_bytes());
        change(&mut event["Records"][0], site);
        site.message(&event.to_string())
    }
}

/// A good request with attributes.
fn attributed(
    change: impl Fn(&mut IdentityAttributes, &Site) + 'static,
) -> impl Fn(&Site) -> Message + 'static {
    move |site| {
        let mut other = request();
        other["Name"] = "other".into();
        let mut message = site.sent_before(&other.to_string(), &site.accepted);
        change(&mut message.attributes, site);
        message
    }
}

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = events();
    cases.extend(messages());
    cases
}

fn events() -> Vec<Case> {
    let event_case = |name, message: Box<dyn Fn(&Site) -> Message>, end| {
        Case::message(Kind::Event, name, message, end)
    };
    let refused = End::DeadLetter("EventRefused");
    let unknown = End::DeadLetter("MessageUnknown");
    let set = |pointer: &'static str, value: Value| -> Box<dyn Fn(&Site) -> Message> {
        Box::new(changed(move |record, _| {
            *record.pointer_mut(pointer).unwrap() = value.clone();
        }))
    };
    let missing: &'static [&'static str] = &["ObjectMissing"];
    vec![
        event_case(
            "about another bucket",
            set("/s3/bucket/name", json!("elsewhere")),
            refused,
        ),
        event_case(
            "about the artifacts",
            set("/s3/bucket/name", json!("artifacts")),
            refused,
        ),
        event_case(
            "about a bucket with an ARN for a name",
            set("/s3/bucket/name", json!("arn:aws:s3:::inbox")),
            refused,
        ),
        event_case(
            "about a bucket with a path",
            set("/s3/bucket/name", json!("inbox/../artifacts")),
            refused,
        ),
        event_case(
            "about two buckets",
            Box::new(|site| {
                let mut event = site.drop(
                    "requests/tools/request.json",
                    request().to_string().as_bytes(),
                );
                let mut other = event["Records"][0].clone();
                other["s3"]["bucket"]["name"] = "artifacts".into();
                event["Records"].as_array_mut().unwrap().push(other);
                site.message(&event.to_string())
            }),
            refused,
        ),
        event_case(
            "of the future",
            set("/eventTime", json!("2099-01-01T00:00:00.000Z")),
            refused,
        ),
        event_case(
            "of a time that is none",
            set("/eventTime", json!("now")),
            unknown,
        ),
        event_case(
            "of a time that is a number",
            set("/eventTime", json!(1_763_632_800)),
            unknown,
        ),
        event_case(
            "of another service",
            set("/eventSource", json!("aws:sns")),
            unknown,
        ),
        event_case(
            "of a deletion",
            set("/eventName", json!("ObjectRemoved:Delete")),
            End::Nothing,
        ),
        event_case(
            "of a copy of the name",
            set("/eventName", json!("ObjectCreated")),
            End::Nothing,
        ),
        event_case("of no name", set("/eventName", json!("")), unknown),
        event_case(
            "of a version that is not there",
            set("/s3/object/versionId", json!("v2")),
            End::Rejected(missing),
        ),
        event_case(
            "of a version that leads up",
            set("/s3/object/versionId", json!("../v1")),
            End::Rejected(missing),
        ),
        event_case(
            "of a key that is not there",
            set("/s3/object/key", json!("requests/other/request.json")),
            End::Rejected(missing),
        ),
        event_case(
            "of a key that is encoded twice",
            set(
                "/s3/object/key",
                json!("requests%252Ftools%252Frequest.json"),
            ),
            End::Rejected(missing),
        ),
        event_case(
            "of a key that leads up",
            set(
                "/s3/object/key",
                json!("requests/tools/%2e%2e/tools/request.json"),
            ),
            End::Rejected(missing),
        ),
        event_case("of an empty key", set("/s3/object/key", json!("")), unknown),
        event_case(
            "of a key that is no UTF-8",
            set("/s3/object/key", json!("%ff%fe")),
            unknown,
        ),
        event_case(
            "of a key that is a list",
            set("/s3/object/key", json!(["requests/tools/request.json"])),
            unknown,
        ),
        event_case(
            "of a key of ten thousand letters",
            set("/s3/object/key", json!("x".repeat(10_000))),
            End::Rejected(missing),
        ),
        event_case(
            "of a folder",
            set("/s3/object/key", json!("requests/tools/")),
            End::Nothing,
        ),
        event_case(
            "of nothing",
            Box::new(|site| site.message("{\"Records\": []}")),
            unknown,
        ),
        event_case(
            "of records that are none",
            Box::new(|site| site.message("{\"Records\": {\"length\": 1}}")),
            unknown,
        ),
        event_case(
            "of records beside a request",
            Box::new(|site| {
                let mut request = request();
                request["Records"] = json!(null);
                site.message(&request.to_string())
            }),
            unknown,
        ),
        event_case(
            "of a test, with records",
            Box::new(|site| {
                let mut event = event("requests/tools/request.json", site.now());
                event["Event"] = "s3:TestEvent".into();
                site.message(&event.to_string())
            }),
            End::Nothing,
        ),
    ]
}

fn messages() -> Vec<Case> {
    let body = |text: String| move |site: &Site| site.message(&text);
    let message = |name, message: Box<dyn Fn(&Site) -> Message>, end| {
        Case::message(Kind::Message, name, message, end)
    };
    let unknown = End::DeadLetter("MessageUnknown");
    let invalid = End::DeadLetter("MessageIdentityInvalid");
    let id = |text: &'static str| -> Box<dyn Fn(&Site) -> Message> {
        Box::new(attributed(move |attributes, _| {
            attributes.request_id = Some(text.to_owned());
        }))
    };
    let time = |text: &'static str| -> Box<dyn Fn(&Site) -> Message> {
        Box::new(attributed(move |attributes, _| {
            attributes.received_at = Some(text.to_owned());
        }))
    };
    let mut large = request();
    large["Description"] = "x".repeat(300 << 10).into();
    let mut other = request();
    other["Name"] = "other".into();
    let other = other.to_string();
    vec![
        message("of nothing", Box::new(body(String::new())), unknown),
        message(
            "of a text",
            Box::new(body("\"-r /etc/passwd\"".to_owned())),
            unknown,
        ),
        message(
            "of a list",
            Box::new(body(format!("[{}]", request()))),
            unknown,
        ),
        message(
            "of requirements",
            Box::new(body("harmless==1.0\n".to_owned())),
            unknown,
        ),
        message(
            "of two requests",
            Box::new(body(format!("{}{}", request(), request()))),
            unknown,
        ),
        message(
            "nested a hundred thousand deep",
            Box::new(body("{\"a\":".repeat(100_000))),
            unknown,
        ),
        message(
            "of a topic",
            Box::new(body(
                json!({"Type": "Notification", "Message": request().to_string()}).to_string(),
            )),
            End::Rejected(&["FieldMissing", "FieldUnknown"]),
        ),
        message(
            "of 300 KiB",
            Box::new(body(large.to_string())),
            End::Rejected(&["TooLarge"]),
        ),
        // Identities.
        message(
            "that says half of what it was",
            Box::new(attributed(|attributes, _| attributes.received_at = None)),
            invalid,
        ),
        message(
            "that says the other half",
            Box::new(attributed(|attributes, _| attributes.request_id = None)),
            invalid,
        ),
        message("with an empty identity", id(""), invalid),
        message(
            "with an identity in capitals",
            id("0CE43A345624AB7BE5105730F7AFC664"),
            invalid,
        ),
        message(
            "with an identity that leads up",
            id("../manifests/tools/0ce43a345624ab7b"),
            invalid,
        ),
        message(
            "with an identity and a newline",
            id("0ce43a345624ab7be5105730f7afc664\n"),
            invalid,
        ),
        message(
            "with an identity of full-width digits",
            id("\u{ff10}ce43a345624ab7be5105730f7afc664"),
            invalid,
        ),
        message(
            "with an identity of ten thousand digits",
            Box::new(attributed(|attributes, _| {
                attributes.request_id = Some("0".repeat(10_000));
            })),
            invalid,
        ),
        message(
            "of the future",
            Box::new(attributed(|attributes, site| {
                let later = site.now().after(Duration::from_millis(1));
                attributes.received_at = Some(later.to_string());
            })),
            invalid,
        ),
        message(
            "of a time in another zone",
            time("2026-11-20T09:00:00.000+00:00"),
            invalid,
        ),
        message(
            "of a time before time",
            time("-292277022657-01-27T08:29:52.000Z"),
            invalid,
        ),
        message(
            "in the name of an accepted request",
            {
                let other = other.clone();
                Box::new(move |site| site.sent_before(&other, &site.accepted))
            },
            End::Nothing,
        ),
        message(
            "in the name of an accepted request, broken",
            Box::new(|site| site.sent_before("{\"Name\": 1}", &site.accepted)),
            End::Nothing,
        ),
        message(
            "in the name of an accepted request, at another time",
            {
                let other = other.clone();
                Box::new(move |site| {
                    let mut message = site.sent_before(&other, &site.accepted);
                    message.attributes.received_at = Some(site.now().to_string());
                    message
                })
            },
            End::Nothing,
        ),
        message(
            "in the name of a rejected request",
            Box::new(move |site| site.sent_before(&other, &site.rejected)),
            End::Nothing,
        ),
    ]
}
