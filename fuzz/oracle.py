"""Reads what the fuzz targets made, with Python's own zipfile, csv, email and ast.

Started once by `src/python.rs`, which asks over standard input and output. A question is the length of
a JSON text (four bytes, little-endian), the text, and the blobs whose lengths it gives; an answer is
such a length and text.
"""

import ast
import base64
import csv
import email.parser
import hashlib
import io
import json
import re
import stat
import struct
import sys
import zipfile

# What an installer writes itself and never takes from a wheel.
NOT_TAKEN = {"RECORD", "RECORD.jws", "RECORD.p7s", "INSTALLER", "REQUESTED", "direct_url.json"}
FOLDERS = {"purelib": "", "platlib": "", "data": "", "scripts": "bin/", "headers": None}
SCRIPT_START = b"#!/usr/bin/env python3\nimport os\nimport sys\n"


class Wrong(Exception):
    """A promise is broken."""


def content(archive, info):
    """The bytes of an entry; None if this Python knows nothing of its compression."""
    try:
        with archive.open(info) as file:
            return file.read()
    except NotImplementedError as error:
        if info.compress_type == 93 and "compression" in str(error):
            return None
        raise


def read(archive):
    """What zipfile makes of an archive."""
    try:
        with zipfile.ZipFile(io.BytesIO(archive)) as opened:
            entries = []
            for info in opened.infolist():
                data = content(opened, info)
                digest = None if data is None else hashlib.sha256(data).hexdigest()
                entries.append([info.header_offset, info.filename, info.file_size, digest])
            return {"entries": sorted(entries)}
    except Exception as error:  # whatever it is, it is a refusal
        return {"refusal": f"{type(error).__name__}: {error}"}


