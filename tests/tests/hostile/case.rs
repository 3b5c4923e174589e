//! The contents of a row of the tables.

use accretion_core::request::{Admission, AllowedPermissions};
use accretion_service::dispatch::Message;
use serde_json::Value;

use crate::manifests::Forgery;
use crate::site::Site;

/// The setting that allows every host.
pub(crate) const EVERY_HOST: &str = "*";

/// The kind of input that a case is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// A request in JSON.
    Request,
    /// A line of a `requirements.txt`.
    Requirement,
    /// The key of an object of the inbox.
    Key,
    /// A message that looks like an event of S3.
    Event,
    /// Another message of the request queue, and its attributes.
    Message,
    /// A lock file.
    Lock,
    /// A wheel, where it comes from, and what an index says of it.
    Wheel,
    /// An artifact manifest.
    Manifest,
    /// Files that a request names.
    Files,
    /// An attempt on another project, where keys say whose a request is.
    Owner,
}

/// Prepares the index, and says what is required: the type of the requirements, and these.
pub(crate) type Wanted = Box<dyn Fn(&Site) -> (&'static str, String)>;

/// Changes a manifest, and what belongs to it.
pub(crate) type Forge = Box<dyn Fn(&mut Forgery)>;

/// The input of a case.
pub(crate) enum Input {
    /// An object of the inbox, which S3 tells of.
    Object { key: String, bytes: Vec<u8> },
    /// A message of the request queue.
    Message(Box<dyn Fn(&Site) -> Message>),
    /// A good request that names files, and the objects that there are.
    Files {
        objects: Vec<(String, Vec<u8>)>,
        files: Value,
    },
    /// A request that is accepted, and built with what the index has by then.
    Build(Wanted),
    /// An artifact manifest, and what belongs to it.
    Manifest(Forge),
}

/// The outcome of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// The request is rejected with these codes, recorded as such, and told.
    Rejected(&'static [&'static str]),
    /// The message fails with this code each time that it comes, and becomes a dead letter.
    DeadLetter(&'static str),
    /// There is nothing to be done, or it was done before.
    Nothing,
    /// The layer can't be built: this code.
    NotBuilt(&'static str),
    /// The manifest can't be read: this code, for whoever looks after dead letters.
    Unreadable(&'static str),
    /// The manifest can't be published from: this code, which is recorded and told.
    NotPublished(&'static str),
}

/// A row.
pub(crate) struct Case {
    pub(crate) kind: Kind,
    pub(crate) name: String,
    pub(crate) input: Input,
    pub(crate) end: End,
    /// The hosts that the operator allows, besides that of the index.
    pub(crate) hosts: &'static str,
}

/// The rules where keys say whose a request is.
pub(crate) const OWNED: Admission = Admission {
    project_from_key: true,
    permissions: AllowedPermissions::NONE,
};

impl Case {
    /// The rules that the operator has set.
    pub(crate) fn admission(&self) -> Admission {
        match self.kind {
            Kind::Owner => OWNED,
            _ => Admission::DEFAULT,
        }
    }

    /// An object that is dropped into the inbox.
    pub(crate) fn object(
        kind: Kind,
        name: &str,
        (key, bytes): (&str, impl Into<Vec<u8>>),
        codes: &'static [&'static str],
    ) -> Self {
        let (key, bytes) = (key.to_owned(), bytes.into());
        Self {
            kind,
            name: name.to_owned(),
            input: Input::Object { key, bytes },
            end: End::Rejected(codes),
            hosts: EVERY_HOST,
        }
    }

    /// A message that is sent to the request queue.
    pub(crate) fn message(
        kind: Kind,
        name: &str,
        message: impl Fn(&Site) -> Message + 'static,
        end: End,
    ) -> Self {
        let input = Input::Message(Box::new(message));
        let name = name.to_owned();
        Self {
            kind,
            name,
            input,
            end,
            hosts: EVERY_HOST,
        }
    }

    /// A request that is accepted and can't be built.
    pub(crate) fn build(
        kind: Kind,
        name: &str,
        wanted: impl Fn(&Site) -> (&'static str, String) + 'static,
        code: &'static str,
    ) -> Self {
        Self {
            kind,
            name: name.to_owned(),
            input: Input::Build(Box::new(wanted)),
            end: End::NotBuilt(code),
            hosts: EVERY_HOST,
        }
    }

    /// The same where the operator allows these hosts alone besides the index.
    pub(crate) fn allowing(self, hosts: &'static str) -> Self {
        Self { hosts, ..self }
    }

    /// A manifest that can't be published from.
    pub(crate) fn manifest(name: &str, forge: impl Fn(&mut Forgery) + 'static, end: End) -> Self {
        Self {
            kind: Kind::Manifest,
            name: name.to_owned(),
            input: Input::Manifest(Box::new(forge)),
            end,
            hosts: EVERY_HOST,
        }
    }
}

/// A good request, to be made worse.
pub(crate) fn request() -> Value {
    serde_json::json!({
        "Name": "tools",
        "Language": "python",
        "Requirements": {"Type": "requirements.txt", "Requirements": "harmless==1.0\n"},
        "Runtimes": ["python3.13"],
        "Architectures": ["x86_64"],
    })
}
