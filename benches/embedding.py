#!/usr/bin/env python3
"""An application inside an axum program: what its route costs, and what it does to the routes that are in Rust.

    benches/embedding.py [--rounds 3] [--seconds 3] [--only cost|wait]

`cost`: processor time per request of hello world, 64 connections, the server pinned to one core: the route in Python and the one in Rust of an axum
program with a runtime of one thread (`embedded`), beside hyper that calls Python on its own thread (`inline`), and Granian.
`wait`: the latency of the route in Rust while nothing else is asked, and while 64 connections ask for a page that sleeps 10 ms, on 8 threads.

What is printed are medians over interleaved rounds.
"""

import argparse
import os
import statistics
import subprocess
import threading

import lab
from lab import Failed, say

GRANIAN = "granian==2.8.7"
CONNECTIONS = 64
# Few enough not to wait for each other: what is measured is how long the route in Rust waits for Python.
POLITE_CONNECTIONS = 4


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3, help="how often each server is measured (3)")
    parser.add_argument("--seconds", type=int, default=3, help="how long each time (3)")
    parser.add_argument("--only", choices=["cost", "wait"], help="one of the two")
    options = parser.parse_args()
    lab.build("embedded", "inline")
    missing = lab.install([GRANIAN])
    lab.pin_to_load_core()
    where = lab.machine()
    print(f"{lab.describe(where)}\n", flush=True)
    results = {"machine": where}
    if options.only != "wait":
        cases = [case for case in CASES if not (missing and case[0] == "Granian")]
        results["cost"] = costs = rounds(options.rounds, cases, lambda case: cost(case, options.seconds))
        print(report_costs(costs) + "\n", flush=True)
    if options.only != "cost":
        results["wait"] = waits = rounds(options.rounds, [("wait",)], lambda _: wait(options.seconds))["wait"]
        print(report_waits(waits), flush=True)
    lab.save("embedding", results)


def embedded(threads, module="hello"):
    return lambda port: [lab.binary("embedded"), f"127.0.0.1:{port}", module, threads]


def inline(port):
    return [lab.binary("inline"), f"127.0.0.1:{port}", "hello"]


def granian(port):
    options = ["--interface", "wsgi", "--port", port, "--http", "1", "--no-ws", "--workers", 1, "--blocking-threads", 1]
    return [lab.VENV / "bin" / "granian", *options, "hello:application"]


# A name, the command for a port, and the path that is asked for.
CASES = [
    ("inline", inline, "/"),
    ("embedded, in Rust", embedded(1), "/rust"),
    ("embedded, 1 thread", embedded(1), "/"),
    ("embedded, 4 threads", embedded(4), "/"),
    ("Granian", granian, "/"),
]


def rounds(count, cases, measure):
    """Measures each case in each round, beginning with another one each time."""
    results = {case[0]: [] for case in cases}
    for number in range(count):
        start = number % len(cases)
        for case in cases[start:] + cases[:start]:
            try:
                results[case[0]].append(measure(case))
                say(f"round {number + 1}: {case[0]}: {results[case[0]][-1]}")
            except Failed as error:
                say(f"round {number + 1}: {case[0]} failed: {error}")
    return results


def cost(case, seconds):
    """Requests per second and CPU µs per request, once."""
    _, command, path = case
    port = lab.free_port()
    with lab.Server(command(port), port) as server:
        answers(port, path)
        load(port, path, 1)
        before = server.cpu()
        result = load(port, path, seconds)
        cpu = server.cpu() - before
    return {"rate": result["requests"] / seconds, "cpu_us": cpu / result["requests"] * 1e6}


def wait(seconds):
    """p50 and p99 of the route in Rust in µs, with Python at rest and with Python busy."""
    port = lab.free_port()
    with lab.Server(embedded(8, "sleep10")(port), port):
        answers(port, "/rust")
        load(port, "/rust", 1, POLITE_CONNECTIONS)
        rest = load(port, "/rust", seconds, POLITE_CONNECTIONS)
        busy = {}
        sleepers = threading.Thread(target=lambda: busy.update(load(port, "/", seconds + 2)))
        sleepers.start()
        # Until all of them wait.
        threading.Event().wait(1)
        saturated = load(port, "/rust", seconds, POLITE_CONNECTIONS)
        sleepers.join()
    if not busy:
        raise Failed("the load on Python failed")
    picked = {f"{name}_{what}": result[what] for name, result in [("rest", rest), ("busy", saturated)] for what in ("p50", "p99")}
    return {**picked, "python_rate": busy["requests"] / (seconds + 2)}


def answers(port, path):
    """Each server must answer before anything is timed."""
    curl = ["curl", "--silent", "--fail", "--max-time", "5", f"http://127.0.0.1:{port}{path}"]
    done = subprocess.run(curl, capture_output=True, text=True)
    if done.returncode != 0 or not done.stdout:
        raise Failed(f"no answer to {path}: curl ended with {done.returncode}")


def load(port, path, seconds, connections=CONNECTIONS):
    result = lab.wrk(port, seconds, connections, path)
    wrong = {name: result[name] for name in ("non_2xx", "connect", "read", "write", "timeout") if result[name]}
    if wrong or not result["requests"]:
        raise Failed(f"{wrong or 'no requests'}")
    return result


def report_costs(results):
    medians = {name: statistics.median(row["cpu_us"] for row in rows) for name, rows in results.items() if rows}
    rows = []
    for name, measured in results.items():
        if not measured:
            rows.append([name, "–", "failed", "–", "–", "–"])
            continue
        costs = [row["cpu_us"] for row in measured]
        ratios = [f"{medians[name] / medians[other]:.2f}" if other in medians else "–" for other in ("inline", "Granian")]
        rate = statistics.median(row["rate"] for row in measured)
        rows.append([name, f"{rate:,.0f}", f"{medians[name]:.2f}", f"{min(costs):.2f}–{max(costs):.2f}", *ratios])
    return lab.table(["hello world", "requests/s", "CPU µs/request", "min–max", "× inline", "× Granian"], rows)


def report_waits(measured):
    if not measured:
        return "The route in Rust could not be measured."
    middle = {name: statistics.median(row[name] for row in measured) for name in measured[0]}
    rows = [[f"Python {name}", *(f"{middle[f'{key}_{what}']:,.0f}" for what in ("p50", "p99"))] for name, key in [("at rest", "rest"), ("busy", "busy")]]
    table = lab.table(["route in Rust", "p50 µs", "p99 µs"], rows)
    ratio = middle["busy_p99"] / middle["rest_p99"]
    return f"{table}\n\np99 busy by p99 at rest: {ratio:.2f}. Python meanwhile: {middle['python_rate']:,.0f} requests/s of 800 that are possible."


if __name__ == "__main__":
    os.chdir(lab.ROOT)
    main()
