//! Wheels out of arbitrary bytes, by way of the forge: mutated bytes seldom have a true checksum, a
//! mutated plan does.

use std::io::Read as _;

use accretion_testing::forge::zip::{
    Archive, Claim, Content, Descriptor, EndClaim, EndPlace, Entry, Method, Place, Zip64End,
};
use accretion_testing::forge::{Part, WheelForge};
use arbitrary::{Arbitrary, Unstructured};

/// The largest number of bytes that are unpacked of a stream that a plan holds.
const UNPACKED: u64 = 64 << 10;
/// The forge makes them without complaint; the targets would time out.
const ENTRIES: usize = 40;

/// The plan that a target of plans makes of its bytes.
pub(crate) fn plan<'a, P: Arbitrary<'a>>(data: &'a [u8]) -> Option<P> {
    P::arbitrary_take_rest(Unstructured::new(data)).ok()
}

/// A wheel whose metadata are these, separated by `0x1e`.
pub(crate) fn with_metadata(data: &[u8]) -> Vec<u8> {
    let mut parts = data.split(|byte| *byte == 0x1e);
    let mut part = |default: Part| match parts.next() {
        None | Some([]) => default,
        Some(text) => Part::Content(text.to_vec()),
    };
    let forge = WheelForge::new("demo", "1.0").method(Method::Stored);
    let mut forge = forge
        .metadata(part(Part::Generated))
        .wheel(part(Part::Generated));
    if let Part::Content(text) = part(Part::Missing) {
        forge = forge.dist_info_file("entry_points.txt", text);
    }
    forge = forge.record(part(Part::Generated));
    if let Part::Content(text) = part(Part::Missing) {
        forge = forge.data("scripts", "run", text);
    }
    forge.file("demo.py", "").build().bytes
}

/// One wheel.
#[derive(Debug, Arbitrary)]
pub(crate) struct WheelPlan {
    entries: Vec<EntryPlan>,
    /// The entries that are there twice.
    twice: Vec<u8>,
    metadata: PartPlan,
    wheel: PartPlan,
    record: PartPlan,
    entry_points: Vec<(Name, Object)>,
    changes: Vec<ArchiveChange>,
    /// Bytes that are exclusive-ored in the end.
    flips: Vec<(u16, u8)>,
}

impl WheelPlan {
    /// The wheel of version 1.0 of a distribution.
    pub(crate) fn build(&self, name: &str) -> Vec<u8> {
        let forge = WheelForge::new(name, "1.0")
            .metadata(self.metadata.part())
            .wheel(self.wheel.part())
            .record(self.record.part());
        let escaped = name.replace('-', "_");
        let entries = self.entries.iter().take(ENTRIES);
        let repeated = self.twice.iter().take(ENTRIES);
        let repeated = repeated.filter_map(|at| self.entries.get(usize::from(*at)));
        let mut forge = entries
            .chain(repeated)
            .fold(forge, |forge, entry| forge.entry(entry.build(&escaped)));
        for (name, object) in self.entry_points.iter().take(ENTRIES) {
            forge = forge.entry_point("console_scripts", &name.text(), &object.text());
        }
        let changes = self.changes.iter();
        let mut bytes = changes
            .fold(forge.archive(), |archive, change| change.apply(archive))
            .build();
        for (at, flip) in &self.flips {
            let length = bytes.len().max(1);
            if let Some(byte) = bytes.get_mut(usize::from(*at) % length) {
                *byte ^= flip;
            }
        }
        bytes
    }
}

#[derive(Debug, Arbitrary)]
enum PartPlan {
    Generated,
    Generated2,
    Generated3,
    Crlf,
    Missing,
    Content(Vec<u8>),
}

impl PartPlan {
    fn part(&self) -> Part {
        match self {
            Self::Generated | Self::Generated2 | Self::Generated3 => Part::Generated,
            Self::Crlf => Part::Crlf,
            Self::Missing => Part::Missing,
            Self::Content(content) => Part::Content(content.clone()),
        }
    }
}

/// One part of a path, mostly one that others have too.
#[derive(Debug, Arbitrary)]
enum Name {
    A,
    B,
    Init,
    Accented,
    Quoted,
    Separator,
    Bin,
    Demo,
    Include,
    Record,
    Installer,
    EntryPoints,
    Dot,
    Nothing,
    Text(String),
}

