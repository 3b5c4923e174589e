"""Calls AWS, and writes the answers as a list in JSON.

    call_aws.py CALLS

CALLS is a list in JSON: of each call the service, the operation and its parameters.
"""

import functools
import json
import sys

import boto3

# One is made in a twentieth of a second, which is long for a call.
client = functools.cache(boto3.client)

if __name__ == "__main__":
    answers = []
    for service, operation, parameters in json.loads(sys.argv[1]):
        answers.append(getattr(client(service), operation)(**parameters))
    # Times become text.
    json.dump(answers, sys.stdout, default=str)
