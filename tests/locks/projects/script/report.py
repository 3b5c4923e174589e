# /// script
# requires-python = ">=3.11"
# dependencies = [
#     "httpx[http2]>=0.27",
#     "rich<14 ; python_version < '3.13'",
#     "rich>=14 ; python_version >= '3.13'",
#     "pydantic>=2.9",
#     "colorama ; sys_platform == 'win32'",
# ]
# ///
"""A script with inline metadata, which `uv lock --script` locks."""

import httpx
import pydantic
import rich

rich.print(httpx.__version__, pydantic.VERSION)
