"""A second Docker engine on this machine, as good as on another one: its own network, host name and images."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

from engines.engine_case import ask_docker

HERE, THERE = "192.168.249.1", "192.168.249.2"  # of a pair of virtual network cards
NAME = "drctl-second"
_START_S = 60.0


class SecondMachine:
    """The engine, and how it loses its power and gets it back.

    Args:
        folder: For its images, containers and socket.
    """

    def __init__(self, folder):
        self._folder = folder
        self._daemon = None

    def connect(self):
        """Make its network, with one wire to this machine."""
        _run("ip", "netns", "add", NAME)
        _run("ip", "link", "add", "drctl-here", "type", "veth", "peer", "name", "drctl-there", "netns", NAME)
        _run("ip", "addr", "add", f"{HERE}/30", "dev", "drctl-here")
        _run("ip", "link", "set", "drctl-here", "up")
        inside = ("ip", "netns", "exec", NAME, "ip")
        _run(*inside, "link", "set", "lo", "up")
        _run(*inside, "addr", "add", f"{THERE}/30", "dev", "drctl-there")
        _run(*inside, "link", "set", "drctl-there", "up")

    def start(self):
        """Start the engine and wait until it answers."""
        words = [
            "dockerd",
            f"--data-root={self._folder}/data",
            f"--exec-root={self._folder}/exec",
            f"--host=unix://{self._folder}/docker.sock",
            f"--pidfile={self._folder}/pid",
            "--bip=172.28.0.1/16",
        ]
        (self._folder / "pid").unlink(missing_ok=True)
        entry = ["nsenter", f"--net=/run/netns/{NAME}", "unshare", "--uts", "sh", "-c"]
        with (self._folder / "log").open("ab") as log:
            self._daemon = subprocess.Popen(
                [*entry, f'hostname {NAME}; exec "$@"', "sh", *words],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + _START_S
        while subprocess.run(self._docker("info"), capture_output=True, check=False).returncode:
            assert time.monotonic() < deadline, (self._folder / "log").read_text()[-2000:]
            time.sleep(0.2)

    def join(self, *images):
        """Give it images of this machine and make it a worker of this machine's swarm."""
        with subprocess.Popen(["docker", "save", *images], stdout=subprocess.PIPE) as saved:
            subprocess.run(self._docker("load"), stdin=saved.stdout, capture_output=True, check=True)
        token = ask_docker("swarm", "join-token", "--quiet", "worker").strip()
        _run(*self._docker("swarm", "join", f"--advertise-addr={THERE}", "--token", token, f"{HERE}:2377"))
        ask_docker("node", "update", "--label-add=Robomaker=true", self.node)

    @property
    def node(self):
        """Its id in the swarm."""
        return _run(*self._docker("info", "--format={{.Swarm.NodeID}}")).strip()

    def lose_power(self):
        """End the engine and what it runs, all at once and without a word."""
        names = _run(*self._docker("ps", "--quiet", "--no-trunc")).split()
        found = _run(*self._docker("inspect", "--format={{.State.Pid}}", *names)).split() if names else []
        containerd = (self._folder / "exec" / "containerd" / "containerd.pid").read_text()
        for process in (self._daemon.pid, int(containerd), *map(int, found)):
            os.kill(process, signal.SIGKILL)
        self._daemon.wait()

    def leave(self):
        """Leave the swarm, while there is somebody to say it to."""
        subprocess.run(self._docker("swarm", "leave", "--force"), capture_output=True, check=False)

    def remove(self):
        """End the engine and take everything away."""
        if self._daemon is not None and self._daemon.poll() is None:
            self._daemon.terminate()
            self._daemon.wait(timeout=60)
        subprocess.run(["ip", "netns", "delete", NAME], capture_output=True, check=False)
        subprocess.run(["ip", "link", "delete", "drctl-here"], capture_output=True, check=False)
        for place in sorted(_mounts_below(self._folder), reverse=True):
            subprocess.run(["umount", "--lazy", place], capture_output=True, check=False)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _docker(self, *words):
        return ["docker", f"--host=unix://{self._folder}/docker.sock", *words]


def _mounts_below(folder):
    return [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines() if f" {folder}/" in line]


def _run(*argv):
    return subprocess.run(argv, capture_output=True, text=True, timeout=120, check=True).stdout
