# SPDX-License-Identifier: GPL-2.0-or-later
"""unpack.py: what it costs to unpack and verify an image: ours, the peers, and GNU tar of the plain layer.

The layer is made of this machine's own programs and libraries, some three hundred megabytes in thousands of files, as
one gzip layer of an OCI layout. Contenders take turns; each figure is the median of its rounds. Trees are removed at the
end.
"""
import gzip
import hashlib
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import time

TREES = ("/usr/bin", "/usr/include", "/usr/lib", "/usr/share")
OCI = "application/vnd.oci.image."

# Runs a command, prints its seconds and the most memory it had, in KiB.
CLOCK = """
import os, sys, time
begin = time.monotonic()
pid = os.fork()
if pid == 0:
    null = os.open("/dev/null", os.O_WRONLY)
    os.dup2(null, 1)
    os.execvp(sys.argv[1], sys.argv[1:])
_, status, usage = os.wait4(pid, 0)
print(time.monotonic() - begin, usage.ru_maxrss)
sys.exit(os.waitstatus_to_exitcode(status) != 0)
"""


def choose_files(limit):
    """Paths of regular files and links anybody may read, up to a sum of sizes: of everything there is, a mixture that
    does not depend on what was installed first."""
    found = {}
    for tree in TREES:
        for directory, _, files in os.walk(tree):
            for name in files:
                path = os.path.join(directory, name)
                status = os.lstat(path)
                if "\n" not in path and status.st_mode & 0o004 and status.st_size < 4 << 20:
                    found[path] = status.st_size
    paths, total = [], 0
    for path in sorted(found, key=lambda path: hashlib.sha1(path.encode(errors="surrogateescape")).digest()):
        if total >= limit:
            break
        paths.append(path)
        total += found[path]
    return sorted(paths)


def digest_of(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def make_layout(path, layer, packed):
    blobs = path / "blobs/sha256"
    blobs.mkdir(parents=True)

    def blob(data, kind):
        (blobs / digest_of(data)[7:]).write_bytes(data)
        return {"mediaType": OCI + kind, "digest": digest_of(data), "size": len(data)}

    config = {"architecture": "amd64", "os": "linux", "config": {}, "rootfs": {"type": "layers",
                                                                               "diff_ids": [digest_of(layer)]}}
    manifest = {"schemaVersion": 2, "config": blob(json.dumps(config).encode(), "config.v1+json"),
                "layers": [blob(packed, "layer.v1.tar+gzip")]}
    top = {**blob(json.dumps(manifest).encode(), "manifest.v1+json"),
           "annotations": {"org.opencontainers.image.ref.name": "t"}}
    (path / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    (path / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [top]}))


def prepare(scratch, limit):
    """layer.tar, layer.tar.gz and the layout below scratch. Return: bytes and files of the layer."""
    scratch.mkdir(parents=True)
    paths = choose_files(limit)
    (scratch / "list").write_text("\n".join(path[1:] for path in paths))
    tar = scratch / "layer.tar"
    subprocess.run(["tar", "-C", "/", "--owner=0", "--group=0", "--no-recursion", "-T", scratch / "list", "-cf", tar],
                   check=True, stderr=subprocess.DEVNULL)
    layer = tar.read_bytes()
    packed = gzip.compress(layer, 6, mtime=0)
    (scratch / "layer.tar.gz").write_bytes(packed)
    make_layout(scratch / "image", layer, packed)
    return len(layer), len(paths)


def measure(as_user, tool, scratch, rounds):
    """Return: contender -> (seconds, KiB), medians; those that fail have none."""
    image, out = scratch / "image", scratch / "out"
    contenders = {
        "tar": ["tar", "-C", out, "-xf", scratch / "layer.tar"],
        "tar -z": ["tar", "-C", out, "-xzf", scratch / "layer.tar.gz"],
        "gzip": ["gzip", "-dc", scratch / "layer.tar.gz"],
        "azm-rootfs": [tool, "unpack", "-q", image, out / "x"],
    }
    if shutil.which("umoci"):
        contenders["umoci"] = ["umoci", "raw", "unpack", "--rootless", "--image", f"{image}:t", out / "x"]
    # As one id without sub-ids has to: all files are its own. It names an image by its path, which has no capitals then.
    if shutil.which("podman"):
        contenders["podman load"] = ["podman", "--root", out / "root", "--runroot", out / "run", "--storage-driver", "vfs",
                                     "--storage-opt", "vfs.ignore_chown_errors=true", "load", "-q", "-i", image.name]
    if shutil.which("ch-convert"):
        contenders["charliecloud"] = ["ch-convert", "-i", "tar", "-o", "dir", scratch / "layer.tar.gz", out / "x"]
    results = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, command in contenders.items():
            subprocess.run(as_user + ["mkdir", str(out)], check=True)
            done = subprocess.run(as_user + ["python3", "-c", CLOCK] + [str(word) for word in command], text=True,
                                  capture_output=True, check=False, cwd=scratch)
            if done.returncode == 0:
                seconds, kib = done.stdout.split()[-2:]
                results[name].append((float(seconds), int(kib)))
            # Removing comes last: ext4 does not use inodes again that were freed in the last half minute, and searches
            # past them for every file that is made.
            subprocess.run(as_user + ["mv", str(out), f"{out}-{len(list(scratch.iterdir()))}"], check=True)
            os.sync()
            time.sleep(0.2)
    return {name: tuple(statistics.median(column) for column in zip(*figures))
            for name, figures in results.items() if figures}


def bench(as_user, build, scratch, quick):
    scratch = pathlib.Path(scratch) / "unpack"
    size, files = prepare(scratch, (60 if quick else 300) << 20)
    if os.getuid() == 0:
        subprocess.run(["chmod", "-R", "a+rwX", scratch], check=True)
    try:
        return size, files, measure(as_user, build / "azm-rootfs", scratch, 3 if quick else 5)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
