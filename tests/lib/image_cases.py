# SPDX-License-Identifier: GPL-2.0-or-later
"""image_cases.py: images, honest and hostile.

A case is a function that returns a list of layers (bytes of plain tars), or a dictionary with what else is special.
"""
import gzip
import io
import os

from tar_bytes import BLOCK, directory, entry, hardlink, header, padded, pax, pax_raw, symlink, tar

CASES = {}


def case(function):
    CASES[function.__name__] = function
    return function


# ---- honest ---------------------------------------------------------------------------------------------------------

BASE = (directory(b"etc/"), entry(b"etc/passwd", b"root:x:0:0::/:/bin/sh\n"), directory(b"dir/"),
        entry(b"dir/lower", b"lower\n"), entry(b"dir/other", b"other\n"))


@case
def plain():
    """All that is usual: every type, long names, PAX and GNU, whiteouts, sub-second times."""
    long_name = b"/".join([b"d" * 60] * 3) + b"/file"
    return [tar(directory(b"./"), *BASE, hardlink(b"etc/again", b"etc/passwd"), symlink(b"link", b"dir"),
                symlink(b"absolute", b"/etc/passwd"), entry(b"run.sh", b"#!/bin/sh\n", mode=0o755),
                entry(b"empty"), entry(b"pipe", kind=b"6"), directory(b"tmp", mode=0o1777),
                pax(path=long_name, mtime=b"1500000000.25"), entry(b"short", b"long name\n"),
                entry(b"././@LongLink", b"gnu/" + b"n" * 150 + b"\0", kind=b"L"), entry(b"gnu", b"gnu\n"),
                pax(path="pax-é".encode()), entry(b"pax", b"utf-8\n"), pax(path=b"pax-latin-\xe9"), entry(b"p2"),
                entry(b"raw-latin-\xe9"), entry(b"owned", b"x", uid=1000, gid=100)),
            tar(directory(b"dir/"), entry(b"dir/.wh.lower"), entry(b"dir/upper", b"upper\n"),
                entry(b"run.sh", b"#!/bin/sh\nexit\n", mode=0o755)),
            tar(directory(b"new/"), entry(b"new/.wh..wh..opq"), entry(b"new/file", b"1"), entry(b".wh.empty"))]


@case
def modes():
    """What its owner could not read, enter or remove."""
    return [tar(directory(b"closed", mode=0), entry(b"closed/file", b"x", mode=0), directory(b"closed/in", mode=0),
                entry(b"closed/in/deep", b"y", mode=0o200), directory(b"read-only", mode=0o555),
                entry(b"read-only/file", b"z", mode=0o444))]


@case
def everything():
    """What an image can say and export has to give back: every directory has an entry, times are whole seconds."""
    long_name = b"/".join([b"d" * 60] * 3)
    capability = b"\1\0\0\2\0\x20\0\0" + b"\0" * 12
    parts = [directory(b"./")] + list(BASE)
    for depth in range(1, 4):
        parts.append(directory(long_name[:61 * depth - 1] + b"/"))
    parts += [entry(long_name + b"/" + b"f" * 120, b"long name\n"), symlink(b"link", b"dir"),
              symlink(b"absolute", b"/etc/passwd"), symlink(b"long-link", b"../" * 60 + b"end"),
              hardlink(b"etc/again", b"etc/passwd"), entry(b"run.sh", b"#!/bin/sh\n", mode=0o755), entry(b"empty"),
              entry(b"pipe", kind=b"6", mode=0o640), directory(b"tmp", mode=0o1777), directory(b"dev"),
              entry(b"dev/null", kind=b"3", device=(1, 3), mode=0o666, gid=5), entry(b"dev/sda", kind=b"4", device=(8, 0)),
              entry(b"su", b"x", mode=0o4755), directory(b"shared", mode=0o2775, gid=50), entry(b"secret", b"y", mode=0),
              entry(b"owned", b"x", uid=1000, gid=100), pax(uid=b"3000000", gid=b"4000000"), entry(b"far", b"z"),
              pax_raw([("SCHILY.xattr.security.capability", capability), ("SCHILY.xattr.user.note", b"kept")]),
              entry(b"ping", b"p", mode=0o755), pax(path="pax-é".encode()), entry(b"pax", b"utf-8\n"),
              entry(b"raw-latin-\xe9"),
              pax_raw([("GNU.sparse.major", b"1"), ("GNU.sparse.minor", b"0"), ("GNU.sparse.name", b"sparse"),
                       ("GNU.sparse.realsize", b"8388608")]),
              entry(b"GNUSparseFile.0/sparse", padded(b"2\n0\n512\n4194304\n512\n") + b"a" * 512 + b"b" * 512)]
    return [tar(*parts)]


