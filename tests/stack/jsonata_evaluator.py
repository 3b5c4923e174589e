"""Evaluates JSONata expressions as Step Functions does, which takes version 2 of the language and
adds `$parse`.

Reads `[{"expression": "…", "variables": {…}}]` from standard input and writes as many
`{"value": …}` or `{"error": "…"}`. An expression without a value is an error, as it is there.
"""

import json
import sys

from jsonata import Jsonata


def evaluate(expression, variables):
    try:
        parsed = Jsonata.jsonata(expression)
        parsed.register_lambda("parse", json.loads)
        value = parsed.evaluate(None, variables)
    except Exception as error:  # whatever it is, Step Functions says States.QueryEvaluationError
        return {"error": str(error)}
    return {"error": "no value"} if value is None else {"value": value}


if __name__ == "__main__":
    questions = json.load(sys.stdin)
    json.dump([evaluate(q["expression"], q["variables"]) for q in questions], sys.stdout)
