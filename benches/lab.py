"""What the scripts of this folder share: the environment with the peers, servers as pinned processes, and what the kernel says of them.

Servers run on core 0, clients and load generators on core 1, so that neither takes time from the other.
"""

import contextlib
import json
import os
import platform
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BENCHES = ROOT / "benches"
APPS = BENCHES / "apps"
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve()
LAB = TARGET / "bench"
VENV = LAB / "venv"
PYTHON = VENV / "bin" / "python"

PACKAGES = {"serve": "wsgi-examples"}

SERVER_CORE = 0
LOAD_CORE = 1
ALL_CORES = "0-1"


class Failed(Exception):
    """A server that did not start or does not answer as it should, with the reason."""


def say(text):
    """Progress goes to stderr; stdout holds results alone."""
    print(text, file=sys.stderr, flush=True)


# The programs under test.


def build(*names):
    """Builds programs of this workspace for speed: this server (`serve`), the bare loop (`bare`), the engine alone (`engine`)."""
    for name in names:
        command = ["cargo", "build", "--quiet", "--release", "--package", PACKAGES.get(name, "wsgi-benches"), "--bin", name]
        if subprocess.run(command, cwd=ROOT).returncode != 0:
            sys.exit(f"cannot build {name}: {' '.join(command)}")


def binary(name):
    return TARGET / "release" / name


def make_venv():
    """The environment with the peers; made with the Python that `serve` runs, so that no server has a faster one than another."""
    if not PYTHON.exists():
        python = shutil.which("python3.11") or sys.executable
        say(f"making {VENV} with {python}")
        subprocess.run([python, "-m", "venv", VENV], check=True)


def install(packages):
    """Installs pinned packages. Gives the reasons of those that cannot be, by package."""
    make_venv()
    have = subprocess.run([PYTHON, "-m", "pip", "freeze"], capture_output=True, text=True, check=True).stdout.lower().split()
    missing = {}
    for package in packages:
        if package.lower() in have:
            continue
        say(f"installing {package}")
        pip = [PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", package]
        done = subprocess.run(pip, capture_output=True, text=True)
        if done.returncode != 0:
            missing[package] = last_line(done.stderr)
    return missing


def serve_command(port, module, threads=1, *more, program=None):
    """This server's command line."""
    options = ["--http", f"127.0.0.1:{port}", "-w", f"{module}:application", "--threads", str(threads)]
    return [str(program or binary("serve")), *options, "--chdir", str(APPS), "--home", str(VENV), *map(str, more)]


# A server as a process.


class Server:
    """A process tree on the server core that accepts connections at `port`, or at the path of a Unix socket. Use it with `with`."""

    def __init__(self, command, port, environment=(), cores=SERVER_CORE):
        LAB.mkdir(parents=True, exist_ok=True)
        self.port = port
        self.log = LAB / "server.log"
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                ["taskset", "-c", str(cores), *map(str, command)],
                cwd=APPS,
                env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **dict(environment)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def __enter__(self):
        try:
            self.wait_until_it_listens()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_):
        self.stop()

    def wait_until_it_listens(self, seconds=30):
        deadline = time.monotonic() + seconds
        while True:
            with contextlib.suppress(OSError):
                connect(self.port).close()
                return
            if self.process.poll() is not None:
                raise Failed(f"ended with code {self.process.returncode}: {last_line(self.output())}")
            if time.monotonic() > deadline:
                raise Failed(f"does not listen after {seconds} s: {last_line(self.output())}")
            time.sleep(0.02)

    def output(self):
        return self.log.read_text(errors="replace")

    def stop(self):
        """Ends the whole tree, gently at first."""
        group = self.process.pid
        for number, seconds in [(signal.SIGTERM, 5), (signal.SIGKILL, 5)]:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(group, number)
            deadline = time.monotonic() + seconds
            while time.monotonic() < deadline:
                self.process.poll()
                if not group_exists(group):
                    return
                time.sleep(0.01)

    def pids(self):
        """The process and all that descend from it."""
        parents = {}
        for entry in os.listdir("/proc"):
            if entry.isdigit() and (fields := stat_fields(entry)):
                parents.setdefault(int(fields[1]), []).append(int(entry))
        found = [self.process.pid]
        for pid in found:
            found.extend(parents.get(pid, []))
        return found

    def cpu(self):
        """Seconds of processor time that the tree has used, in user and in kernel mode. Exact to a tick (10 ms) per process."""
        ticks = 0
        for pid in self.pids():
            if fields := stat_fields(pid):
                ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def memory(self, what="VmHWM"):
        """Bytes of `VmHWM` (the peak of resident memory) or `VmRSS`, summed over the tree. Pages that processes share count in each."""
        total = 0
        for pid in self.pids():
            with contextlib.suppress(FileNotFoundError):
                for line in Path(f"/proc/{pid}/status").read_text().splitlines():
                    if line.startswith(what + ":"):
                        total += int(line.split()[1]) * 1024
        return total


