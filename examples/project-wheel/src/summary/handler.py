"""The Lambda function's handler."""

import humanize
import inflect

WORDS = inflect.engine()


def handle(event: dict, context: object) -> dict[str, str]:
    """Says how many files of how many bytes there are."""
    files = WORDS.no("file", event["Files"])
    return {"Summary": f"{files}, {humanize.naturalsize(event['Bytes'])}"}
