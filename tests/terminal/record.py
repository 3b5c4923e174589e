"""`make picture`: what people see who use the command, as docs/command.svg.

Runs a shell in tmux, types what README.md has people type, and draws what the terminal shows then.
It speaks to an emulator of AWS that it starts. Needs tmux.
"""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/scaling"))
from emulator import TOOLS, Server, environment  # noqa: E402

COLUMNS, LINES = 120, 300
# Seconds that one command may take.
PATIENCE = 300
COMMANDS = [
    "accretion init deployment.json eu-west-1 us-east-1",
    "accretion update all deployment.json --config-env local",
    "accretion request requirements deployment.json data-tools requirements.txt --architecture x86_64 --watch",
    "accretion list layers deployment.json us-east-1",
    "accretion describe layer-version deployment.json us-east-1 data-tools-py313 1",
]
REQUIREMENTS = "pandas\nrequests\n"
# No fonts from elsewhere: the reader's own monospace one.
SVG = """\
<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{ font-family: ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace;
  font-size: {char_height}px; line-height: {line_height}px; font-variant-east-asian: full-width; }}
.{unique_id}-title {{ font-size: 18px; font-weight: bold; font-family: sans-serif; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" />
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


class Terminal:
    """A shell in a tmux of its own."""

    def __init__(self, folder: Path, env: dict[str, str]):
        self.tmux = ["tmux", "-L", f"accretion-{os.getpid()}", "-f", "/dev/null"]
        size = ["-x", str(COLUMNS), "-y", str(LINES)]
        shell = ["env", "-i", *(f"{k}={v}" for k, v in env.items())]
        shell += ["bash", "--norc", "--noprofile"]
        self._call("new-session", "-d", *size, "-c", str(folder), shlex.join(shell))
        self.wait("bash")

    def _call(self, *arguments: str) -> str:
        done = subprocess.run([*self.tmux, *arguments], check=True, capture_output=True, text=True)
        return done.stdout

    def type(self, line: str) -> None:
        """Types a line, and waits until the shell asks for the next one."""
        self._call("send-keys", "-l", line)
        self._call("send-keys", "Enter")
        self.wait(line)

    def wait(self, line: str) -> None:
        """Waits until the last line is a prompt and nothing else."""
        give_up = time.monotonic() + PATIENCE
        while self.screen().rpartition("\n")[2] != "$":
            if time.monotonic() > give_up:
                raise SystemExit(f"error: `{line}` does not end:\n{self.screen()}")
            time.sleep(0.2)

    def screen(self, *options: str) -> str:
        """What is to be seen."""
        return self._call("capture-pane", "-p", *options).rstrip()

    def close(self) -> None:
        """Ends the shell and what runs in it."""
        self._call("kill-server")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--program", type=Path, default=ROOT / "target/debug/accretion")
    parser.add_argument("--output", type=Path, default=ROOT / "docs/command.svg")
    arguments = parser.parse_args()
    log = ROOT / "target/tmp/terminal/ministack.log"
    with Server(log) as server, tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for inner in ("bin", "work", "home"):
            (folder / inner).mkdir()
        (folder / "bin/accretion").symlink_to(arguments.program.resolve())
        (folder / "work/requirements.txt").write_text(REQUIREMENTS)
        inherited = environment()
        env = {
            "PATH": f"{folder / 'bin'}:{TOOLS}:{inherited['PATH']}",
            "HOME": str(folder / "home"),
            "TERM": "screen-256color",
            "LANG": "C.UTF-8",
            "PS1": "$ ",
            "AWS_ENDPOINT_URL": server.endpoint,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "SAM_CLI_POLL_DELAY": "0.2",
            "SAM_CLI_TELEMETRY": "0",
            "ACCRETION_TEMPLATE": inherited["ACCRETION_TEMPLATE"],
        }
        terminal = Terminal(folder / "work", env)
        try:
            for command in COMMANDS:
                terminal.type(command)
            shown = terminal.screen("-e").removesuffix("$").rstrip()
        finally:
            terminal.close()
    with open(os.devnull, "w") as nowhere:
        console = Console(record=True, width=COLUMNS, file=nowhere, force_terminal=True)
        console.print(Text.from_ansi(shown), soft_wrap=True)
        svg = console.export_svg(
            title="accretion", theme=MONOKAI, code_format=SVG, unique_id="accretion"
        )
    arguments.output.write_text(svg)
    print(shown)


if __name__ == "__main__":
    main()
