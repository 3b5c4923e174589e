//! Source distributions that want something of whoever builds them.

use std::path::Path;

use accretion_testing::forge::{Sdist, SdistForge, WheelForge};

/// A module that writes wheels without any library.
const WRITES_WHEELS: &str = r#"
import base64, hashlib, os, subprocess, sys, time, zipfile


def wheel(folder, name, files):
    info = f"{name}-1.0.dist-info"
    files = dict(files)
    files[f"{info}/METADATA"] = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"
    files[f"{info}/WHEEL"] = (
        "Wheel-Version: 1.0\nGenerator: forged\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    )
    rows = []
    for path, text in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=")
        rows.append(f"{path},sha256={digest},{len(text.encode())}\n")
    rows.append(f"{info}/RECORD,,\n")
    files[f"{info}/RECORD"] = "".join(rows)
    filename = f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(folder, filename), "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
    return filename
"#;

fn source(name: &str, build_wheel: &str) -> SdistForge {
    let build: String = build_wheel
        .lines()
        .fold(String::new(), |text, line| text + "    " + line + "\n");
    let text = format!(
        "{WRITES_WHEELS}\n\ndef build_wheel(wheel_directory, config_settings=None, \
         metadata_directory=None):\n{build}"
    );
    // Its metadata are known without running it, so that it is run once.
    SdistForge::new(name, "1.0")
        .static_metadata()
        .backend(&text)
}

/// Copies files. Each time that it is built, `canary` gets a line.
pub(crate) fn pure(canary: &Path) -> Sdist {
    let wheel = WheelForge::new("pure", "1.0").file("pure/__init__.py", "x = 1\n");
    let forge = SdistForge::new("pure", "1.0").static_metadata();
    forge.canary(canary).builds(&wheel.build()).build()
}

/// Its wheel is for the machine that builds it.
pub(crate) fn of_this_machine() -> Sdist {
    let tag = format!("py3-none-linux_{}", std::env::consts::ARCH);
    let wheel = WheelForge::new("machine", "1.0").tag(&tag);
    let forge = SdistForge::new("machine", "1.0").static_metadata();
    forge.builds(&wheel.build()).build()
}

/// Its requirements are known only by running it.
pub(crate) fn dynamic() -> Sdist {
    let wheel = WheelForge::new("dynamic", "1.0")
        .file("dynamic.py", "x = 1\n")
        .requires("helper");
    SdistForge::new("dynamic", "1.0")
        .builds(&wheel.build())
        .build()
}

/// Needs a package of the index to be built.
pub(crate) fn needy() -> Sdist {
    let wheel = WheelForge::new("needy", "1.0").file("needy.py", "x = 1\n");
    let backend = r#"
import shutil


def get_requires_for_build_wheel(config_settings=None):
    return ["helper"]


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    shutil.copy("forged/needy-1.0-py3-none-any.whl", wheel_directory)
    return "needy-1.0-py3-none-any.whl"
"#;
    let forge = SdistForge::new("needy", "1.0").static_metadata();
    forge.backend(backend).builds(&wheel.build()).build()
}

/// Writes a module that says which Python built it.
pub(crate) fn generated() -> Sdist {
    let build = r#"
made = "VERSION = %r\n" % (sys.version_info[:2],)
return wheel(wheel_directory, "generated", {"generated.py": made})
"#;
    source("generated", build).build()
}

/// Compiles, with a compiler that no machine has.
pub(crate) fn compiled() -> Sdist {
    let build = r#"
subprocess.check_call(["vax-unknown-linux-gnu-gcc", "-shared", "-o", "compiled.so", "compiled.c"])
"#;
    source("compiled", build)
        .file("compiled.c", "int x;\n")
        .build()
}

/// Writes what it finds in its environment into `report`, and leaves processes that write into
/// `pulse` for as long as they live.
pub(crate) fn nosy(report: &Path, pulse: &Path) -> Sdist {
    let build = format!(
        r#"
with open({report:?}, "w") as report:
    for name, value in os.environ.items():
        report.write(f"{{name}}={{value}}\n")
beat = "import time\nwhile True:\n    open('{pulse}', 'a').write('.')\n    time.sleep(0.05)"
for _ in range(20):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            null = os.open(os.devnull, os.O_RDWR)
            for descriptor in range(3):
                os.dup2(null, descriptor)
            os.closerange(3, 1024)
            os.execv(sys.executable, [sys.executable, "-c", beat])
        os._exit(0)
time.sleep(1)
return wheel(wheel_directory, "nosy", {{"nosy.py": ""}})
"#,
        report = report.display().to_string(),
        pulse = pulse.display(),
    );
    source("nosy", &build).build()
}

/// Gives out a link to what only the build sandbox itself may read.
pub(crate) fn linking() -> Sdist {
    let build = r#"
uv = open(f"/proc/{os.getppid()}/stat").read()
sandbox = uv.rsplit(")", 1)[1].split()[1]
filename = "linking-1.0-py3-none-any.whl"
os.symlink(f"/proc/{sandbox}/environ", os.path.join(wheel_directory, filename))
return filename
"#;
    source("linking", build).build()
}

/// Gives out another package.
pub(crate) fn pretending() -> Sdist {
    let build = r#"return wheel(wheel_directory, "pure", {"pure/__init__.py": "x = 2\n"})"#;
    source("pretending", build).build()
}

/// Is never done.
pub(crate) fn sleeping() -> Sdist {
    source("sleeping", "while True:\n    time.sleep(1)").build()
}

/// Writes a file without an end.
pub(crate) fn filling() -> Sdist {
    let build = r#"
with open("large", "wb") as large:
    while True:
        large.seek(64 << 20, os.SEEK_CUR)
        large.write(b"x")
"#;
    source("filling", build).build()
}
