#!/usr/bin/env python3
"""What production costs and gives: what a second process is worth, and what each thing that watches or limits requests costs.

    benches/production.py [--only processes,options] [--rounds 5] [--seconds 3]

Both parts interleave their rounds as `compare.py` does.
"""

import argparse
import contextlib
import http.client
import os
import statistics
import subprocess
import sys
import time

import compare
import lab
from lab import Failed, say

PARTS = ["processes", "options"]
# The load generator has the lowest priority, so that the processes that are measured have both cores.
NICE = 19
# Two plain Python processes that do the application's work and nothing else: more than that the machine does not give.
ALONE = (
    "import sys, time, spin1\n"
    "end, times = time.monotonic() + float(sys.argv[1]), 0\n"
    "while time.monotonic() < end:\n"
    "    spin1.spin(); times += 1\n"
    "print(times)"
)

FLOOR = "two plain loops"
PROCESSES = {
    "1 process": ["--processes", 1, "--master"],
    "2 processes": ["--processes", 2],
    "2 processes of 4 threads": ["--processes", 2, "--threads", 4],
}

LOG = lab.LAB / "requests.log"
BARE = "nothing"
OPTIONS = {
    BARE: [],
    "master": ["--master"],
    "stats": ["--stats", "127.0.0.1:{stats}"],
    "access log": ["--access-log", LOG],
    "access log, JSON": ["--access-log", LOG, "--log-format", "json"],
    "harakiri": ["--harakiri", 30],
    "forwarded": ["--forwarded-allow-ips", "127.0.0.1"],
    "static map": ["--static-map", f"/static={lab.APPS}"],
    "all of it": ["--master", "--stats", "127.0.0.1:{stats}", "--access-log", LOG, "--harakiri", 30]
    + ["--forwarded-allow-ips", "127.0.0.1", "--static-map", f"/static={lab.APPS}"],
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", metavar="PARTS", type=compare.names(PARTS), help=f"by comma: {', '.join(PARTS)}")
    parser.add_argument("--rounds", type=int, default=5, help="how often each is measured (5)")
    parser.add_argument("--seconds", type=int, default=3, help="how long each time (3)")
    options = parser.parse_args()
    lab.build(compare.OURS)
    lab.make_venv()
    where = lab.machine()
    print(f"{lab.describe(where)}\n\n`benches/production.py {' '.join(sys.argv[1:])}`".rstrip(), flush=True)
    results = {}
    if compare.wanted(options.only, "processes"):
        results["processes"] = processes(options.rounds, options.seconds)
    if compare.wanted(options.only, "options"):
        lab.pin_to_load_core()
        results["options"] = switches(options.rounds, options.seconds)
    lab.save("production", {"machine": where, "arguments": sys.argv[1:], **results})


def interleaved(names, rounds, measure):
    """Asks `measure` for a figure of each name, `rounds` times, beginning with another one each time."""
    found = {name: [] for name in names}
    for number in range(rounds):
        at = number % len(names)
        for name in names[at:] + names[:at]:
            found[name].append(measure(name))
            say(f"round {number + 1}: {name}: {found[name][-1]:.2f}")
    return found


def processes(rounds, seconds):
    """Requests/s of an application that computes for a millisecond, with one process and with two, on both cores."""

    def measure(name):
        return plain_loops(2, seconds) if name == FLOOR else served(PROCESSES[name], seconds)

    one = "one plain loop"
    found = interleaved([*PROCESSES, FLOOR], rounds, measure)
    found[one] = [plain_loops(1, seconds) for _ in range(rounds)]
    medians = {name: statistics.median(rates) for name, rates in found.items()}
    base = {name: medians["1 process"] for name in PROCESSES} | {FLOOR: medians[one], one: medians[one]}
    rows = [
        [name, f"{medians[name]:,.0f}", f"{min(rates):,.0f}–{max(rates):,.0f}", f"{medians[name] / base[name]:.2f}"]
        for name, rates in found.items()
    ]
    print(f"\n### an application that computes for a millisecond\n\n{lab.table(['', 'requests/s', 'min–max', '× one'], rows)}", flush=True)
    return found


def plain_loops(count, seconds):
    running = [
        subprocess.Popen([lab.PYTHON, "-c", ALONE, str(seconds)], cwd=lab.APPS, stdout=subprocess.PIPE, text=True) for _ in range(count)
    ]
    return sum(int(process.communicate()[0]) for process in running) / seconds


def served(more, seconds):
    port = lab.free_port()
    with lab.Server(lab.serve_command(port, "spin1", 1, *more), port, cores=lab.ALL_CORES):
        answers(port)
        load = lambda seconds: lab.wrk(port, seconds, compare.CONNECTIONS, cores=lab.ALL_CORES, nice=NICE)
        load(compare.WARM_UP_SECONDS)
        done = load(seconds)
    if errors := sum(done[kind] for kind in compare.ERRORS):
        raise Failed(f"{errors} requests failed")
    return done["requests"] / done["microseconds"] * 1e6


def switches(rounds, seconds):
    """CPU µs per request of a hello application, with one thing more switched on than nothing, and with all."""
    found = interleaved(list(OPTIONS), rounds, lambda name: cost(OPTIONS[name], seconds))
    medians = {name: statistics.median(costs) for name, costs in found.items()}
    rows = []
    for name, costs in found.items():
        median = medians[name]
        rows.append([name, f"{median:.2f}", f"{min(costs):.2f}–{max(costs):.2f}", f"{median - medians[BARE]:+.2f}", f"{median / medians[BARE]:.2f}"])
    columns = ["beside hello, keep-alive, 1 thread", "CPU µs/request", "min–max", "more", "× nothing"]
    print(f"\n### what is switched on\n\n{lab.table(columns, rows)}", flush=True)
    return found


def cost(more, seconds):
    port, stats = lab.free_port(), lab.free_port()
    more = [str(option).format(stats=stats) for option in more]
    with lab.Server(lab.serve_command(port, "hello", 1, *more), port) as server:
        answers(port)
        lab.wrk(port, compare.WARM_UP_SECONDS, compare.CONNECTIONS)
        before = server.cpu()
        done = lab.wrk(port, seconds, compare.CONNECTIONS)
        used = server.cpu() - before
    with contextlib.suppress(FileNotFoundError):
        os.remove(LOG)
    return used / done["requests"] * 1e6


def answers(port):
    """Workers import the application after the master has bound the port: one answer says that there is one."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", "/")
    if (status := connection.getresponse().status) != 200:
        raise Failed(f"answers {status}, expected 200")
    connection.close()
    # The second process may be a moment behind the first.
    time.sleep(0.5)


if __name__ == "__main__":
    os.chdir(lab.ROOT)
    main()
