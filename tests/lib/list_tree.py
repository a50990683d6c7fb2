#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""list_tree.py: a tree as text that can be compared.

    list_tree.py list DIR                  types, links, content, modes
    list_tree.py strict DIR                with every mode, size, owner and time
    list_tree.py merged STORE FLAT NAME... what the layers of the stored images NAME show together is FLAT/NAME/rootfs, in an
                                           overlay of the kernel: to be run in a namespace that may mount
"""
import ctypes
import difflib
import hashlib
import json
import os
import stat
import sys
import tempfile


def describe(path, name, strict, inodes):
    st = os.lstat(path)
    mode = stat.S_IMODE(st.st_mode)
    text = [ascii(name)]
    if stat.S_ISLNK(st.st_mode):
        text += ["link", ascii(os.readlink(path))]
    elif stat.S_ISDIR(st.st_mode):
        text += ["dir", oct(mode if strict else mode & 0o1777 | 0o700)]
    elif stat.S_ISREG(st.st_mode):
        with open(path, "rb") as file:
            content = hashlib.sha256(file.read()).hexdigest()[:16]
        text += ["file", oct(mode if strict else mode & 0o777 | 0o400), str(st.st_size), content]
        if st.st_nlink > 1:
            text.append("same as " + ascii(inodes.setdefault(st.st_ino, name)))
    else:
        text += ["special", oct(st.st_mode)]
    if strict:
        text += [str(st.st_uid), str(st.st_mtime_ns)]
    elif stat.S_ISREG(st.st_mode):
        text.append(str(int(st.st_mtime)))
    return " ".join(text)


def listing(top, strict):
    lines, inodes = [], {}
    top = os.fsencode(top)
    for directory_path, directories, files in os.walk(top):
        directories.sort()
        lines.append(describe(directory_path, os.path.relpath(directory_path, top), strict, inodes))
        links = [d for d in directories if os.path.islink(os.path.join(directory_path, d))]
        for name in sorted(files + links):
            path = os.path.join(directory_path, name)
            lines.append(describe(path, os.path.relpath(path, top), strict, inodes))
    return "\n".join(lines)


def mount_layers(layers, target):
    """Overlay, or for one layer a bind."""
    libc = ctypes.CDLL(None, use_errno=True)
    if len(layers) == 1:
        kind, source, flags, options = None, layers[0], 0x1000, None
    else:
        kind, source, flags = b"overlay", "none", 0
        os.chdir(os.path.dirname(os.path.dirname(layers[0])))  # options are a page at most
        options = ("userxattr,lowerdir=" + ":".join(os.path.relpath(layer) for layer in layers)).encode()
    if libc.mount(source.encode(), target.encode(), kind, flags, options) != 0:
        raise OSError(ctypes.get_errno(), f"mount {layers}")
    return lambda: libc.umount2(target.encode(), 2)


def compare_merged(store, flat, names):
    result = 0
    with tempfile.TemporaryDirectory() as target:
        for name in names:
            with open(os.path.join(store, "images", f"docker.io%library%{name}:latest"), encoding="utf-8") as document:
                layers = [os.path.join(store, "layers", layer, "tree") for layer in json.load(document)["layers"]]
            umount = mount_layers(layers[::-1], target)
            one = listing(target, False).splitlines()
            umount()
            two = listing(os.path.join(flat, name, "rootfs"), False).splitlines()
            for line in difflib.unified_diff(two, one, "flat", "merged", lineterm="", n=0):
                print(f"{name}: {line}")
                result = 1
    return result


def main():
    command, arguments = sys.argv[1], sys.argv[2:]
    if command == "merged":
        sys.exit(compare_merged(*arguments[:2], arguments[2:]))
    elif command in ("list", "strict"):
        print(listing(arguments[0], command == "strict"))
    else:
        sys.exit(__doc__)


main()
