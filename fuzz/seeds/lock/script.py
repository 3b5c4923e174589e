#!/usr/bin/env python
# /// script
# requires-python = '>=3.12'
# dependencies = [
#   'requests[socks]>=2; os_name == "posix"',
#   'a @ https://example.com/a-1-py3-none-any.whl',
# ]
# [tool.uv]
# offline = true
# ///
print('é')
