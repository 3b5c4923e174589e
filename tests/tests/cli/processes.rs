//! Processes that meet in one cache, and processes that are ended in the middle.

use std::fs;
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use accretion_testing::forge::SdistForge;
use accretion_testing::index::Fault;
use integration_tests::{Project, names};
use serde_json::json;

use crate::{DEFAULT_LAYERS, LAYER, ONE, index, native, own_target, project, pure, pure_name};

/// Signals that ask a command to end, and what a shell reports for them.
const SIGNALS: [(&str, i32); 2] = [("INT", 130), ("TERM", 143)];

/// Waits until something is so.
#[track_caller]
fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(
            start.elapsed() < Duration::from_secs(30),
            "{what} never came"
        );
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn send(signal: &str, process: &Child) {
    // The shell's own: not every machine has the program.
    let status = Command::new("/bin/sh")
        .args(["-c", &format!("kill -s {signal} {}", process.id())])
        .status()
        .expect("there is a shell");
    assert!(status.success());
}

fn is_downloading(project: &Project) -> bool {
    let partial = |name: &String| {
        let path = project.cache().join("wheels").join(name);
        name.starts_with(".partial-") && fs::metadata(path).is_ok_and(|it| it.len() > 0)
    };
    names(&project.cache().join("wheels")).iter().any(partial)
}

#[test]
fn two_builds_share_a_cold_cache() {
    let packages = ["a", "b", "c", "d"].map(|name| {
        pure(name)
            .file(&format!("{name}/data.bin"), vec![7; 200_000])
            .build()
    });
    let index = index(packages.into_iter().chain(native()));
    for round in 0..4 {
        let projects = [project(&index), project(&index)];
        let start = |project: &Project| {
            project.write("requirements.txt", "a\nb\nc\nd\nnative\n");
            let mut command = project.command(["build", "requirements.txt"]);
            command.env("ACCRETION_CACHE_DIR", projects[0].cache());
            command.spawn().unwrap()
        };
        let children = [start(&projects[0]), start(&projects[1])];
        for (project, child) in projects.iter().zip(children) {
            project.wait(child).exits(0);
        }
        // Not before both are done: they share what is half-done.
        projects[0].assert_tidy();
        projects[1].assert_tidy();
        for layer in DEFAULT_LAYERS {
            assert!(
                projects[0].zip(layer) == projects[1].zip(layer),
                "{layer}, round {round}"
            );
        }
    }
}

#[test]
fn two_builds_write_one_folder() {
    let index = index([pure("a").build(), pure("b").build()]);
    for _ in 0..3 {
        let project = project(&index);
        project.write("requirements.txt", "a\nb\n");
        let start = || {
            project
                .command(["build", "requirements.txt"])
                .spawn()
                .unwrap()
        };
        for child in [start(), start()] {
            project.wait(child).exits(0);
        }
        project.assert_tidy();
        let third = project.run("build requirements.txt").exits(0);
        assert_eq!(
            third.stdout.matches("unchanged").count(),
            DEFAULT_LAYERS.len(),
            "{third}"
        );
    }
}

#[test]
fn two_builds_of_one_source_agree() {
    let index = index([pure("needs").requires("source").build()]);
    // Each build gives another wheel.
    let wheel = pure("source").build();
    let sdist = SdistForge::new("source", "1.0")
        .static_metadata()
        .builds(&wheel)
        .file(
            "forged_backend.py",
            "import os, zipfile\n\
         def get_requires_for_build_wheel(config_settings=None): return []\n\
         def build_wheel(to, config_settings=None, metadata_directory=None):\n\
         \x20   name = 'source-1.0-py3-none-any.whl'\n\
         \x20   old = zipfile.ZipFile(os.path.join('forged', name))\n\
         \x20   with zipfile.ZipFile(os.path.join(to, name), 'w') as new:\n\
         \x20       for each in old.namelist(): new.writestr(each, old.read(each))\n\
         \x20       new.writestr('source/random.txt', os.urandom(16).hex())\n\
         \x20   return name\n",
        );
    index.add(sdist.build());
    let projects = [project(&index), project(&index)];
    let start = |project: &Project| {
        project.write("requirements.txt", "needs\n");
        let mut command = project.command(["build", "requirements.txt"]);
        command
            .args(["--allow-source-distributions", "--name", "tools", "-q"])
            .args(own_target().split(' '))
            .env("ACCRETION_CACHE_DIR", projects[0].cache());
        command.spawn().unwrap()
    };
    let children = [start(&projects[0]), start(&projects[1])];
    for (project, child) in projects.iter().zip(children) {
        project.wait(child).exits(0);
    }
    let zip = |project: &Project| {
        let zips: Vec<_> = project
            .outputs()
            .into_iter()
            .filter(|it| it.ends_with(".zip"))
            .collect();
        project.zip(zips[0].trim_end_matches(".zip"))
    };
    assert!(zip(&projects[0]) == zip(&projects[1]));
}

/// A project whose build hangs in the download of `b`.
fn slow(index: &accretion_testing::index::PackageIndex) -> Project {
    let project = project(index);
    project.write("requirements.txt", "a\nb\n");
    index.fault(&pure_name("b"), Fault::Slow(100));
    project
}

