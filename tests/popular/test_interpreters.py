"""Which programs are taken for interpreters, and where they are looked for.

The interpreters are scripts that answer as interpreters do.
"""

import contextlib
import io
import os
import tempfile
import unittest
from pathlib import Path
from unittest import mock

import interpreters

MACHINE = "x86_64"


def says(minor=13, machine=MACHINE, libc="glibc", implementation="CPython", major=3, base=""):
    answer = "\t".join(map(str, (minor, machine, libc, implementation, major, base)))
    return f"#!/bin/sh\necho '{answer}'\n"


# As pyenv's does when no version of the kind is chosen.
BROKEN = "#!/bin/sh\necho \"pyenv: $0: command not found\" >&2\nexit 127\n"


class Discovery(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="with a space ")
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)
        self.environment = {"HOME": str(self.root / "home"), "PATH": str(self.root / "bin")}
        installed = mock.patch.object(interpreters, "INSTALLED", self.root / "installed")
        installed.start()
        self.addCleanup(installed.stop)

    def program(self, path, text, mode=0o755):
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(mode)
        return str(file)

    def found(self, **environment):
        """Runtimes and paths, without the folder's name."""
        interpreters.probe.cache_clear()
        with mock.patch.dict(os.environ, self.environment | environment, clear=True):
            listed = list(interpreters.found())
        return [(it.runtime, it.path.removeprefix(f"{self.root}/")) for it in listed]

    def test_what_is_no_interpreter(self):
        cases = {
            "a broken shim": BROKEN,
            "a shim that fails after an answer": says() + "exit 1\n",
            "an answer that is none": "#!/bin/sh\necho 3.13\n",
            "no answer": "#!/bin/sh\n",
            "no program": "",
            "an interpreter that is not there": "#!/nowhere/sh\n",
            "another version than its name says": says(9),
            "a version that no runtime has": says(15),
            "Python 2": says(13, major=2),
            "PyPy": says(implementation="PyPy"),
            "musl": says(libc=""),
            "another architecture": says(machine="riscv64"),
        }
        for case, text in cases.items():
            with self.subTest(case):
                self.program("bin/python3.13", text)
                self.assertEqual(self.found(), [])
        with self.subTest("not executable"):
            self.program("bin/python3.13", says(), 0o644)
            self.assertEqual(self.found(), [])
        with self.subTest("a folder"):
            (self.root / "bin" / "python3.12").mkdir()
            self.assertEqual(self.found(), [])

    def test_where_interpreters_are(self):
        elsewhere = str(self.root / "elsewhere")
        cases = [
            ("bin/python3.13", {}),
            ("bin/python3", {}),
            ("home/.pyenv/versions/3.13.5/bin/python", {}),
            ("elsewhere/versions/3.13.5/bin/python", {"PYENV_ROOT": elsewhere}),
            ("elsewhere/versions/3.13.5/bin/python", {"PATH": f"{elsewhere}/shims"}),
            ("installed/cpython-3.13.5-linux-x86_64-gnu/bin/python3.13", {}),
            ("home/.local/share/uv/python/cpython-3.13.5-linux-x86_64-gnu/bin/python3.13", {}),
            ("elsewhere/uv/python/cpython-3.13.5-linux-x86_64-gnu/bin/python3.13",
             {"XDG_DATA_HOME": elsewhere}),
            ("elsewhere/cpython-3.13.5-linux-x86_64-gnu/bin/python3.13",
             {"UV_PYTHON_INSTALL_DIR": elsewhere}),
        ]  # fmt: skip
        for path, environment in cases:
            with self.subTest(path, **environment):
                program = self.program(path, says())
                self.assertEqual(self.found(**environment), [("python3.13", path)])
                Path(program).unlink()

    def test_a_broken_shim_hides_nothing(self):
        shims = self.root / "pyenv" / "shims"
        for minor in interpreters.MINORS:
            self.program(f"pyenv/shims/python3.{minor}", BROKEN)
        path = f"{shims}:{self.root / 'bin'}"
        self.assertEqual(self.found(PATH=path), [])
        self.program("bin/python3.12", says(12))
        self.program("pyenv/versions/3.13.9/bin/python", says())
        self.program("pyenv/versions/3.13.10/bin/python", says())
        self.assertEqual(
            self.found(PATH=path),
            [("python3.13", "pyenv/versions/3.13.10/bin/python"), ("python3.12", "bin/python3.12")],
        )

    def test_a_shim_or_an_environment_stands_for_the_interpreter_behind_it(self):
        base = self.program("own/python3.13", says())
        self.program("bin/python3.13", says(base=base))
        self.assertEqual(self.found(), [("python3.13", "own/python3.13")])

    def test_those_that_are_named_come_first(self):
        self.program("bin/python3.13", says())
        self.program("bin/python3.12", says(12))
        eleven = self.program("a/python", says(11))
        twelve = self.program("b/python", says(12))
        self.assertEqual(
            self.found(ACCRETION_TEST_PYTHON=f"{eleven}:{twelve}"),
            [("python3.12", "b/python"), ("python3.11", "a/python"), ("python3.13", "bin/python3.13")],
        )
        with mock.patch.dict(os.environ, {"ACCRETION_TEST_PYTHON": twelve}):
            self.assertEqual(interpreters.find().runtime, "python3.12")
        broken = self.program("c/python", BROKEN)
        with self.assertRaisesRegex(SystemExit, "c/python is no CPython"):
            self.found(ACCRETION_TEST_PYTHON=f"{twelve}:{broken}")

    def test_a_machine_without_any(self):
        environment = self.environment | {"PATH": "", "HOME": "/nowhere"}
        with mock.patch.dict(os.environ, environment, clear=True):
            with mock.patch("sys.argv", ["interpreters.py", "--all"]):
                said = io.StringIO()
                with contextlib.redirect_stdout(said):
                    interpreters.main()
            self.assertEqual(said.getvalue(), "")
            with mock.patch("sys.argv", ["interpreters.py"]):
                with self.assertRaisesRegex(SystemExit, "make interpreters"):
                    interpreters.main()


if __name__ == "__main__":
    unittest.main()