impl Name {
    fn text(&self) -> String {
        match self {
            Self::A => "a",
            Self::B => "b.py",
            Self::Init => "__init__.py",
            Self::Accented => "é 包",
            Self::Quoted => "a,\"b\"",
            Self::Separator => "a\u{2028}b",
            Self::Bin => "bin",
            Self::Demo => "demo",
            Self::Include => "include",
            Self::Record => "RECORD",
            Self::Installer => "INSTALLER",
            Self::EntryPoints => "entry_points.txt",
            Self::Dot => ".",
            Self::Nothing => "",
            Self::Text(text) => text,
        }
        .to_owned()
    }
}

#[derive(Debug, Arbitrary)]
enum Object {
    Main,
    Dotted,
    Extras,
    Text(String),
}

impl Object {
    fn text(&self) -> String {
        match self {
            Self::Main => "demo:main",
            Self::Dotted => "demo.sub:Main.run",
            Self::Extras => "demo:main [x]",
            Self::Text(text) => text,
        }
        .to_owned()
    }
}

#[derive(Debug, Arbitrary)]
enum Root {
    Top,
    DistInfo,
    Purelib,
    Platlib,
    Scripts,
    Headers,
    Data,
    OtherData(String),
    DataOfAnother,
    DifferentSpelling,
}

#[derive(Debug, Arbitrary)]
enum PathPlan {
    Parts(Vec<Name>),
    Folder(Vec<Name>),
    Bytes(Vec<u8>),
}

impl PathPlan {
    fn bytes(&self, root: &Root, name: &str) -> Vec<u8> {
        let root = match root {
            Root::Top => String::new(),
            Root::DistInfo => format!("{name}-1.0.dist-info/"),
            Root::Purelib => format!("{name}-1.0.data/purelib/"),
            Root::Platlib => format!("{name}-1.0.data/platlib/"),
            Root::Scripts => format!("{name}-1.0.data/scripts/"),
            Root::Headers => format!("{name}-1.0.data/headers/"),
            Root::Data => format!("{name}-1.0.data/data/"),
            Root::OtherData(kind) => format!("{name}-1.0.data/{kind}/"),
            Root::DataOfAnother => "other-1.0.data/data/".to_owned(),
            Root::DifferentSpelling => format!("{}-1.0.0.data/data/", name.to_uppercase()),
        };
        let join = |parts: &[Name]| {
            let parts: Vec<_> = parts.iter().map(Name::text).collect();
            format!("{root}{}", parts.join("/")).into_bytes()
        };
        match self {
            Self::Parts(parts) => join(parts),
            Self::Folder(parts) => [join(parts), b"/".to_vec()].concat(),
            Self::Bytes(bytes) => [root.as_bytes(), bytes].concat(),
        }
    }
}

#[derive(Debug, Arbitrary)]
enum ContentPlan {
    Empty,
    One,
    Two,
    Script(Vec<u8>),
    Bytes(Vec<u8>),
    Zeros(u16),
}

impl ContentPlan {
    fn content(&self) -> Content {
        match self {
            Self::Empty => Content::from(""),
            Self::One => Content::from("one = 1\n".repeat(20)),
            Self::Two => Content::from("two = 2\n"),
            Self::Script(rest) => Content::from([&b"#!python"[..], rest].concat()),
            Self::Bytes(bytes) => Content::from(bytes.clone()),
            Self::Zeros(count) => Content::Zeros((*count).into()),
        }
    }
}

#[derive(Debug, Arbitrary)]
enum MethodPlan {
    Stored,
    Deflate(u8),
    Zstandard,
    /// A stream, with the content that it unpacks to if it is one.
    DeflateStream(Vec<u8>),
    ZstandardStream(Vec<u8>),
    Raw(u16, Vec<u8>),
}

#[derive(Debug, Arbitrary)]
struct EntryPlan {
    root: Root,
    path: PathPlan,
    content: ContentPlan,
    method: MethodPlan,
    oddities: Vec<Oddity>,
}

