"""Checks what the documentation shows: commands, templates, programs, links.

Reads the paths of Markdown files as a JSON list on stdin and writes what is wrong as a JSON list on
stdout. The commands of `accretion` itself are left out: the command's own tests parse them.
"""

import ast
import json
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import tempfile

import yaml
from blocks import Block, blocks
from botocore.exceptions import UnknownServiceError
from botocore.session import Session

# Commands that are looked at no further: whether they are there, their own projects say.
OTHERS = {
    "accretion", "cargo", "cd", "cut", "date", "echo", "export", "git", "pip", "printf", "python", "sam", "sha256sum", "uv",
}
# Options of the AWS CLI for every command.
AWS_OPTIONS = {"cli-input-json", "endpoint-url", "max-items", "output", "profile", "query", "region"}
# Options that it calls otherwise than the API.
AWS_RENAMED = {"notification-endpoint": "endpoint"}
# What `aws s3` is made of is no API.
AWS_S3 = {"cp", "ls", "mb", "mv", "presign", "rb", "rm", "sync"}

SESSION = Session()


def commands(text: str) -> list[list[str]]:
    """The commands of a shell snippet, those in `$(…)` and behind `|`, `&&` and `;` too."""
    text = re.sub(r"\\\n\s*", " ", text)
    lines = [line.strip() for line in text.splitlines()]
    # With prompts, the other lines are what the commands say.
    if prompted := [line[2:] for line in lines if line.startswith("$ ")]:
        lines = prompted
    found = []
    for line in lines:
        for inner in re.findall(r"\$\(([^()]*)\)", line):
            found += commands(inner)
        line = re.sub(r"\$\([^()]*\)", "VALUE", line)
        lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;<>")
        lexer.whitespace_split = True
        command: list[str] = []
        for word in [*lexer, ";"]:
            if set(word) <= set("|&;"):
                found += [command] if command else []
                command = []
            elif command or not re.fullmatch(r"[A-Za-z_]\w*=.*", word, re.DOTALL):
                command.append(word)
    return found


def check_aws(words: list[str]) -> str | None:
    """Compares a command of the AWS CLI with the service models of the SDK."""
    if words[0] == "s3":
        return None if words[1] in AWS_S3 else f"`aws s3` has no `{words[1]}`"
    if words[1] == "wait":
        return None
    try:
        service = SESSION.get_service_model(words[0])
    except UnknownServiceError:
        return f"there is no service `{words[0]}`"
    names = {name.replace("-", "").lower(): name for name in service.operation_names}
    operation = names.get(words[1].replace("-", "").lower())
    if operation is None:
        return f"`{words[0]}` has no `{words[1]}`"
    shape = service.operation_model(operation).input_shape
    members = {name.lower() for name in (shape.members if shape else {})} | {"zipfile"}
    required = {name.lower() for name in (shape.required_members if shape else [])}
    given = {word[2:].split("=")[0] for word in words[2:] if word.startswith("--")}
    given = {option.removeprefix("no-") for option in given} - AWS_OPTIONS
    given = {AWS_RENAMED.get(option, option).replace("-", "") for option in given}
    if unknown := given - members:
        return f"`{words[1]}` has no {sorted(unknown)}"
    # A zip file is the command line's own form of `--content` and `--code`.
    if "zipfile" in given:
        required -= {"content", "code"}
    if missing := required - given:
        return f"`{words[1]}` needs {sorted(missing)}"
    return None


def check_shell(text: str, targets: set[str]) -> list[str]:
    problems = []
    for words in commands(text):
        program = pathlib.PurePath(words[0]).name
        if program == "aws":
            if len(words) > 2 and (problem := check_aws(words[1:])):
                problems.append(f"{shlex.join(words)}: {problem}")
        elif program == "make":
            goals = [word for word in words[1:] if "=" not in word and not word.startswith("-")]
            problems += [f"there is no `make {goal}`" for goal in goals if goal not in targets]
        elif program not in OTHERS:
            problems.append(f"{shlex.join(words)}: `{program}` is not known here")
    return problems


def check_yaml(text: str) -> list[str]:
    if "Resources:" not in text:
        # `!Ref` and the like are CloudFormation's.
        loader = type("Loader", (yaml.SafeLoader,), {})
        loader.add_multi_constructor("!", lambda loader, suffix, node: None)
        yaml.load(text, loader)
        return []
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        file.write(text)
        file.flush()
        found = subprocess.run(
            [pathlib.Path(sys.executable).with_name("cfn-lint"), file.name], capture_output=True, text=True, check=False
        )
    return [] if found.returncode == 0 else [found.stdout + found.stderr]


def check_hcl(text: str) -> list[str]:
    terraform = shutil.which("terraform")
    if terraform is None:
        return []
    done = subprocess.run([terraform, "fmt", "-"], input=text, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        return [done.stderr]
    return [] if done.stdout == text else ["terraform would format it otherwise"]


def problems(block: Block, targets: set[str]) -> list[str]:
    try:
        match block.language:
            case "sh" | "console" | "bash":
                return check_shell(block.text, targets)
            case "yaml":
                return check_yaml(block.text)
            case "python":
                ast.parse(block.text)
            case "json":
                json.loads(block.text)
            case "hcl":
                return check_hcl(block.text)
    except (ValueError, SyntaxError, yaml.YAMLError) as error:
        return [str(error)]
    return []


def anchors(path: pathlib.Path) -> set[str]:
    """The anchors of a page: those of its headings, and explicit ones."""
    text = re.sub(r"^ *```.*?^ *```", "", path.read_text(), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.*)", text, re.MULTILINE)
    slugs = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
    return slugs | set(re.findall(r'<a id="([^"]+)"', text))


def check_links(path: pathlib.Path) -> list[str]:
    """Relative links that lead to no file, or to no anchor of a page."""
    wrong = []
    for link in re.findall(r"\]\(([^)\s]+)\)", path.read_text()):
        target, _, anchor = link.partition("#")
        page = path.parent / target if target else path
        if "://" in link:
            continue
        if not page.exists():
            wrong.append(f"{path}: there is no {target}")
        elif anchor and anchor not in anchors(page):
            wrong.append(f"{path}: {page.name} has no heading #{anchor}")
    return wrong


def check_decision(path: pathlib.Path) -> list[str]:
    """A decision has a status below its title, and a row in the list of decisions."""
    if not (title := re.match(r"# (\d+)\. (.*)\n\nStatus: \S", path.read_text())):
        return [f"{path}: no title with a number, or no status below it"]
    row = f"| {title[1]} | [{title[2]}]({path.name}) | "
    listed = row in (path.parent / "README.md").read_text()
    return [] if listed else [f"{path}: README.md has no row {row}"]


def main() -> None:
    makefile = pathlib.Path(__file__).parents[2] / "Makefile"
    targets = set(re.findall(r"^([a-z-]+):", makefile.read_text(), re.MULTILINE))
    wrong = []
    for path in json.load(sys.stdin):
        for block in blocks(pathlib.Path(path)):
            wrong += [f"{path}:{block.line}: {problem}" for problem in problems(block, targets)]
        wrong += check_links(pathlib.Path(path))
        if pathlib.Path(path).name[:4].isdigit():
            wrong += check_decision(pathlib.Path(path))
    print(json.dumps(wrong))


main()
