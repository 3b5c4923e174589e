"""A project that others depend upon from its folder, and from its git repository on loopback.

Over HTTP, because not every tool takes a repository from a folder.
"""

from __future__ import annotations

import functools
import http.server
import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SOURCE = Path(__file__).resolve().parent / "projects" / "neighbour"
# Every commit is the same one.
AUTHOR = {
    f"GIT_{who}_{what}": value
    for who in ("AUTHOR", "COMMITTER")
    for what, value in {
        "NAME": "Neighbour",
        "EMAIL": "neighbour@example.com",
        "DATE": "2026-01-01T00:00:00Z",
    }.items()
}


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def served(cache: Path) -> Iterator[dict[str, str]]:
    """What REPOSITORY and FOLDER stand for in the definitions of projects, while it is in use."""
    # The locks are kept with the folder's path in them.
    folder = cache / "neighbour"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(SOURCE, folder)
    with tempfile.TemporaryDirectory() as root:
        worktree = Path(root) / "worktree"
        shutil.copytree(SOURCE, worktree)
        environment = os.environ | AUTHOR | {"GIT_CONFIG_GLOBAL": os.devnull}

        def git(*command: object, within: Path = worktree) -> None:
            subprocess.run(["git", *map(str, command)], cwd=within, env=environment, check=True,
                           stdin=subprocess.DEVNULL, capture_output=True)  # fmt: skip

        git("init", "--initial-branch=main")
        git("add", ".")
        git("commit", "--message=All of it")
        git("clone", "--bare", worktree, Path(root) / "neighbour.git")
        git("update-server-info", within=Path(root) / "neighbour.git")
        handler = functools.partial(Quiet, directory=root)
        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            try:
                yield {
                    "REPOSITORY": f"http://127.0.0.1:{server.server_port}/neighbour.git",
                    "FOLDER": str(folder),
                }
            finally:
                server.shutdown()
                thread.join()
