#!/usr/bin/env python3
"""uwsgi, FastCGI and SCGI straight on a Unix socket: this server beside uWSGI and a bare loop, hello world, 64 requests at a time.

    benches/gateways.py [--rounds 3] [--seconds 3] [--only uwsgi]

What is printed are medians over interleaved rounds. `fastcgi-keep` keeps its connections (KEEP_CONN) and is set beside this server's own
HTTP keep-alive figure.
"""

import argparse
import json
import os
import statistics
import subprocess
import tempfile
from pathlib import Path

import lab
from lab import Failed, say

UWSGI = "uwsgi==2.0.31"
CONNECTIONS = 64


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3, help="how often each server is measured (3)")
    parser.add_argument("--seconds", type=int, default=3, help="how long each time (3)")
    parser.add_argument("--only", choices=["uwsgi", "scgi", "fastcgi", "fastcgi-keep"], help="one protocol")
    options = parser.parse_args()
    lab.build("serve", "bare_gateway", "gateway_load")
    missing = lab.install([UWSGI])
    lab.pin_to_load_core()
    where = lab.machine()
    print(f"{lab.describe(where)}\n", flush=True)
    if missing:
        print(f"Missing: {missing}\n")
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        cases = [case for case in CASES if options.only in (None, case[0]) and not (missing and case[1].startswith("uWSGI"))]
        for number in range(options.rounds):
            for protocol, name, command in cases[number % len(cases) :] + cases[: number % len(cases)]:
                rows = results.setdefault((protocol, name), [])
                try:
                    rows.append(measure(protocol, command, Path(folder), options.seconds))
                    say(f"round {number + 1}: {protocol} {name}: {rows[-1]}")
                except Failed as error:
                    say(f"round {number + 1}: {protocol} {name} failed: {error}")
    print(report(results))
    lab.save("gateways", {"machine": where, "results": {f"{protocol} {name}": rows for (protocol, name), rows in results.items()}})


def ours(option, threads):
    return lambda path: [lab.binary("serve"), option, path, "-w", "hello:application", "--threads", threads, "--chdir", lab.APPS, "--home", lab.VENV]


def uwsgi(option, threads):
    common = ["--module", "hello:application", "--virtualenv", lab.VENV, "--processes", 1, "--enable-threads", "--threads", threads]
    return lambda path: [lab.VENV / "bin" / "uwsgi", option, path, *common, "--listen", 1024, "--disable-logging", "--die-on-term", "--need-app"]


def bare(path):
    return [lab.binary("bare_gateway"), path]


# Protocol of the load, the server's name, and its command for the path of a socket.
CASES = [
    ("uwsgi", "bare loop", bare),
    ("uwsgi", "uWSGI", uwsgi("--socket", 1)),
    ("uwsgi", "serve", ours("--uwsgi-socket", 1)),
    ("uwsgi", "uWSGI, 4 threads", uwsgi("--socket", 4)),
    ("uwsgi", "serve, 4 threads", ours("--uwsgi-socket", 4)),
    ("scgi", "uWSGI", uwsgi("--scgi-socket", 1)),
    ("scgi", "serve", ours("--scgi-socket", 1)),
    ("fastcgi", "uWSGI", uwsgi("--fastcgi-socket", 1)),
    ("fastcgi", "serve", ours("--fastcgi-socket", 1)),
    ("fastcgi-keep", "serve", ours("--fastcgi-socket", 1)),
    ("http-keep", "serve", ours("--http", 1)),
]


def measure(protocol, command, folder, seconds):
    """Gives requests per second and CPU µs per request, once."""
    if protocol == "http-keep":
        path = lab.free_port()
        command = command(f"127.0.0.1:{path}")
    else:
        path = folder / "socket"
        path.unlink(missing_ok=True)
        command = command(path)
    with lab.Server(command, path) as server:
        load(protocol, path, 1)
        before = server.cpu()
        requests = load(protocol, path, seconds)
        cpu = server.cpu() - before
    return {"rate": requests / seconds, "cpu_us": cpu / requests * 1e6}


def load(protocol, path, seconds):
    if protocol == "http-keep":
        return lab.wrk(path, seconds, CONNECTIONS)["requests"]
    command = ["taskset", "-c", str(lab.LOAD_CORE), lab.binary("gateway_load"), path, protocol, CONNECTIONS, seconds]
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if done.returncode != 0:
        raise Failed(lab.last_line(done.stderr))
    result = json.loads(done.stdout)
    if result["errors"] or not result["requests"]:
        raise Failed(f"{result['errors']} replies were not whole, of {result['requests'] + result['errors']}")
    return result["requests"]


def report(results):
    medians = {key: statistics.median(row["cpu_us"] for row in rows) for key, rows in results.items() if rows}
    rows = []
    for (protocol, name), measured in results.items():
        if not measured:
            rows.append([f"{protocol}: {name}", "–", "failed", "–", "–"])
            continue
        cost = medians[protocol, name]
        costs = [row["cpu_us"] for row in measured]
        floor, peer = medians.get((protocol, "bare loop")), medians.get((protocol, "uWSGI"))
        ratios = [f"{cost / other:.2f}" if other else "–" for other in (floor, peer)]
        rate = statistics.median(row["rate"] for row in measured)
        rows.append([f"{protocol}: {name}", f"{rate:,.0f}", f"{cost:.2f}", f"{min(costs):.2f}–{max(costs):.2f}", *ratios])
    return lab.table(["server", "requests/s", "CPU µs/request", "min–max", "× bare", "× uWSGI, 1 thread"], rows)


if __name__ == "__main__":
    os.chdir(lab.ROOT)
    main()
