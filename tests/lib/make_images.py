#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""make_images.py: images for tests/images/unpack.bats, honest and hostile, made of bytes: the cases of image_cases.py.

    make_images.py make DIR CANARY NAME...   DIR/NAME/, an OCI layout with the tag "t", of the case NAME; CANARY is the
                                             absolute path of a directory that must not be touched
    make_images.py split DIR CANARY NAME...  the same with up to four layers for each
    make_images.py layers DIR TREE...        DIR, an OCI layout of honest layers, one for each tree, the lowest first; files
                                             called .wh.NAME are whiteouts
    make_images.py tar FILE CANARY NAME      the topmost layer of a case alone
    make_images.py names                     all cases
"""
import gzip
import hashlib
import io
import json
import os
import sys
import tarfile

from image_cases import CASES
from tar_bytes import split

OCI = "application/vnd.oci.image."


def digest_of(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


class Layout:
    def __init__(self, path):
        self.path = path
        os.makedirs(os.path.join(path, "blobs", "sha256"))
        with open(os.path.join(path, "oci-layout"), "w", encoding="ascii") as out:
            out.write('{"imageLayoutVersion":"1.0.0"}')

    def blob(self, data, media_type, spoil=False, **more):
        digest = digest_of(data)
        if spoil:
            data = data[:-1] + bytes([data[-1] ^ 1])
        with open(os.path.join(self.path, "blobs", *digest.split(":")), "wb") as out:
            out.write(data)
        return {"mediaType": OCI + media_type, "digest": digest, "size": len(data), **more}

    def index(self, descriptor):
        document = {"schemaVersion": 2, "manifests": [descriptor]}
        return json.dumps(document).encode()


def build(path, name, canary, splits=False):
    function = CASES[name]
    spec = function(canary) if function.__code__.co_argcount else function()
    if isinstance(spec, list):
        spec = {"layers": spec}
    if splits:
        spec = {"layers": [piece for layer in spec["layers"] for piece in split(layer)]}
    write_layout(path, spec)


def write_layout(path, spec):
    layout = Layout(path)
    packed = spec.get("packed", spec["layers"]) or [gzip.compress(layer, 1, mtime=0) for layer in spec["layers"]]
    kind = "layer.nondistributable.v1.tar" if spec.get("type") == "nondistributable" else \
        "layer.v1." + spec.get("type", "tar+gzip" if packed is not spec["layers"] else "tar")
    layers = [{**layout.blob(data, kind, spec.get("spoil") == "layer"), **spec.get("layer_extra", {})}
              for data in packed]
    diff_ids = [digest_of(layer) for layer in spec["layers"]]
    if isinstance(spec.get("diff_ids"), list):
        diff_ids = spec["diff_ids"]
    elif "diff_ids" in spec:
        diff_ids = diff_ids[:spec["diff_ids"]]
    config = {"architecture": "amd64", "os": "linux", "config": {"Env": ["PATH=/bin"], "Cmd": ["/bin/sh"], **spec.get("config", {})},
              "rootfs": {"type": "layers", "diff_ids": diff_ids}}
    config_blob = layout.blob(json.dumps(config).encode(), "config.v1+json", spec.get("spoil") == "config")
    if "config_type" in spec:
        config_blob["mediaType"] = spec["config_type"]
    manifest = {"schemaVersion": 2, "mediaType": OCI + "manifest.v1+json", "config": config_blob, "layers": layers,
                **spec.get("manifest_extra", {})}
    text = spec.get("manifest_text", lambda same: same)(json.dumps(manifest).encode())
    top = layout.blob(text, "manifest.v1+json", spec.get("spoil") == "manifest")
    for _ in range(spec.get("indices", 0)):
        top = layout.blob(layout.index(top), "index.v1+json")
    top["annotations"] = {"org.opencontainers.image.ref.name": "t"}
    with open(os.path.join(path, "index.json"), "wb") as out:
        out.write(layout.index(top))


def tree_tar(tree):
    """Files of a directory as a layer of root's."""
    def of_root(info):
        info.uid = info.gid = 0
        info.uname = info.gname = ""
        return info

    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        archive.add(tree, arcname=".", filter=of_root)
    return out.getvalue()


def make_tar(path, name, canary):
    function = CASES[name]
    spec = function(canary) if function.__code__.co_argcount else function()
    with open(path, "wb") as out:
        out.write((spec if isinstance(spec, list) else spec["layers"])[-1])


def main():
    command, arguments = sys.argv[1], sys.argv[2:]
    if command == "make":
        for name in arguments[2:]:
            build(os.path.join(arguments[0], name), name, os.fsencode(arguments[1]))
    elif command == "split":
        for name in arguments[2:]:
            build(os.path.join(arguments[0], name), name, os.fsencode(arguments[1]), True)
    elif command == "layers":
        write_layout(arguments[0], {"layers": [tree_tar(tree) for tree in arguments[1:]],
                                    "config": {"Env": ["PATH=/bin", "LAYERED=yes"]}})
    elif command == "tar":
        make_tar(arguments[0], arguments[2], os.fsencode(arguments[1]))
    elif command == "names":
        print("\n".join(CASES))
    else:
        sys.exit(__doc__)


main()
