# SPDX-License-Identifier: GPL-2.0-or-later
"""store.py: what images in layers cost: the start of a sandbox, the disk, and putting a layer more.

bench.py's part. The image has twenty layers, the first of them the others' base; the same unpacked to one tree is the
measure.
"""
import json
import pathlib
import time

LAYERS = 20
IMAGES = 10


def layout(user, tests, path, trees):
    return user(["python3", tests / "lib/make_images.py", "layers", path, *trees]).returncode == 0


def prepare(user, tool, tests, scratch, root):
    """azm:bench-layers and scratch/flat, the same; azm:bench-0 to -9 on one base. Return: seconds for the image, for one
    more on its base; None when something failed."""
    trees = []
    for number in range(1, LAYERS):
        tree = scratch / f"tree-{number}"
        trees.append(tree)
        if user(["sh", "-ec", f"mkdir -p {tree}/etc {tree}/opt/{number};"
                 f" for i in $(seq 50); do echo {number} $i >{tree}/opt/{number}/$i; done; echo {number} >{tree}/etc/last"]
                ).returncode:
            return None
    image = scratch / "image"
    if not layout(user, tests, image, [root, *trees]):
        return None
    times = []
    for number in range(IMAGES):
        if not layout(user, tests, scratch / f"image-{number}", [root, trees[number]]):
            return None
    for name, source in (("bench-layers", image), ("bench-0", scratch / "image-0")):
        began = time.monotonic()
        if user([tool, "unpack", "-q", "--store", source, name]).returncode:
            return None
        times.append(time.monotonic() - began)
    for number in range(1, IMAGES):
        if user([tool, "unpack", "-q", "--store", scratch / f"image-{number}", f"bench-{number}"]).returncode:
            return None
    if user([tool, "unpack", "-q", image, scratch / "flat"]).returncode:
        return None
    return times


def kib(user, path):
    return int(user(["du", "-sk", path]).stdout.split()[0])


def disk(user, tool, scratch):
    """KiB of ten images in the store, and of one of them unpacked."""
    user([tool, "rm", "bench-layers"])
    if user([tool, "unpack", "-q", scratch / "image-0", scratch / "one"]).returncode:
        return None
    return kib(user, pathlib.Path(json.loads(user([tool, "df", "--json"]).stdout)["path"]) / "layers"), kib(user, scratch / "one")


def end(user, tool, scratch):
    user([tool, "rm", "-f", *(f"bench-{number}" for number in range(IMAGES))])
    user([tool, "gc"])
    user(["rm", "-rf", scratch])
