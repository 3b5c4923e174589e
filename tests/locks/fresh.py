"""Holds what Accretion says of lock files that are not up to date against what their tools say.

`python tests/locks/fresh.py --accretion target/release/accretion [WORD…]` takes the locks of run.py,
changes their projects, and compares `accretion check` with the tool's own check: `uv lock --check`,
`poetry check --lock`, `pdm lock --check`, `pipenv verify`. Exits with 1 if they differ.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import neighbour
import run
import tools
from targets import Target, targets
from tools import Failed, Tool

NONE = ("", "")
COMMENT = ("", "\n# a comment\n")
JINJA = '"jinja2>=3.1",'

# What is changed in a project: a text and what takes its place. An empty one is added at the end.
CHANGES = {
    "web": {
        "pyproject.toml": [
            NONE,
            COMMENT,
            ("", '\n[tool.other]\nsetting = "x"\n'),
            (JINJA, f'{JINJA}\n    "attrs",'),
            (JINJA, ""),
            (JINJA, '"jinja2>=3",'),
            ("sqlalchemy[asyncio]", "sqlalchemy"),
            ("< '3.13'\",\n    \"xxhash", "< '3.14'\",\n    \"xxhash"),
            ('requires-python = ">=3.11,<3.15"', 'requires-python = ">=3.12,<3.15"'),
            ('"pyjwt[crypto]>=2.9"', '"pyjwt[crypto]>=2.8"'),
            ('"mkdocs>=1.6"', '"mkdocs>=1.5"'),
            ('{ include-group = "lint" }', '"ruff>=0.6"'),
        ],
        "Pipfile": [
            NONE,
            COMMENT,
            ('jinja2 = ">=3.1"', 'jinja2 = ">=3.1"\nattrs = "*"'),
            ('jinja2 = ">=3.1"', ""),
            ('jinja2 = ">=3.1"', 'Jinja2 = ">=3.1"'),
            ('jinja2 = ">=3.1"', 'jinja2 = ">=3"'),
            ("< '3.13'", "< '3.14'"),
            ('mkdocs = ">=1.6"', 'mkdocs = ">=1.5"'),
            ("", '\n[scripts]\nserve = "python -m http.server"\n'),
            ("", '\n[requires]\npython_version = "3.13"\n'),
        ],
    },
    "legacy": {
        "pyproject.toml": [
            NONE,
            COMMENT,
            ("[tool.poetry.dependencies]\n", '[tool.poetry.dependencies]\nattrs = "*"\n'),
            ("", '\n[tool.poetry.group.more.dependencies]\nattrs = "*"\n'),
        ],
    },
    "script": {
        "report.py": [
            NONE,
            ("", "\nprint('more')\n"),
            ("# dependencies = [\n", '# dependencies = [\n#     "attrs",\n'),
        ],
    },
}
EVERYWHERE = [NONE, COMMENT]


def is_fresh(tool: Tool, folder: Path, target: Target) -> bool | None:
    """Whether the tool takes its lock file for up to date; `None` if it can't say."""
    try:
        if isinstance(tool, tools.UvScript):
            tool.uv("lock", "--check", "--script", "report.py", "--python", target.python, folder=folder)
        elif isinstance(tool, tools.Uv):
            tool.uv("lock", "--check", "--python", target.python, folder=folder)
        elif isinstance(tool, tools.Poetry):
            tool.poetry("check", "--lock", folder=folder, target=target)
        elif isinstance(tool, tools.Pdm):
            tool.pdm("lock", "--check", folder=folder, target=target)
        else:
            tool.pipenv("verify", folder=folder, target=target)
    except Failed as failed:
        said = str(failed)
        if "needs to be updated" in said or "changed significantly" in said:
            return False
        if "out-of-date" in said or "doesn't satisfy the project" in said:
            return False
        # Poetry finds other faults with a project, too.
        if isinstance(tool, tools.Poetry) and "poetry.lock" not in said:
            return True
        print(f"  {tool.name}: it can't say: {said}", flush=True)
        return None
    return True


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--accretion", type=Path, required=True, help="the command to test")
    parser.add_argument("--cache", type=Path, default=tools.TOOLS / "cache")
    parser.add_argument("words", nargs="*", metavar="WORD", help="what to try; all by default")
    arguments = parser.parse_args()
    accretion = arguments.accretion.resolve()
    cache = arguments.cache.resolve() / "locks"
    found = targets(cache, tools.Uv.program)
    if not found:
        return 0
    failures = agreed = 0
    with tempfile.TemporaryDirectory(prefix="fresh-") as work, neighbour.served(cache) as replaced:
        for case in [*run.BUILT, *run.REFUSED]:
            project = run.name_of(case)
            for kind in case.tools:
                tool = kind(cache)
                if not tool.is_locked or not any(
                    word in f"{tool.name}/{project}" for word in arguments.words or [""]
                ):
                    continue
                lock = tool.locked(project, found[0], replaced)
                file = tool.project_names[0]
                changes = CHANGES.get(project, {}).get(file, EVERYWHERE)
                for number, (text, instead) in enumerate(changes):
                    folder = Path(work) / f"{tool.name}-{number}" / project
                    shutil.copytree(lock.parent, folder)
                    changed = folder / file
                    before = changed.read_text()
                    assert text in before, f"{file} of {project} has no {text!r}"
                    after = before.replace(text, instead, 1) if text else before + instead
                    changed.write_text(after)
                    theirs = is_fresh(tool, folder, found[0])
                    ours = says_nothing(accretion, folder / tool.lock_name)
                    shutil.rmtree(folder.parent)
                    if theirs is None:
                        continue
                    agreed += theirs == ours
                    if theirs != ours:
                        failures += 1
                        fresh = {True: "up to date", False: "outdated"}
                        print(
                            f"FAILED  {tool.name}/{project}, {text!r} -> {instead!r}:"
                            f" accretion: {fresh[ours]}, {tool.name}: {fresh[theirs]}",
                            flush=True,
                        )
                print(f"done    {tool.name}/{project}", flush=True)
    print(f"{agreed} verdicts agree, {failures} differ")
    return 1 if failures or not agreed else 0


def says_nothing(accretion: Path, lock: Path) -> bool:
    said = subprocess.run(
        [accretion, "check", lock, "--name", "locked", "--format", "json"],
        capture_output=True, text=True, env=os.environ,
    )  # fmt: skip
    return all(it["Code"] != "LockOutdated" for it in json.loads(said.stdout)["Problems"])


if __name__ == "__main__":
    sys.exit(main())
