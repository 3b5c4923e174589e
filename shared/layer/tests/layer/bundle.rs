//! Layers for several runtimes: in which order they are given, and how large they are.

use accretion_core::Fault as _;
use accretion_core::layer::Shape;
use accretion_core::target::{Architecture, Runtime, Target};
use accretion_layer as layer;
use accretion_layer::{Bundle, Copied, Files, LayerZip, Output as _, PackageFiles, Packer, Tree};
use accretion_testing::forge::WheelForge;
use accretion_tree::{Layout, LayoutFile};

use crate::harness::{Inspected, inspect_wheel, refusal, rules};

fn target(runtime: Runtime) -> Target {
    let architecture = Architecture::X86_64;
    Target {
        runtime,
        architecture,
    }
}

#[test]
fn the_order_of_trees_and_wheels_does_not_matter() {
    let forge = |name: &str, content: &str| {
        let forge = WheelForge::new(name, "1.0").file(&format!("{name}.py"), content);
        let wheel = forge.file("clash.py", format!("# {name}\n")).build();
        inspect_wheel(&wheel).unwrap()
    };
    let (a, b, c) = (forge("a", "a\n"), forge("b", "b\n"), forge("c", "c\n"));
    let mut packer = Packer::new(Vec::new());
    for path in ["z.py", "lib/a.txt", "_.py"] {
        packer.add(path.to_owned(), false, path.as_bytes()).unwrap();
    }
    let (copied, data) = packer.finish();
    let copied = Copied {
        folder: "the folder",
        files: &copied,
    };
    let write = |trees: &[(Runtime, Vec<&Inspected>)]| {
        let planned = trees.iter().map(|(runtime, wheels)| Tree {
            target: target(*runtime),
            packages: wheels.iter().map(|it| it.package()).collect(),
        });
        let planned: Vec<_> = planned.collect();
        let bundle = Bundle::new(&planned, copied, &rules()).unwrap();
        assert_eq!(bundle.shape, Shape::PerRuntime);
        let wheels = trees
            .iter()
            .map(|(_, wheels)| wheels.iter().map(|it| it.files()).collect());
        let wheels: Vec<Vec<_>> = wheels.collect();
        let of_copied = PackageFiles {
            archive: &data,
            layout: &data,
        };
        let mut zip = Vec::new();
        let files = Files::new(&bundle, &wheels, Some(&of_copied));
        LayerZip.write(files, &mut zip).unwrap();
        let conflicts: Vec<_> = bundle
            .conflicts
            .iter()
            .map(|it| it.winner.clone())
            .collect();
        (zip, conflicts)
    };
    let (old, new) = (Runtime::Python310, Runtime::Python314);
    let (zip, conflicts) = write(&[(old, vec![&a, &b]), (new, vec![&a, &c])]);
    assert_eq!(
        conflicts,
        ["b-1.0-py3-none-any.whl", "c-1.0-py3-none-any.whl"]
    );
    let (other, _) = write(&[(new, vec![&c, &a]), (old, vec![&b, &a])]);
    assert!(zip == other);
    let (same, conflicts) = write(&[
        (old, vec![&a, &b]),
        (old, vec![&b, &a]),
        (new, vec![&a, &c]),
    ]);
    assert!(zip == same);
    assert_eq!(conflicts.len(), 2, "what two trees say alike is said once");
    let mut names = Vec::new();
    let mut archive = zip::ZipArchive::new(std::io::Cursor::new(zip)).unwrap();
    for at in 0..archive.len() {
        names.push(archive.by_index(at).unwrap().name().unwrap().into_owned());
    }
    assert!(
        names.is_sorted() && names.contains(&"python/lib/a.txt".to_owned()),
        "{names:?}"
    );
}

/// A layout of one file that takes so many MiB of a layer, and nothing on any disk.
fn large(name: &str, mib: u64) -> Layout {
    let small = WheelForge::new(name, "1.0")
        .file(&format!("{name}.bin"), name)
        .build();
    let mut layout = inspect_wheel(&small).unwrap().layout;
    for file in &mut layout.files {
        if file.path == format!("{name}.bin") {
            file.size = mib << 20;
        }
    }
    layout
}

#[test]
fn all_trees_together_are_under_the_limit() {
    let [one, other] = [large("one", 130), large("other", 100)];
    let tree = |runtime, layout| Tree {
        target: target(runtime),
        packages: vec![layer::Package {
            filename: "large.whl",
            layout,
        }],
    };
    let copied: Vec<LayoutFile> = large("copied", 30).files;
    let copied: Vec<_> = copied
        .into_iter()
        .filter(|it| it.path == "copied.bin")
        .collect();
    let none = Copied {
        folder: "the folder",
        files: &[],
    };
    let some = Copied {
        files: &copied,
        ..none
    };
    let trees = [
        tree(Runtime::Python312, &one),
        tree(Runtime::Python313, &other),
    ];
    let bundle = Bundle::new(&trees, none, &rules()).unwrap();
    assert!(bundle.unzipped > 230 << 20);
    let refused = refusal(Bundle::new(&trees, some, &rules()));
    assert!(
        refused.starts_with("LayerTooLarge: the layer would have 260.1 MiB"),
        "{refused}"
    );
    let hint = Bundle::new(&trees, some, &rules())
        .unwrap_err()
        .hint()
        .unwrap();
    assert!(
        hint.contains("there is all of it 2 times: build a layer for each runtime"),
        "{hint}"
    );
    // What all of them share counts once.
    let shared = [
        tree(Runtime::Python312, &one),
        tree(Runtime::Python313, &one),
    ];
    let bundle = Bundle::new(&shared, some, &rules()).unwrap();
    assert!(bundle.shape == Shape::Shared && bundle.unzipped < 161 << 20);
    assert!(refusal(Bundle::new(&[], none, &rules())).starts_with("LayerEmpty"));
}
