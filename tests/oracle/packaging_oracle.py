"""What PyPI's `packaging` says of tags, wheel file names, specifiers and markers.

Reads a question as JSON on stdin and writes the answer as JSON on stdout.
"""

import json
import sys

from packaging import _manylinux, markers, specifiers, tags, utils


def platforms(glibc_minor, machine):
    """The platform tags of a runtime, best first."""
    _manylinux._get_glibc_version = lambda: (2, glibc_minor)
    # Asks for the ABI of the interpreter that runs this.
    _manylinux._have_compatible_abi = lambda executable, archs: True
    # packaging puts `linux_*` first: it asks what fits the machine it runs on, where such a
    # wheel was built. In a runtime elsewhere it is the tag that promises least, and last, as
    # uv has it.
    return [*_manylinux.platform_tags([machine]), f"linux_{machine}"]


def ranked(target):
    """Every tag that fits a target, best first."""
    python = (3, target["minor"])
    interpreter = f"cp3{target['minor']}"
    fitting = platforms(target["glibc_minor"], target["machine"])
    found = [
        *tags.cpython_tags(python, [interpreter], fitting),
        *tags.compatible_tags(python, interpreter, fitting),
    ]
    return [[tag.interpreter, tag.abi, tag.platform] for tag in found]


def parsed(filename):
    """The parts of a wheel's file name, or None."""
    try:
        name, version, build, found = utils.parse_wheel_filename(filename)
    except utils.InvalidWheelFilename:
        return None
    return {
        "name": name,
        "version": str(version),
        "build": [str(build[0]), build[1]] if build else None,
        "tags": sorted(str(tag) for tag in found),
    }


def satisfying(text, minor):
    """The patch releases of a minor version that satisfy specifiers."""
    found = specifiers.SpecifierSet(text)
    return [patch for patch in range(256) if found.contains(f"3.{minor}.{patch}")]


def true(text, release):
    """Whether a marker is true for a release."""
    environment = {
        "python_full_version": release,
        "python_version": ".".join(release.split(".")[:2]),
        "implementation_version": release,
    }
    return markers.Marker(text).evaluate(environment)


def main():
    question = json.load(sys.stdin)
    answer = {
        "ranked": [ranked(target) for target in question["targets"]],
        "parsed": [parsed(filename) for filename in question["filenames"]],
        "satisfying": [satisfying(*it) for it in question.get("specifiers", [])],
        "true": [true(*it) for it in question.get("markers", [])],
    }
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
