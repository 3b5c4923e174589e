"""Writes what cfn-lint says of the definition of a state machine that it reads from standard
input: a list of messages in JSON.
"""

import json
import sys

from cfnlint.api import ManualArgs, lint

if __name__ == "__main__":
    template = {
        "Resources": {
            "StateMachine": {
                "Type": "AWS::StepFunctions::StateMachine",
                "Properties": {
                    "RoleArn": {"Fn::Sub": "arn:${AWS::Partition}:iam::${AWS::AccountId}:role/any"},
                    "Definition": json.load(sys.stdin),
                },
            }
        }
    }
    found = lint(json.dumps(template), config=ManualArgs(regions=["us-east-1"]))
    json.dump([f"{match.rule.id} {match.message}" for match in found], sys.stdout)
