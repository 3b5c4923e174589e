"""Calls AWS, and writes the answers as a list in JSON.

    call_aws.py CALLS

CALLS is a list in JSON: of each call the service, the operation and its parameters.
"""

import json
import sys

import boto3

if __name__ == "__main__":
    answers = []
    for service, operation, parameters in json.loads(sys.argv[1]):
        answers.append(getattr(boto3.client(service), operation)(**parameters))
    # Times become text.
    json.dump(answers, sys.stdout, default=str)