# ---- names ----------------------------------------------------------------------------------------------------------

@case
def dotdot(canary):
    up = b"../" * 40
    return [tar(entry(b"../escape", b"1"), entry(up + canary[1:] + b"/escape", b"2"), entry(b"a/../../b/../c", b"3"),
                directory(b"d/.."), entry(b"e/./f//g", b"4"))]


@case
def absolute(canary):
    return [tar(entry(canary + b"/escape", b"1"), entry(b"//etc/x", b"2"))]


@case
def root_symlink(canary):
    """umoci CVE-2021-29136: the root itself as a link."""
    return [tar(symlink(b"/.", canary), entry(b"escape", b"1"))]


@case
def root_file():
    return [tar(entry(b"./", b"1"))]


@case
def symlink_through(canary):
    return [tar(symlink(b"link", canary), entry(b"link/escape", b"1"), entry(b"link/secret", b"2"))]


@case
def symlink_up(canary):
    return [tar(symlink(b"link", b"../" * 40 + canary[1:]), entry(b"link/escape", b"1"))]


@case
def symlink_replaced(canary):
    """A file of the name of a link must replace the link, not what it leads to."""
    return [tar(symlink(b"link", canary + b"/secret"), entry(b"link", b"overwritten"))]


@case
def symlink_chain(canary):
    return [tar(directory(b"a"), symlink(b"a/one", b".."), symlink(b"two", b"a/one/a/one/../.."),
                symlink(b"three", b"two/../../../../../.." + canary), entry(b"three/escape", b"1"),
                entry(b"two/kept", b"2"))]


@case
def symlink_loop():
    return [tar(symlink(b"a", b"b"), symlink(b"b", b"a"), entry(b"a/file", b"1"))]


@case
def symlink_dir_replaced(canary):
    """A directory that becomes a link between two of its files."""
    return [tar(directory(b"d"), entry(b"d/one", b"1"), symlink(b"d", canary), entry(b"d/secret", b"2"))]


@case
def hardlink_up():
    return [tar(hardlink(b"link", b"../../../../../../../../etc/passwd"))]


@case
def hardlink_outside(canary):
    return [tar(hardlink(b"link", canary + b"/secret"))]


@case
def hardlink_through_symlink(canary):
    return [tar(symlink(b"d", canary), hardlink(b"link", b"d/secret"))]


@case
def hardlink_to_symlink(canary):
    """The link gets a second name; what it leads to is not touched when that name is written."""
    return [tar(symlink(b"s", canary + b"/secret"), hardlink(b"h", b"s"), entry(b"h", b"overwritten"))]


@case
def hardlink_to_whiteout():
    return [tar(entry(b"dir/.wh.gone"), hardlink(b"link", b"dir/.wh.gone"))]


@case
def hardlink_to_directory():
    return [tar(directory(b"d"), hardlink(b"link", b"d"))]


# ---- whiteouts ------------------------------------------------------------------------------------------------------

@case
def whiteout_dotdot():
    return [tar(*BASE), tar(entry(b"dir/.wh..."))]


@case
def whiteout_alone():
    return [tar(*BASE), tar(entry(b"dir/.wh."))]


@case
def whiteout_dot():
    return [tar(*BASE), tar(entry(b"dir/.wh.."))]


@case
def inherited():
    """What a layer only passes through keeps its owner and mode."""
    return [tar(*BASE, directory(b"home/", uid=1000, gid=1000, mode=0o2750), entry(b"home/old", b"o", uid=1000, mode=0o4755),
                directory(b"srv/", uid=7),
                entry(b"srv/gone", b"g", uid=7), entry(b"srv/root", b"r", uid=7)),
            tar(entry(b"home/new", b"n"), hardlink(b"etc/old", b"home/old"), entry(b"srv/.wh.gone")),
            tar(entry(b"srv/root", b"r"), directory(b"home/", mode=0o711), entry(b"home/last", b"l", uid=3))]


