#!/usr/bin/env python3
"""How long it takes from the start of a server to its first answer, with a hello application.

    benches/first.py [--times 20] [--only serve,gunicorn]

Beside the servers stands `python -c pass`, which is what Python alone takes to start and to end.
"""

import argparse
import contextlib
import os
import signal
import socket
import statistics
import subprocess
import sys
import time

import compare
import lab

PYTHON_ALONE = "python -c pass"
DEADLINE_SECONDS = 30


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, default=20, help="how often each is started (20)")
    peers = {peer.name: peer for peer in compare.PEERS}
    everyone = [*compare.BUILT, *peers]
    default = [compare.FLOOR, compare.OURS, "gunicorn", "waitress"]
    parser.add_argument("--only", metavar="NAMES", type=compare.names(everyone), default=default, help=f"by comma: {', '.join(everyone)}")
    options = parser.parse_args()
    lab.build(*(name for name in compare.BUILT if name in options.only))
    chosen = {name: peer for name, peer in peers.items() if name in options.only}
    missing = compare.install(chosen.values())
    chosen = {name: peer for name, peer in chosen.items() if name not in missing}
    lab.pin_to_load_core()
    where = lab.machine()
    print(f"{lab.describe(where)}\n\n`benches/first.py {' '.join(sys.argv[1:])}`\n")
    hello = compare.WORKLOADS[0]
    commands = compare.servers(hello, chosen, argparse.Namespace(only=options.only, threads=1, against=None))
    times = {name: [] for name in [PYTHON_ALONE, *commands]}
    for _ in range(options.times):
        times[PYTHON_ALONE].append(alone())
        for name, command in commands.items():
            times[name].append(first_answer(command))
    rows = [
        [name, f"{statistics.median(taken) * 1000:.1f}", f"{min(taken) * 1000:.1f}", f"{max(taken) * 1000:.1f}"] for name, taken in times.items()
    ]
    print(lab.table([f"of {options.times} starts", "median ms", "least ms", "most ms"], rows))
    lab.save("first", {"machine": where, "missing": missing, "seconds": times})


def spawn(command):
    return subprocess.Popen(
        ["taskset", "-c", str(lab.SERVER_CORE), *map(str, command)],
        cwd=lab.APPS,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def alone():
    begin = time.perf_counter()
    spawn([lab.PYTHON, "-c", "pass"]).wait()
    return time.perf_counter() - begin


def first_answer(command):
    """Starts a server, asks until it answers, and ends it. Gives the seconds."""
    port = lab.free_port()
    begin = time.perf_counter()
    process = spawn(command(port))
    try:
        while not (answer := ask(port)):
            if process.poll() is not None:
                sys.exit(f"{command(port)[0]} ended with code {process.returncode} before it answered")
            if time.perf_counter() - begin > DEADLINE_SECONDS:
                sys.exit(f"{command(port)[0]} did not answer in {DEADLINE_SECONDS} s")
            # Short beside what is measured; without it, asking would be all that the kernel does.
            time.sleep(0.0002)
        taken = time.perf_counter() - begin
        if not answer.startswith(b"HTTP/1.1 200 "):
            sys.exit(f"{command(port)[0]} answered {answer[:40]!r}, expected 200")
        return taken
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def ask(port):
    """What comes as the answer; nothing while nobody listens."""
    with contextlib.suppress(ConnectionError), socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_SECONDS) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        return client.recv(4096)
    return b""


if __name__ == "__main__":
    main()
