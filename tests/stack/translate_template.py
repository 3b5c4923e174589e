"""Writes the template as CloudFormation gets it, in JSON: after SAM's transform, with the defaults
of all parameters in place of references that the transform resolves itself.
"""

import json
import os
import sys
from pathlib import Path

# The translator asks boto3 which partition it is for.
os.environ.setdefault("AWS_DEFAULT_REGION", "eu-west-1")

from samcli.yamlhelper import yaml_parse
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator

if __name__ == "__main__":
    template = yaml_parse(Path(sys.argv[1]).read_text(encoding="utf-8"))
    for resource in template["Resources"].values():
        # Files that are uploaded at deployment.
        for name in ("CodeUri", "DefinitionUri"):
            if name in resource["Properties"]:
                resource["Properties"][name] = "s3://bucket/key"
    translated = Translator({}, Parser()).translate(template, parameter_values={})
    json.dump(translated, sys.stdout)