@case
def names_below():
    """Of a file with two names below one gets a third."""
    return [tar(*BASE, entry(b"dir/two", b"o", uid=5), hardlink(b"dir/names", b"dir/two")),
            tar(hardlink(b"etc/two", b"dir/two"))]


@case
def deep_removed():
    """Directories deeper than a walk likes, hidden as a whole, and made again."""
    deep = b"top/" + b"d/" * 200
    return [tar(*BASE, entry(deep + b"file", b"x"), entry(b"flat/a", b"a"), entry(b"flat/b/c", b"c")),
            tar(entry(b".wh.top"), entry(b"flat/b/own", b"o"), entry(b"flat/.wh..wh..opq")),
            tar(directory(b"top/"), entry(b"top/again", b"y"), entry(b"flat/.wh.b"), entry(b"dir", b"file now"))]


@case
def opaque_root():
    return [tar(*BASE), tar(entry(b"etc/new", b"n"), entry(b".wh..wh..opq"), entry(b"last", b"l"))]


@case
def opaque_owned():
    """What is opaque, and what is in it, keeps its owner; later whiteouts still know whose a name is."""
    return [tar(*BASE, directory(b"one/", uid=5), entry(b"one/in/a", b"a"), directory(b"one/in/", uid=6), entry(b"one/b", b"b")),
            tar(directory(b"one/", uid=7, mode=0o2711), entry(b"one/in/own", b"o", uid=8), entry(b"one/.wh..wh..opq"),
                entry(b"one/in/.wh.own"), entry(b"one/.wh.in"), entry(b"one/c", b"c"), entry(b"one/.wh.c")),
            tar(entry(b"one/.wh..wh..opq"), entry(b"one/d", b"d"))]


@case
def links_to_come():
    """A link of a layer below leads to what a later one makes."""
    return [tar(*BASE, symlink(b"var", b"data/var"), symlink(b"tmp", b"/var/tmp")),
            tar(entry(b"tmp/a", b"a"), entry(b"var/b", b"b")), tar(entry(b".wh.var"), entry(b"var/c", b"c"))]


@case
def opaque():
    return [tar(*BASE), tar(directory(b"dir"), entry(b"dir/.wh..wh..opq"), entry(b"dir/new", b"n"))]


@case
def opaque_late():
    """The mark after what it must not hide."""
    return [tar(*BASE), tar(entry(b"dir/sub/new", b"n"), entry(b"dir/.wh..wh..opq"))]


@case
def opaque_through_symlink(canary):
    return [tar(symlink(b"link", canary)), tar(entry(b"link/.wh..wh..opq"))]


@case
def whiteout_through_symlink(canary):
    return [tar(symlink(b"link", canary)), tar(entry(b"link/.wh.secret"))]


@case
def whiteout_of_symlink(canary):
    return [tar(symlink(b"link", canary)), tar(entry(b".wh.link"))]


@case
def whiteout_up(canary):
    return [tar(*BASE), tar(entry(b"../" * 40 + canary[1:] + b"/.wh.secret"))]


@case
def whiteout_same_layer():
    return [tar(*BASE), tar(directory(b"dir"), entry(b"dir/mine", b"1"), entry(b"dir/.wh.mine"))]


@case
def parent_is_a_file():
    return [tar(entry(b"file", b"1"), entry(b"file/below", b"2"))]


@case
def duplicates():
    return [tar(entry(b"a", b"1"), entry(b"a", b"22"), directory(b"a"), entry(b"a/x", b"3"), entry(b"b"), symlink(b"b", b"a"),
                symlink(b"b", b"a/x"), directory(b"c"), entry(b"c/x"), entry(b"c", b"4"))]


# ---- what one id cannot have ----------------------------------------------------------------------------------------

@case
def devices():
    return [tar(entry(b"dev/null", kind=b"3", device=(1, 3), mode=0o666), entry(b"dev/sda", kind=b"4", device=(8, 0)),
                entry(b"dev/pipe", kind=b"6"))]


@case
def setuid():
    return [tar(entry(b"su", b"x", mode=0o4755), entry(b"sg", b"x", mode=0o2755), directory(b"shared", mode=0o2775),
                hardlink(b"su2", b"su"))]


