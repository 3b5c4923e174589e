"""The code blocks of Markdown files."""

import pathlib
import re
from dataclasses import dataclass


@dataclass
class Block:
    """A fenced code block, and the headings that it is under."""

    headings: tuple[str, ...]
    language: str
    line: int
    text: str


def blocks(path: pathlib.Path) -> list[Block]:
    """All code blocks of a file that say their language."""
    found, headings = [], []
    opened = None
    for number, line in enumerate(path.read_text().splitlines(), 1):
        fence = re.fullmatch(r"\s*```(\w*)", line)
        if opened is not None:
            if fence:
                if opened.language:
                    found.append(opened)
                opened = None
            else:
                opened.text += line + "\n"
        elif fence:
            opened = Block(tuple(headings), fence[1], number + 1, "")
        elif heading := re.match(r"(#+) (.*)", line):
            headings[len(heading[1]) - 1 :] = [heading[2]]
    return found