fn start(project: &Project) -> Child {
    let mut command = project.command(["build", "requirements.txt"]);
    command.args(ONE.split(' ')).spawn().expect("it can be run")
}

#[test]
fn a_killed_build_harms_no_other() {
    let index = index([pure("a").build(), pure("b").build()]);
    let project = slow(&index);
    let mut child = start(&project);
    wait_for("the download", || is_downloading(&project));
    child.kill().unwrap();
    assert_eq!(project.wait(child).code, None);
    assert_eq!(project.outputs(), [""; 0]);

    index.heal(&pure_name("b"));
    project
        .run(&format!("build requirements.txt {ONE}"))
        .exits(0);
    let whole = slow(&index);
    index.heal(&pure_name("b"));
    whole.run(&format!("build requirements.txt {ONE}")).exits(0);
    assert!(project.zip(LAYER) == whole.zip(LAYER));
}

#[test]
fn what_killed_builds_left_is_removed_in_time() {
    let index = index([pure("a").build()]);
    let project = project(&index);
    project.write("requirements.txt", "a\n");
    let wheels = project.cache().join("wheels");
    fs::create_dir_all(&wheels).unwrap();
    let leave = |name: &str, age: Duration| {
        let file = fs::File::create(wheels.join(name)).unwrap();
        file.set_modified(std::time::SystemTime::now() - age)
            .unwrap();
    };
    leave(".partial-old", Duration::from_hours(25));
    leave(".partial-new", Duration::from_hours(1));
    project
        .run(&format!("build requirements.txt {ONE}"))
        .exits(0);
    let left: Vec<_> = names(&wheels)
        .into_iter()
        .filter(|name| name.starts_with('.'))
        .collect();
    assert_eq!(left, [".partial-new"]);
}

#[test]
fn signals_end_a_download_and_leave_nothing() {
    for (signal, exit) in SIGNALS {
        let index = index([pure("a").build(), pure("b").build()]);
        let project = slow(&index);
        let child = start(&project);
        wait_for("the download", || is_downloading(&project));
        send(signal, &child);
        let run = project.wait(child).exits(exit);
        assert_eq!(run.stdout, "");
        assert_eq!(project.outputs(), [""; 0]);
        project.assert_tidy();
    }
}

#[test]
fn signals_end_a_resolution_and_leave_nothing() {
    for (signal, exit) in SIGNALS {
        let index = index([pure("a").build()]);
        let project = project(&index);
        project.write("requirements.txt", "a\n");
        index.fault("/simple/a/", Fault::Stall);
        let child = start(&project);
        wait_for("the question", || index.count("/simple/a/") > 0);
        send(signal, &child);
        project.wait(child).exits(exit);
        assert_eq!(project.outputs(), [""; 0]);
        project.assert_tidy();
    }
}

#[test]
fn signals_end_a_build_of_a_source_distribution() {
    let index = index([pure("a").build()]);
    let project = project(&index);
    let pid = project.root().join("pid");
    let backend = format!(
        "import os, time\n\
         def get_requires_for_build_wheel(config_settings=None):\n\
         \x20   open({path} + '.new', 'w').write(str(os.getpid()))\n\
         \x20   os.rename({path} + '.new', {path})\n\
         \x20   time.sleep(60)\n\
         \x20   return []\n",
        path = json!(pid)
    );
    let sdist = SdistForge::new("source", "1.0").static_metadata();
    index.add(sdist.file("forged_backend.py", backend).build());
    project.write("requirements.txt", "source\n");
    for (signal, exit) in SIGNALS {
        let _ = fs::remove_file(&pid);
        let mut command = project.command(["build", "requirements.txt"]);
        command
            .arg("--allow-source-distributions")
            .args(own_target().split(' '));
        let child = command.spawn().unwrap();
        wait_for("the build", || pid.exists());
        send(signal, &child);
        project.wait(child).exits(exit);
        // What it runs ends with it.
        let backend = fs::read_to_string(&pid).unwrap();
        wait_for("the end of the backend", || !is_running(&backend));
        assert_eq!(project.outputs(), [""; 0]);
        project.assert_tidy();
    }
}

/// Returns whether a process runs; one that only waits to be reaped does not.
fn is_running(pid: &str) -> bool {
    let status = fs::read_to_string(Path::new("/proc").join(pid).join("stat"));
    status.is_ok_and(|stat| {
        !stat
            .rsplit(')')
            .next()
            .unwrap_or_default()
            .starts_with(" Z")
    })
}

#[test]
fn a_reader_that_has_enough_is_no_disaster() {
    let index = index([pure("a").build()]);
    let project = project(&index);
    project.write("requirements.txt", "a\n");
    let mut command = project.command(["build", "requirements.txt"]);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    command.args(ONE.split(' ')).stdout(writer);
    let run = project.finish(command);
    assert!(!run.stderr.contains("panicked"), "{run}");
    assert_ne!(run.code, None, "{run}");
    assert_eq!(project.outputs().len(), 2);
}