@case
def xattrs():
    capability = bytes.fromhex("0100000200200000000000000000000000000000")
    return [tar(pax_raw([("SCHILY.xattr.security.capability", capability), ("SCHILY.xattr.user.note", b"kept")]),
                entry(b"ping", b"x", mode=0o755),
                pax_raw([("SCHILY.xattr.user.overlay.opaque", b"y"), ("SCHILY.xattr.trusted.overlay.opaque", b"y"),
                         ("SCHILY.xattr.user.overlay.redirect", b"/etc"), ("SCHILY.xattr.security.selinux", b"s"),
                         ("SCHILY.xattr.user.containers.override_stat", b"0:0:04755")]), directory(b"smuggled"),
                pax_raw([("SCHILY.xattr.user.note", b"read-only")]), entry(b"fixed", b"x", mode=0o444))]


# ---- numbers and headers --------------------------------------------------------------------------------------------

@case
def pax_path(canary):
    return [tar(pax(path=b"../.." + canary + b"/escape"), entry(b"innocent", b"1"),
                pax(linkpath=canary), entry(b"link", kind=b"2", link=b"x"), entry(b"link/escape2", b"2"))]


@case
def pax_size():
    return [tar(pax(size=b"5"), header(b"file", size=0) + padded(b"12345"), entry(b"next", b"n"))]


@case
def negative_size():
    return [tar(header(b"file", raw_size=b"\xff" * 12), entry(b"next"))]


@case
def huge_size():
    return [tar(header(b"file", raw_size=b"\x80" + b"\0" * 3 + b"\x7f" + b"\xff" * 7), entry(b"next"))]


@case
def pax_size_huge():
    return [tar(pax(size=b"9223372036854775807"), entry(b"file", b"x"))]


@case
def mtime_far():
    return [tar(pax(mtime=b"9223372036854775807"), entry(b"far", b"x"), pax(mtime=b"-9223372036854775808"),
                entry(b"near", b"x"), pax(mtime=b"1e99"), directory(b"dir"))]


@case
def sparse_huge():
    """A few bytes of data that claim to be a file of exabytes."""
    return [tar(pax_raw([("GNU.sparse.major", b"1"), ("GNU.sparse.minor", b"0"), ("GNU.sparse.name", b"sparse"),
                         ("GNU.sparse.realsize", b"4611686018427387904")]),
                entry(b"GNUSparseFile.0/sparse", padded(b"1\n0\n0\n")))]


@case
def sparse_map():
    """A map of millions of pieces: each costs the reader memory."""
    pieces = 20_000_000
    data = padded(b"%d\n" % pieces + b"0\n0\n" * pieces)
    return [tar(pax_raw([("GNU.sparse.major", b"1"), ("GNU.sparse.minor", b"0"), ("GNU.sparse.name", b"sparse"),
                         ("GNU.sparse.realsize", b"1"), ("size", b"%d" % len(data))]),
                entry(b"GNUSparseFile.0/sparse", data))]


@case
def long_name():
    return [tar(pax(path=b"/".join([b"n" * 250] * 20)), entry(b"x", b"1"))]


@case
def long_component():
    return [tar(pax(path=b"n" * 300), entry(b"x", b"1"))]


@case
def nul_name():
    return [tar(pax(path=b"cut\0/../../escape"), entry(b"x", b"1"))]


@case
def odd_names():
    return [tar(entry(b"new\nline", b"1"), entry(b"esc\x1b[2J\x1b]0;title\x07", b"2"), entry(b"blank here", b"3"),
                entry(b"-rf", b"4"), entry(b"back\\slash", b"5"), entry(b"owned\n \x1b[1m", b"6", uid=5),
                directory(b" "), directory(b" / "))]


@case
def odd_error():
    """A message about a name must not drive the terminal."""
    return [tar(hardlink(b"esc\x1b[2J", b"gone\x1b]0;title\x07"))]


@case
def case_twins():
    return [tar(entry(b"File", b"1"), entry(b"file", b"2"), directory(b"FILE"))]


@case
def unknown_type():
    return [tar(entry(b"what", b"1", kind=b"Z"))]


@case
def many_entries():
    return [directory(b"d") * 1_000_000 + b"\0" * (2 * BLOCK)]


