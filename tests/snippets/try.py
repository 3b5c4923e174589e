"""Tries the examples of docs/using-layers.md with the tools that they are for.

Takes a layer's zip, a folder with the CDK's and Serverless' command lines (as npm installs them) and
a Python with the CDK's library. `make examples` calls it.
"""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

from blocks import Block, blocks

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "using-layers.md"


def run(folder: pathlib.Path, *command: object) -> None:
    environment = os.environ | {"SAM_CLI_TELEMETRY": "0", "SLS_TELEMETRY_DISABLED": "1"}
    words = [str(word) for word in command]
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))} failed:\n{done.stdout}{done.stderr}")


def holds(folder: pathlib.Path, pattern: str, text: str) -> None:
    files = list(folder.glob(pattern))
    if not any(text in file.read_text() for file in files):
        sys.exit(f"none of {files} holds {text}")


def attempt(block: Block, folder: pathlib.Path, programs: pathlib.Path, python: pathlib.Path) -> bool:
    """Tries an example. Returns whether there is a tool for it."""
    is_local, tool = block.headings[1].startswith("A zip"), block.headings[2]
    expected = "web-py313-arm64.zip" if is_local else "/accretion/web/python3.13/arm64"
    match tool:
        case "SAM":
            (folder / "template.yaml").write_text(block.text)
            sam = pathlib.Path(sys.executable).with_name("sam")
            run(folder, sam, "validate", "--lint", "--region", "eu-west-1")
        case "CDK":
            (folder / "app.py").write_text(block.text)
            run(folder, programs / "cdk", "synth", "--app", f"{python} app.py")
            holds(folder, "cdk.out/*.json", "AWS::Lambda::LayerVersion" if is_local else expected)
        case "Serverless Framework" if is_local:
            (folder / "serverless.yml").write_text(block.text)
            # `package` would ask CloudFormation which layers there are.
            run(folder, programs / "serverless", "print", "--region", "eu-west-1")
        case _:
            return False
    return True


def main() -> None:
    layer, programs, python = (pathlib.Path(path).absolute() for path in sys.argv[1:])
    for block in blocks(PAGE):
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            (folder / "layers").mkdir()
            shutil.copy(layer, folder / "layers" / "web-py313-arm64.zip")
            (folder / "src").mkdir()
            for place in (folder, folder / "src"):
                (place / "resize.py").write_text("def handle(event, context): ...\n")
            tried = attempt(block, folder, programs, python)
        print(f"{' / '.join(block.headings[1:])}: {'tried' if tried else 'parsed only'}")


main()
