# SPDX-License-Identifier: GPL-2.0-or-later
"""peers.py: command lines for other people's programs that do the same, or why one of them does not work for this user.

bench.py's part. Every method gives a command and no reason, or no command and the reason.
"""
import json
import re
import shutil


class Peers:
    """Where things are: filled in by bench.py."""

    def __init__(self, user, scratch, root):
        self.user, self.scratch, self.root = user, scratch, root

    def oci(self, tool, verb, *command):
        """crun or runc, rootless: `run` or `run -d` of a command in a bundle of its own."""
        bundle = self.scratch / (tool + verb.replace(" ", ""))
        if not shutil.which(tool):
            return None, "not installed"
        self.user(["mkdir", "-p", bundle])
        made = self.user([tool, "spec", "--rootless"], cwd=bundle)
        if made.returncode:
            return None, made.stderr.strip()[-120:]
        spec = json.loads((bundle / "config.json").read_text())
        spec["process"].update(terminal=False, args=list(command))
        spec["root"] = {"path": str(self.root), "readonly": False}
        # No delegated control group on many hosts, and none in the other contenders.
        spec["mounts"] = [mount for mount in spec["mounts"] if mount["type"] != "cgroup"]
        spec["linux"].pop("resources", None)
        self.user(["sh", "-c", f"cat > {bundle}/config.json"], input=json.dumps(spec))
        return f"{self.oci_tool(tool)} {verb} -b {bundle} bench", None

    def oci_tool(self, tool):
        options = {"crun": "--cgroup-manager=disabled", "runc": ""}[tool]
        return " ".join(f"{tool} {options} --root {self.scratch}/{tool}-state".split())

    def podman_tool(self):
        return f"podman --root {self.scratch}/podman --runroot {self.scratch}/podman-run --cgroup-manager=cgroupfs"

    def podman(self):
        """podman run with a published port."""
        if not shutil.which("podman"):
            return None, "not installed"
        # slirp4netns is what every version knows; its failure is the one worth showing.
        for network in ("pasta", "slirp4netns"):
            run = (f"{self.podman_tool()} run --rm --network={network} -p 127.0.0.1:29999:80 --rootfs {self.root} /bin/true")
            tried = self.user(run.split(), cwd=self.scratch)
            if tried.returncode == 0:
                return run, None
        return None, self.podman_reason(tried)

    @staticmethod
    def podman_reason(tried):
        reason = (tried.stderr.strip().splitlines() or ["?"])[-1]
        return re.sub(r".*msg=", "", reason)[:110]

    # ---- containers that stay, for exec ------------------------------------------------------------------------------

    def oci_exec(self, tool, *sleeper):
        """exec in a container of crun or runc."""
        command, reason = self.oci(tool, "run -d", *sleeper)
        if not command:
            return None, reason
        # Its streams are the container's as well: a pipe would never end.
        started = self.user(["sh", "-c", f"{command} </dev/null >/dev/null 2>{self.scratch}/{tool}.err"], cwd=self.scratch)
        if started.returncode:
            return None, ((self.scratch / f"{tool}.err").read_text().strip().splitlines() or ["?"])[-1][:110]
        return f"{self.oci_tool(tool)} exec bench", None

    def podman_exec(self, *sleeper):
        if not shutil.which("podman"):
            return None, "not installed"
        for runtime in ("crun", "runc"):  # the one may know this host's cgroups, the other not
            tool = f"{self.podman_tool()} --runtime {runtime}"
            self.user(f"{tool} rm -f -t 0 bench".split(), cwd=self.scratch)
            tried = self.user([*f"{tool} run -d --name bench --network=none --rootfs {self.root}".split(), *sleeper],
                              cwd=self.scratch)
            if tried.returncode == 0:
                return f"{tool} exec bench", None
        return None, self.podman_reason(tried)

    def end(self):
        """Remove what stayed."""
        for tool in ("crun", "runc"):
            if (self.scratch / f"{tool}-state").exists():
                self.user([*self.oci_tool(tool).split(), "delete", "--force", "bench"], cwd=self.scratch)
        if (self.scratch / "podman").exists():
            self.user([*self.podman_tool().split(), "rm", "-f", "-t", "0", "bench"], cwd=self.scratch)