def stat_fields(pid):
    """The fields of /proc/PID/stat after the name, which may hold spaces: state, parent, ...; None if the process has gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None


def group_exists(group):
    try:
        os.killpg(group, 0)
        return True
    except ProcessLookupError:
        return False


def machine_cpu():
    """Seconds of processor time that everything on this machine has used."""
    fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    # user, nice, system, idle, iowait, irq, softirq, steal
    used = sum(int(field) for at, field in enumerate(fields[:8]) if at not in (3, 4))
    return used / os.sysconf("SC_CLK_TCK")


def children_cpu():
    """The same for the children of this process that have ended, such as the load generator."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def connect(address):
    """Connects to a port of this machine, or to the path of a Unix socket."""
    if isinstance(address, int):
        return socket.create_connection(("127.0.0.1", address), timeout=1)
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(1)
    connection.connect(str(address))
    return connection


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


# The client's side.


def pin_to_load_core():
    os.sched_setaffinity(0, {LOAD_CORE})


def wrk(port, seconds, connections=64, path="/", headers=(), post=None, cores=LOAD_CORE, nice=0):
    """Runs the load generator; gives what load.lua prints."""
    command = ["taskset", "-c", str(cores), "nice", "-n", str(nice), "wrk", "--threads", "1", "--connections", str(connections), "--duration", f"{seconds}s"]
    command += ["--timeout", "10s", "--script", str(BENCHES / "load.lua")]
    for header in headers:
        command += ["--header", header]
    command += [f"http://127.0.0.1:{port}{path}"]
    if post is not None:
        command += ["--", str(post)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise Failed(f"wrk: {last_line(done.stdout + done.stderr)}")
    return json.loads(last_line(done.stdout))


# What stands beside the figures.


def machine():
    """Where and on what the figures were made."""
    model = [line.partition(":")[2].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")]
    head = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True).stdout.strip()
    changed = subprocess.run(["git", "status", "--porcelain"], cwd=ROOT, capture_output=True, text=True).stdout.strip()
    python = subprocess.run([PYTHON, "--version"], capture_output=True, text=True).stdout.strip() if PYTHON.exists() else None
    return {
        "date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "cpu": model[0] if model else platform.processor(),
        "cores": os.cpu_count(),
        "memory_mib": os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2**20,
        "kernel": platform.release(),
        "python": python,
        "commit": head + (" with changes" if changed else ""),
        "load_average": os.getloadavg()[0],
    }


def describe(machine):
    """The machine in a line of text, for beside a table."""
    return (
        f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_mib']} MiB, Linux {machine['kernel']}, {machine['python']}, "
        f"commit {machine['commit']}, {machine['date']}, load average {machine['load_average']:.1f} at the start"
    )


def save(name, result):
    """Writes a result beside the others under `target/bench`."""
    LAB.mkdir(parents=True, exist_ok=True)
    path = LAB / f"{name}.json"
    path.write_text(json.dumps(result, indent=2) + "\n")
    say(f"written: {path}")


def table(columns, rows):
    """A markdown table; the first column is text, the others are figures."""
    cells = [columns, *rows]
    widths = [max(len(str(row[at])) for row in cells) for at in range(len(columns))]
    lines = ["| " + " | ".join(str(cell).ljust(width) for cell, width in zip(row, widths)) + " |" for row in cells]
    rule = "|" + "|".join("-" * (width + 1) + ("-" if at == 0 else ":") for at, width in enumerate(widths)) + "|"
    return "\n".join([lines[0], rule, *lines[1:]])


def last_line(text):
    lines = [line for line in text.strip().splitlines() if line.strip()]
    return lines[-1].strip() if lines else "(nothing was printed)"
