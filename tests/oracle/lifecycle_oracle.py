"""The days on which AWS ends Lambda's runtimes, as cfn-lint has them.

Writes a JSON object on stdout: for each runtime its `deprecated`, `create-block` and `update-block`.
"""

import json
from importlib import resources

import cfnlint.data.AdditionalSpecs

data = resources.files(cfnlint.data.AdditionalSpecs) / "LmbdRuntimeLifecycle.json"
print(json.dumps(json.loads(data.read_text())))