impl EntryPlan {
    fn build(&self, name: &str) -> Entry {
        let path = self.path.bytes(&self.root, name);
        let content = self.content.content();
        let stream = |number, stream: &[u8], unpacked: Option<Vec<u8>>| {
            let method = Method::Raw {
                number,
                stream: stream.to_vec(),
            };
            Entry::file(
                path.clone(),
                unpacked.map_or(content.clone(), Content::from),
            )
            .method(method)
        };
        let entry = match &self.method {
            MethodPlan::Stored => Entry::file(path, content).method(Method::Stored),
            MethodPlan::Deflate(level) => {
                Entry::file(path, content).method(Method::Deflate(u32::from(*level) % 10))
            }
            MethodPlan::Zstandard => Entry::file(path, content).method(Method::Zstd),
            MethodPlan::DeflateStream(bytes) => stream(8, bytes, inflated(bytes)),
            MethodPlan::ZstandardStream(bytes) => stream(93, bytes, decoded(bytes)),
            MethodPlan::Raw(number, bytes) => stream(*number, bytes, None),
        };
        self.oddities
            .iter()
            .fold(entry, |entry, oddity| oddity.apply(entry))
    }
}

fn inflated(stream: &[u8]) -> Option<Vec<u8>> {
    let mut content = Vec::new();
    let decoder = flate2::read::DeflateDecoder::new(stream);
    decoder.take(UNPACKED).read_to_end(&mut content).ok()?;
    Some(content)
}

fn decoded(stream: &[u8]) -> Option<Vec<u8>> {
    let mut content = Vec::new();
    let decoder = ruzstd::decoding::StreamingDecoder::new(stream).ok()?;
    decoder.take(UNPACKED).read_to_end(&mut content).ok()?;
    Some(content)
}

#[derive(Debug, Clone, Copy, Arbitrary)]
enum Where {
    Local,
    Central,
    Descriptor,
    Everywhere,
}

impl Where {
    fn place(self) -> Place {
        match self {
            Self::Local => Place::Local,
            Self::Central => Place::Central,
            Self::Descriptor => Place::Descriptor,
            Self::Everywhere => Place::Everywhere,
        }
    }
}

#[derive(Debug, Arbitrary)]
enum Lie {
    Name(Vec<u8>),
    Crc(u32),
    CompressedSize(u32),
    UncompressedSize(u32),
    Method(u16),
    Flags(u16),
    VersionNeeded(u16),
    Disk(u16),
    Offset(u32),
}

#[derive(Debug, Arbitrary)]
enum Oddity {
    Descriptor { signature: bool, zip64: bool },
    Zip64(Where),
    Utf8(bool),
    Encrypted,
    Executable,
    Mode(u16),
    Attributes(u32),
    System(u8),
    Time(u16, u16),
    Extra(Where, u16, Vec<u8>),
    RawExtra(Where, Vec<u8>),
    UnicodePath(Where, String),
    Comment(Vec<u8>),
    Gap(Vec<u8>),
    Junk(Vec<u8>),
    Lie(Where, Lie),
    LocalOnly,
}

impl Oddity {
    fn apply(&self, entry: Entry) -> Entry {
        match self {
            Self::Descriptor { signature, zip64 } => entry.descriptor(Descriptor {
                signature: *signature,
                zip64: *zip64,
            }),
            Self::Zip64(at) => entry.zip64(at.place()),
            Self::Utf8(set) => entry.utf8_flag(*set),
            Self::Encrypted => entry.encrypted(),
            Self::Executable => entry.mode(0o100_755),
            Self::Mode(mode) => entry.mode((*mode).into()),
            Self::Attributes(attributes) => entry.external_attributes(*attributes),
            Self::System(system) => entry.create_system(*system),
            Self::Time(date, time) => entry.dos_time(*date, *time),
            Self::Extra(at, id, data) => entry.extra(at.place(), *id, data),
            Self::RawExtra(at, bytes) => entry.raw_extra(at.place(), bytes.clone()),
            Self::UnicodePath(at, path) => entry.unicode_path(at.place(), path),
            Self::Comment(comment) => entry.comment(comment.clone()),
            Self::Gap(bytes) => entry.gap_before(bytes.clone()),
            Self::Junk(bytes) => entry.junk_after_stream(bytes.clone()),
            Self::Lie(at, lie) => {
                let claim = match lie {
                    Lie::Name(name) => Claim::Name(name.clone()),
                    Lie::Crc(crc) => Claim::Crc(*crc),
                    Lie::CompressedSize(size) => Claim::CompressedSize((*size).into()),
                    Lie::UncompressedSize(size) => Claim::UncompressedSize((*size).into()),
                    Lie::Method(method) => Claim::Method(*method),
                    Lie::Flags(flags) => Claim::Flags(*flags),
                    Lie::VersionNeeded(version) => Claim::VersionNeeded(*version),
                    Lie::Disk(disk) => Claim::Disk(*disk),
                    Lie::Offset(offset) => Claim::Offset((*offset).into()),
                };
                entry.lie(at.place(), claim)
            }
            Self::LocalOnly => entry.local_only(),
        }
    }
}