@case
def many_files():
    return [b"".join(header(b"d%d/f%d" % (i % 100, i)) for i in range(30_000)) + b"\0" * (2 * BLOCK)]


@case
def deep():
    return [tar(pax(path=b"d/" * 1500 + b"f"), entry(b"x", b"1"), entry(b".wh.d"))]


@case
def no_end():
    return [b"".join(BASE)]


@case
def cut_tar():
    return [tar(*BASE)[:-3 * BLOCK - 100]]


@case
def not_a_tar():
    return [b"this is not a tar\n" * 100]


# ---- compressions ---------------------------------------------------------------------------------------------------

@case
def gzip_cut():
    whole = gzip.compress(tar(*BASE, entry(b"random", os.urandom(5000))), mtime=0)
    return {"layers": [tar(*BASE)], "packed": [whole[:-300]]}


@case
def gzip_members():
    plain_tar = tar(*BASE, entry(b"more", b"m" * 5000))
    parts = [plain_tar[i:i + 700] for i in range(0, len(plain_tar), 700)]
    return {"layers": [plain_tar], "packed": [b"".join(gzip.compress(part, mtime=0) for part in parts)]}


@case
def gzip_tail():
    return {"layers": [tar(*BASE)], "packed": [gzip.compress(tar(*BASE), mtime=0) + b"tail"]}


@case
def gzip_bomb():
    """A quarter of a gigabyte of zeros in a megabyte."""
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb", mtime=0, compresslevel=1) as stream:
        stream.write(header(b"bomb", size=1 << 28))
        for _ in range(1 << 8):
            stream.write(b"\0" * (1 << 20))
        stream.write(b"\0" * 1024)
    return {"layers": [b""], "packed": [packed.getvalue()], "type": "tar+gzip"}


@case
def zeros_after_end():
    return {"layers": [tar(*BASE) + b"\0" * (100 << 20)], "packed": None}


@case
def zstd_window():
    frame = bytes.fromhex("28b52ffd00ff") + (0 << 3 | 1).to_bytes(3, "little")
    return {"layers": [b""], "packed": [frame], "type": "tar+zstd"}


# ---- documents ------------------------------------------------------------------------------------------------------

@case
def foreign_layer():
    return {"layers": [tar(*BASE)], "type": "nondistributable"}


@case
def layer_urls():
    return {"layers": [tar(*BASE)], "layer_extra": {"urls": ["http://127.0.0.1:1/layer"]}}


@case
def blob_digest():
    return {"layers": [tar(*BASE)], "spoil": "layer"}


@case
def config_digest():
    return {"layers": [tar(*BASE)], "spoil": "config"}


@case
def manifest_digest():
    return {"layers": [tar(*BASE)], "spoil": "manifest"}


@case
def layer_size():
    return {"layers": [tar(*BASE)], "layer_extra": {"size": 12345}}


@case
def layer_size_negative():
    return {"layers": [tar(*BASE)], "layer_extra": {"size": -1}}


@case
def diff_id():
    return {"layers": [tar(*BASE)], "diff_ids": ["sha256:" + "0" * 64]}


@case
def diff_ids_count():
    return {"layers": [tar(*BASE), tar(entry(b"x"))], "diff_ids": 1}


@case
def digest_traversal():
    return {"layers": [tar(*BASE)], "layer_extra": {"digest": "sha256:../../../../etc/passwd"}}


@case
def media_type_confusion():
    """CVE-2021-41190: an index that is a manifest, too."""
    return {"layers": [tar(*BASE)], "manifest_extra": {"manifests": []}}


@case
def media_type_lies():
    return {"layers": [tar(*BASE)], "manifest_extra": {"mediaType": "application/vnd.oci.image.index.v1+json"}}


@case
def duplicate_keys():
    return {"layers": [tar(*BASE)], "manifest_text": lambda text: text[:-1] + b',"layers":[]}'}


@case
def deep_json():
    return {"layers": [tar(*BASE)], "manifest_text": lambda text: b"[" * 100_000}


@case
def index_nested():
    return {"layers": [tar(*BASE)], "indices": 3}


@case
def index_recursion():
    return {"layers": [tar(*BASE)], "indices": 30}


@case
def artifact():
    return {"layers": [tar(*BASE)], "config_type": "application/vnd.oci.empty.v1+json"}