def normalised(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def is_folder(info):
    return info.filename.endswith("/") or stat.S_ISDIR(info.external_attr >> 16)


def installed_path(name):
    """A path without `.` and empty parts, as it is on a disk."""
    return "/".join(part for part in name.split("/") if part not in ("", "."))


def entry_points(text):
    """The scripts that an entry_points.txt asks for: name, module, attribute."""
    scripts = {}
    wanted = False
    for line in re.split(r"[\r\n]", text):
        line = line.strip()
        if not line or line[0] in "#;":
            continue
        if line[0] == "[" and line[-1] == "]":
            wanted = line[1:-1].strip() in ("console_scripts", "gui_scripts")
        elif wanted:
            name, _, target = line.partition("=")
            module, _, attribute = target.partition("[")[0].partition(":")
            scripts[name.strip()] = (module.strip(), attribute.strip())
    return scripts


def install(wheel, description):
    """What an installer makes of a wheel: path -> (content, executable), both None if unknown; the
    folder of its metadata; its scripts."""
    files = {}
    with zipfile.ZipFile(io.BytesIO(wheel)) as archive:
        infos = [info for info in archive.infolist() if not is_folder(info)]
        paths = [installed_path(info.filename) for info in infos]
        tops = {path.partition("/")[0] for path in paths if "/" in path}
        (dist_info,) = [top for top in tops if top.endswith(".dist-info")]
        data_folder = dist_info.removesuffix(".dist-info") + ".data"
        for info, path in zip(infos, paths):
            executable = bool(info.external_attr >> 16 & 0o111)
            is_script = False
            if path.startswith(data_folder + "/"):
                _, kind, rest = path.split("/", 2)
                is_script = kind == "scripts"
                folder = FOLDERS[kind]
                path = (f"include/{description['name']}/" if folder is None else folder) + rest
            if path.startswith(dist_info + "/") and path[len(dist_info) + 1 :] in NOT_TAKEN:
                continue
            data = content(archive, info)
            if is_script and data is not None and data.startswith(b"#!python"):
                end = data.find(b"\n")
                data = b"#!/usr/bin/env python3" + (data[end:] if end >= 0 else b"")
            if files.get(path, (data, executable or is_script)) != (data, executable or is_script):
                raise Wrong(f"two files for {path}")
            files[path] = (data, executable or is_script)
        points = files.get(f"{dist_info}/entry_points.txt", (b"",))[0]
    scripts = {}
    if points is not None:
        scripts = entry_points(points.decode(errors="replace"))
    for name in scripts:
        files[f"bin/{name}"] = (None, True)
    files[f"{dist_info}/INSTALLER"] = (b"accretion\n", False)
    files[f"{dist_info}/RECORD"] = (None, False)
    return files, dist_info, scripts


def check_metadata(files, dist_info, description):
    """importlib.metadata reads METADATA so."""
    metadata = files[f"{dist_info}/METADATA"][0]
    if metadata is not None:
        message = email.parser.Parser().parsestr(metadata.decode(errors="replace"))
        if normalised(str(message["Name"]).strip()) != description["name"]:
            raise Wrong(f"METADATA is of {message['Name']!r}")


def check_script(text, module, attribute):
    """The script calls its entry point and does nothing else."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return  # The entry point is no Python either.
    shape = [type(node).__name__ for node in tree.body]
    if shape != ["Import", "Import", "Expr", "ImportFrom", "If"]:
        raise Wrong(f"a script of {shape}: {text!r}")
    call = tree.body[4].body
    if len(call) != 1 or len(tree.body[3].names) != 1 or tree.body[4].orelse:
        raise Wrong(f"a script does more than one thing: {text!r}")
    expected = ast.parse(f"sys.exit({attribute}())").body[0]
    if ast.dump(call[0]) != ast.dump(expected):
        raise Wrong(f"a script calls something else than {attribute}: {text!r}")
    expected = ast.parse(f"from {module} import {attribute.split('.')[0]}").body[0]
    if ast.dump(tree.body[3]) != ast.dump(expected):
        raise Wrong(f"a script imports something else than {module}: {text!r}")


def check_record(record, path, own, layer):
    """A RECORD lists what a wheel has in the layer, and nothing else."""
    rows = list(csv.reader(record.decode().splitlines()))
    listed = {}
    for row in rows:
        if len(row) != 3 or row[0] in listed:
            raise Wrong(f"{path} has the row {row}")
        listed[row[0]] = row[1:]
    if listed.pop(path, None) != ["", ""]:
        raise Wrong(f"{path} does not list itself")
    expected = {}
    for file, (data, executable) in own.items():
        actual, mode = layer[file]
        if file != path and (data is None or data == actual) and executable == mode:
            digest = hashlib.sha256(actual).digest()
            digest = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
            expected[file] = [f"sha256={digest}", str(len(actual))]
    for file in set(listed) ^ set(expected):
        # Of files that this Python can't unpack it is not known whose they are.
        if file not in own or own[file][0] is not None:
            raise Wrong(f"{path} and the layer differ about {file!r}")
    for file in set(listed) & set(expected):
        if listed[file] != expected[file]:
            raise Wrong(f"{path} has {listed[file]} for {file!r}, not {expected[file]}")


def read_layer(archive):
    """The files of a layer below python/: path -> (content, executable)."""
    files = {}
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        infos = opened.infolist()
        names = [info.filename.encode() for info in infos]
        if names != sorted(set(names)):
            raise Wrong("the names are not in order, or not once each")
        for info in infos:
            root, _, path = info.filename.partition("/")
            parts = path.split("/")
            if root != "python" or any(part in ("", ".", "..") for part in parts):
                raise Wrong(f"the path {info.filename!r}")
            if "\\" in path or any(ord(c) < 32 or 127 <= ord(c) < 160 for c in path):
                raise Wrong(f"the path {info.filename!r}")
            mode = info.external_attr >> 16
            if mode not in (0o100644, 0o100755) or info.compress_type not in (0, 8):
                raise Wrong(f"{path!r} has the mode {mode:o}, the method {info.compress_type}")
            if info.date_time != (1980, 1, 1, 0, 0, 0) or info.extra or info.comment:
                raise Wrong(f"{path!r} says more than it should")
            files[path] = (opened.read(info), mode == 0o100755)
    return files


def check_layer(wheels, descriptions, archive):
    """A layer holds what an installer makes of its wheels, in the order of their names."""
    layer = read_layer(archive)
    installed = [
        (description, *install(wheel, description))
        for wheel, description in sorted(zip(wheels, descriptions), key=lambda it: it[1]["name"])
    ]
    expected = {}
    for _, files, _, _ in installed:
        expected.update(files)
    if set(layer) != set(expected):
        raise Wrong(f"the layer and its wheels differ about {sorted(set(layer) ^ set(expected))}")
    for path, (data, executable) in expected.items():
        if data is not None and data != layer[path][0]:
            raise Wrong(f"{path!r} has {layer[path][0]!r}, not {data!r}")
        if executable != layer[path][1]:
            raise Wrong(f"{path!r} may be executed: {layer[path][1]}, not {executable}")
    scripts = {}
    for description, files, dist_info, own_scripts in installed:
        check_metadata(files, dist_info, description)
        record = f"{dist_info}/RECORD"
        if expected[record] is files[record]:
            check_record(layer[record][0], record, files, layer)
        for path in files:
            scripts.pop(path, None)
        scripts.update((f"bin/{name}", target) for name, target in own_scripts.items())
    for path, target in scripts.items():
        text = layer[path][0]
        if not text.startswith(SCRIPT_START):
            raise Wrong(f"{path!r} is no script for {target}")
        check_script(text.decode(), *target)


def answer(question, blobs):
    if question["do"] == "read":
        return read(blobs[0])
    try:
        check_layer(blobs[:-1], question["wheels"], blobs[-1])
    except Exception as error:
        return {"problem": f"{type(error).__name__}: {error}"}
    return {}


def main():
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    while length := source.read(4):
        question = json.loads(source.read(*struct.unpack("<I", length)))
        blobs = [source.read(size) for size in question["blobs"]]
        text = json.dumps(answer(question, blobs)).encode()
        sink.write(struct.pack("<I", len(text)) + text)
        sink.flush()


if __name__ == "__main__":
    main()