#[derive(Debug, Arbitrary)]
enum EndLie {
    Disk(u32),
    CentralDisk(u32),
    EntriesOnDisk(u16),
    Entries(u16),
    CentralSize(u32),
    CentralOffset(u32),
    CommentLength(u16),
    Zip64Offset(u32),
    Disks(u32),
}

#[derive(Debug, Arbitrary)]
enum ArchiveChange {
    Prefix(Vec<u8>),
    UncountedPrefix(Vec<u8>),
    GapBeforeCentral(Vec<u8>),
    GapBeforeEnd(Vec<u8>),
    Comment(Vec<u8>),
    /// A comment that holds an end record, with something behind it.
    CommentWithEnd(Vec<u8>, Vec<u8>),
    Trailing(Vec<u8>),
    Padding(u16),
    Zip64Forced,
    Zip64Redundant,
    Reversed,
    Lie(bool, EndLie),
    Truncate(u16),
    Overlap(u8, Name),
}

impl ArchiveChange {
    fn apply(&self, archive: Archive) -> Archive {
        match self {
            Self::Prefix(bytes) => archive.prefix(bytes.clone()),
            Self::UncountedPrefix(bytes) => archive.uncounted_prefix(bytes.clone()),
            Self::GapBeforeCentral(bytes) => archive.gap_before_central(bytes.clone()),
            Self::GapBeforeEnd(bytes) => archive.gap_before_end(bytes.clone()),
            Self::Comment(bytes) => archive.comment(bytes.clone()),
            Self::CommentWithEnd(before, behind) => {
                let end = Archive::new().build();
                archive.comment([before, end.as_slice(), behind].concat())
            }
            Self::Trailing(bytes) => archive.trailing(bytes.clone()),
            Self::Padding(length) => archive.trailing(vec![0; usize::from(*length)]),
            Self::Zip64Forced => archive.zip64_end(Zip64End::Forced),
            Self::Zip64Redundant => archive.zip64_end(Zip64End::Redundant),
            Self::Reversed => archive.reverse_central(),
            Self::Lie(zip64, lie) => {
                let place = if *zip64 {
                    EndPlace::Zip64
                } else {
                    EndPlace::End
                };
                let claim = match lie {
                    EndLie::Disk(disk) => EndClaim::Disk(*disk),
                    EndLie::CentralDisk(disk) => EndClaim::CentralDisk(*disk),
                    EndLie::EntriesOnDisk(entries) => EndClaim::EntriesOnDisk((*entries).into()),
                    EndLie::Entries(entries) => EndClaim::Entries((*entries).into()),
                    EndLie::CentralSize(size) => EndClaim::CentralSize((*size).into()),
                    EndLie::CentralOffset(offset) => EndClaim::CentralOffset((*offset).into()),
                    EndLie::CommentLength(length) => EndClaim::CommentLength(*length),
                    EndLie::Zip64Offset(offset) => EndClaim::Zip64Offset((*offset).into()),
                    EndLie::Disks(disks) => EndClaim::Disks(*disks),
                };
                archive.lie(place, claim)
            }
            Self::Truncate(length) => archive.truncate((*length).into()),
            Self::Overlap(of, name) => {
                let of = usize::from(*of);
                if of < archive.entries().len() {
                    archive.overlap(of, name.text())
                } else {
                    archive
                }
            }
        }
    }
}
