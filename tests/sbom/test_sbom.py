"""What is done to the lists of cargo-cyclonedx, on small ones."""

from __future__ import annotations

import hashlib
import json
import tempfile
import unittest
from pathlib import Path

import sbom

LOCK = """uv==1.2.3 \\
    --hash=sha256:{b} \\
    --hash=sha256:{a}
    # via -r requirements.in
wheel==9.9.9 \\
    --hash=sha256:{c}
""".format(a="a" * 64, b="b" * 64, c="c" * 64)


def component(name: str, version: str = "1.0.0", folder: str | None = None) -> dict:
    """A component as cargo-cyclonedx writes it."""
    where = f"path+file:///home/me/{folder}#" if folder else "registry+index#"
    tail = "?download_url=file://../x" if folder else ""
    return {
        "type": "library",
        "bom-ref": f"{where}{name}@{version}",
        "name": name,
        "version": version,
        "purl": f"pkg:cargo/{name}@{version}{tail}",
    }


def example(name: str = "builder", version: str = "1.0.0") -> dict:
    """A list of one program and three crates."""
    root = component(name, version, folder="functions/builder")
    root["components"] = [{"name": name, "bom-ref": "path+file:///home/me bin-target-0"}]
    parts = [component("zip"), component("core", folder="core"), component("alpha")]
    names = {it["name"]: it["bom-ref"] for it in parts}
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": "urn:uuid:3fc52b29-2ea8-4d5c-8c0c-e1757164d0e4",
        "metadata": {"component": root},
        "components": parts,
        "dependencies": [
            {"ref": root["bom-ref"], "dependsOn": [names["zip"], names["core"]]},
            {"ref": names["zip"]},
            {"ref": names["core"], "dependsOn": [names["alpha"]]},
            {"ref": names["alpha"]},
        ],
    }


class Portable(unittest.TestCase):
    def test_nothing_of_the_machine_and_nothing_of_the_run_is_left(self):
        text = json.dumps(sbom.portable(example()))
        for trace in ("file://", "/home/me", "registry+", "urn:uuid", "bin-target"):
            self.assertNotIn(trace, text)

    def test_the_order_is_that_of_the_names(self):
        shuffled = example()
        shuffled["components"].reverse()
        shuffled["dependencies"].reverse()
        shuffled["dependencies"][-1]["dependsOn"].reverse()
        self.assertEqual(sbom.portable(example()), sbom.portable(shuffled))
        names = [it["name"] for it in sbom.portable(example())["components"]]
        self.assertEqual(names, ["alpha", "core", "zip"])

    def test_dependencies_lead_where_they_led(self):
        bom = sbom.portable(example())
        self.assertEqual(
            bom["dependencies"],
            [
                {"ref": "pkg:cargo/alpha@1.0.0"},
                {
                    "ref": "pkg:cargo/builder@1.0.0",
                    "dependsOn": ["pkg:cargo/core@1.0.0", "pkg:cargo/zip@1.0.0"],
                },
                {"ref": "pkg:cargo/core@1.0.0", "dependsOn": ["pkg:cargo/alpha@1.0.0"]},
                {"ref": "pkg:cargo/zip@1.0.0"},
            ],
        )

    def test_two_crates_of_one_name_and_version_are_no_list(self):
        bom = example()
        bom["components"].append(component("zip", folder="fork"))
        with self.assertRaisesRegex(SystemExit, "zip@1.0.0"):
            sbom.portable(bom)


class Complete(unittest.TestCase):
    TREE = "builder v1.0.0 (/home/me/functions/builder)\nzip v1.0.0\ncore v1.0.0 (/home/me/core)\n\n"

    def test_what_is_not_compiled_in_is_dropped(self):
        bom = sbom.portable(example())
        self.assertEqual(sbom.reduce_to(bom, sbom.compiled(self.TREE)), [])
        self.assertEqual([it["name"] for it in bom["components"]], ["core", "zip"])
        self.assertNotIn("alpha", json.dumps(bom))

    def test_what_is_compiled_in_and_not_listed_is_found(self):
        bom = sbom.portable(example())
        wanted = sbom.compiled(self.TREE + "ring v0.17.0\nzip v2.0.0 (*)\nserde_derive v1.0.0 (proc-macro)\n")
        lacking = ["ring 0.17.0", "serde_derive 1.0.0", "zip 2.0.0"]
        self.assertEqual(sbom.reduce_to(bom, wanted), lacking)


class Uv(unittest.TestCase):
    def setUp(self):
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        (self.folder / "uv").write_bytes(b"an executable")
        own = example("uv", "1.2.3")
        own["metadata"]["component"]["licenses"] = [{"expression": "MIT"}]
        (self.folder / "own.json").write_text(json.dumps(own))

    def added(self, lock: str = LOCK) -> dict:
        bom = sbom.portable(example())
        sbom.add_uv(bom, self.folder / "uv", self.folder / "own.json", lock)
        return bom

    def test_it_comes_with_version_hashes_and_crates(self):
        bom = self.added()
        uv, = (it for it in bom["components"] if it["name"] == "uv")
        self.assertEqual(uv["purl"], "pkg:pypi/uv@1.2.3")
        digest = hashlib.sha256(b"an executable").hexdigest()
        self.assertEqual(uv["hashes"], [{"alg": "SHA-256", "content": digest}])
        wheels = [it["content"] for it in uv["externalReferences"][0]["hashes"]]
        self.assertEqual(wheels, ["a" * 64, "b" * 64])
        crates = [it["bom-ref"] for it in uv["components"]]
        self.assertEqual(crates, [f"uv/pkg:cargo/{it}@1.0.0" for it in ("alpha", "core", "zip")])

    def test_every_reference_is_to_something_that_is_there_once(self):
        bom = self.added()
        there = [bom["metadata"]["component"]["bom-ref"]]
        for it in bom["components"]:
            there += [it["bom-ref"], *(part["bom-ref"] for part in it.get("components", []))]
        self.assertEqual(len(there), len(set(there)))
        for it in bom["dependencies"]:
            self.assertLessEqual({it["ref"], *it.get("dependsOn", [])}, set(there))
        builder, = (it for it in bom["dependencies"] if it["ref"] == "pkg:cargo/builder@1.0.0")
        self.assertIn("pkg:pypi/uv@1.2.3", builder["dependsOn"])

    def test_a_list_of_another_uv_is_refused(self):
        with self.assertRaisesRegex(SystemExit, "not of uv 1.2.4"):
            self.added(LOCK.replace("uv==1.2.3", "uv==1.2.4"))

    def test_a_lock_without_it_is_refused(self):
        with self.assertRaisesRegex(SystemExit, "no uv"):
            self.added("wheel==9.9.9 \\\n    --hash=sha256:" + "c" * 64 + "\n")

    def test_the_real_lock_has_it(self):
        lock = (sbom.ROOT / "tests/tools/requirements.txt").read_text()
        version, wheels = sbom.locked(lock, "uv")
        self.assertRegex(version, r"^[0-9.]+$")
        self.assertGreater(len(wheels), 5)


if __name__ == "__main__":
    unittest.main()
