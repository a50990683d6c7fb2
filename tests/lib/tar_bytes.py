# SPDX-License-Identifier: GPL-2.0-or-later
"""tar_bytes.py: tar archives made of bytes, so that they can be wrong."""

BLOCK = 512
MTIME = 1_600_000_000


def octal(value, size):
    return b"%0*o\0" % (size - 1, value)


def header(name, kind=b"0", size=0, link=b"", mode=0o644, uid=0, gid=0, mtime=MTIME, raw_size=None, device=(0, 0)):
    field = bytearray(BLOCK)
    for at, data in ((0, name[:100]), (100, octal(mode, 8)), (108, octal(uid, 8)), (116, octal(gid, 8)),
                     (124, raw_size or octal(size, 12)), (136, octal(mtime, 12)), (148, b" " * 8), (156, kind),
                     (157, link[:100]), (257, b"ustar\x0000"), (329, octal(device[0], 8)), (337, octal(device[1], 8))):
        field[at:at + len(data)] = data
    field[148:156] = b"%06o\0 " % sum(field)
    return bytes(field)


def padded(data):
    return data + b"\0" * (-len(data) % BLOCK)


def entry(name, data=b"", kind=b"0", **more):
    """A file; what does not fit into its header goes into one of PAX in front of it."""
    long = {}
    if len(name) > 100:
        long["path"] = name
    if len(more.get("link", b"")) > 100:
        long["linkpath"] = more["link"]
    return (pax(**long) if long else b"") + header(name, kind, len(data), **more) + padded(data)


def directory(name, mode=0o755, **more):
    return entry(name, kind=b"5", mode=mode, **more)


def symlink(name, target):
    return entry(name, kind=b"2", link=target, mode=0o777)


def hardlink(name, target):
    return entry(name, kind=b"1", link=target)


def pax(**records):
    text = b""
    for key, value in records.items():
        line = b" " + key.replace("__", ".").encode() + b"=" + value + b"\n"
        length = len(line)
        while len(str(length)) + len(line) != length:
            length = len(str(length)) + len(line)
        text += str(length).encode() + line
    return entry(b"PaxHeaders/x", text, kind=b"x")


def pax_raw(pairs):
    """As pax(), for keys that are not identifiers."""
    return pax(**{key.replace(".", "__"): value for key, value in pairs})


class Layer(bytes):
    """A tar that remembers what it is made of."""
    entries = ()


def tar(*entries):
    layer = Layer(b"".join(entries) + b"\0" * (2 * BLOCK))
    layer.entries = entries
    return layer


def split(layer):
    """A layer as up to four; what describes the next entry stays with it."""
    groups, before = [], b""
    for piece in getattr(layer, "entries", ()):
        before += piece
        if piece[156:157] not in (b"x", b"g", b"L", b"K") or len(piece) > 2 * BLOCK:
            groups.append(before)
            before = b""
    some = -(-len(groups) // 4)
    return [tar(*groups[at:at + some]) for at in range(0, len(groups), some or 1)] or [layer]
