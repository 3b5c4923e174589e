"""Starts MiniStack, and has it list the published versions of functions, as AWS does.

ListFunctions with FunctionVersion=ALL lists them besides the functions themselves. MiniStack ignores
that parameter, and answers with numbers as text where a template has them so.
"""

import copy
import sys

from ministack.app import main
from ministack.services import lambda_svc

list_latest = lambda_svc._list_functions


def list_functions(query_params: dict):
    def first(name, default):
        return lambda_svc._qp_first(query_params, name, default)

    if first("FunctionVersion", "") != "ALL":
        return list_latest(query_params)
    configurations = []
    for name in sorted(lambda_svc._functions.keys()):
        function = lambda_svc._functions[name]
        versions = function.get("versions", {}).values()
        configurations += [function["config"], *(version["config"] for version in versions)]
    start, count = int(first("Marker", "0")), int(first("MaxItems", "50"))
    page = copy.deepcopy(configurations[start:start + count])
    for configuration in page:
        if storage := configuration.get("EphemeralStorage"):
            storage["Size"] = int(storage["Size"])
    answer = {"Functions": page}
    if start + count < len(configurations):
        answer["NextMarker"] = str(start + count)
    return lambda_svc.json_response(answer)


if __name__ == "__main__":
    lambda_svc._list_functions = list_functions
    sys.exit(main())
