#!/usr/bin/env python3
"""Side by side: this server, the bare loop and other WSGI servers, on one machine, in one run.

    benches/compare.py [--only serve,bjoern] [--workloads hello,django] [--rounds 3] [--seconds 3] [--threads 1]

Every round starts each server anew, checks its answers, warms it up, loads it and stops it; rounds begin with another server each, and
what is printed are medians over the rounds. See README.md beside this file for how to read the figures.
"""

import argparse
import http.client
import os
import statistics
import sys
import time
from dataclasses import dataclass, field

import lab
from lab import Failed, say


@dataclass(frozen=True)
class Peer:
    """Another server. In `command`, `{bin}` is the environment's folder of programs; `{port}`, `{module}` and `{threads}` fill themselves."""

    name: str
    package: str
    command: list
    # Whether it has threads for the application. One without is left out of workloads that want several.
    threaded: bool = True
    # What a failed installation probably lacks.
    needs: str = ""


# One process, one application thread, no access log, Nagle's algorithm off (as most have it: on, it holds small blocks back and so saves
# packets); beyond that each server's defaults, save where the comment says why.
PEERS = [
    # The listener's TCP_NODELAY passes to the connections.
    Peer(
        "bjoern",
        "bjoern==3.2.2",
        [
            "{bin}/python",
            "-c",
            "import bjoern, {module} as m; bjoern.listen(m.application, '127.0.0.1', {port}).setsockopt(6, 1, 1); bjoern.run()",
        ],
        threaded=False,
        needs="apt-get install libev-dev",
    ),
    Peer(
        "fastwsgi",
        "fastwsgi==0.0.9",
        [
            "{bin}/python",
            "-c",
            "import fastwsgi, {module} as m; fastwsgi.server.tcp_nodelay = 1; fastwsgi.run(m.application, '127.0.0.1', {port}, loglevel=0)",
        ],
        threaded=False,
    ),
    Peer(
        "granian",
        "granian==2.8.7",
        ["{bin}/granian", "--interface", "wsgi", "--port", "{port}", "--http", "1", "--no-ws"]
        + ["--workers", "1", "--runtime-threads", "1", "--blocking-threads", "{threads}", "--no-log", "{module}:application"],
    ),
    # `--http-socket` has no keep-alive: without the header, clients would find out by an error. One that keeps connections alive
    # (`--http11-socket`) gives each its own thread for as long as it lives, so 64 of them starve at one thread.
    Peer(
        "uwsgi",
        "uwsgi==2.0.31",
        ["{bin}/uwsgi", "--http-socket", "127.0.0.1:{port}", "--module", "{module}:application", "--virtualenv", str(lab.VENV)]
        + ["--processes", "1", "--enable-threads", "--threads", "{threads}", "--listen", "1024"]
        + ["--tcp-nodelay", "--disable-logging", "--die-on-term", "--need-app", "--add-header", "Connection: close"],
    ),
    Peer(
        "gunicorn",
        "gunicorn==27.0.1",
        ["{bin}/gunicorn", "--worker-class", "gthread", "--workers", "1", "--threads", "{threads}", "--bind", "127.0.0.1:{port}"]
        + ["--keep-alive", "75", "--log-level", "error", "{module}:application"],
    ),
    Peer(
        "waitress",
        "waitress==3.0.2",
        ["{bin}/waitress-serve", "--listen", "127.0.0.1:{port}", "--threads", "{threads}", "--no-expose-tracebacks", "{module}:application"],
    ),
    # By default it keeps only ten connections alive.
    Peer(
        "cheroot",
        "cheroot==11.1.2",
        [
            "{bin}/python",
            "-c",
            "import cheroot.wsgi, {module} as m; server = cheroot.wsgi.Server(('127.0.0.1', {port}), m.application, numthreads={threads}); "
            "server.keep_alive_conn_limit = 1000; server.start()",
        ],
    ),
]

# Twelve fields of a browser's request for a page; Host comes from the load generator and makes thirteen.
BROWSER = [
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
    "Accept-Language: en-US,en;q=0.5",
    "Accept-Encoding: gzip, deflate, br, zstd",
    "Referer: http://127.0.0.1/catalogue/shoes?page=2",
    "Cookie: sessionid=8hxn2vq0v6l5t1b0q9k3m7c4z2a1x5yd; csrftoken=Zq3F0b7mN1kXr9sT6uV2wY4pL8cD5eGh",
    "Upgrade-Insecure-Requests: 1",
    "Sec-Fetch-Dest: document",
    "Sec-Fetch-Mode: navigate",
    "Sec-Fetch-Site: same-origin",
    "Sec-Fetch-User: ?1",
    "Cache-Control: max-age=0",
]


@dataclass(frozen=True)
class Workload:
    """An application of `apps/`, what is asked of it, and what it must answer."""

    name: str
    title: str
    module: str
    body: bytes
    headers: list = field(default_factory=list)
    post: int = None
    # How many threads; None is what `--threads` says.
    threads: int = None
    # Only this server and the bare loop, which it then stands beside.
    own: bool = False
    # The bare loop's options for the same bytes and writes; None where there is no floor to speak of.
    bare: list = field(default_factory=list)
    # The requests per second that the application's own waiting leaves possible.
    possible: int = None
    # A path under which the reply's first block comes at once and the second after half a second.
    slow: str = None


HELLO = b"Hello, world!\n"
WORKLOADS = [
    Workload("hello", "hello world, keep-alive, 1 thread", "hello", HELLO),
    Workload("hello4", "hello world, keep-alive, 4 threads of this server", "hello", HELLO, threads=4, own=True),
    Workload("headers12", "hello world, twelve browser headers", "hello", HELLO, headers=BROWSER),
    Workload("django", "Django, default middleware, one view", "django_site", HELLO, headers=BROWSER, bare=None),
    Workload("block64k", "one block of 64 KiB", "block64k", b"x" * 65536, bare=["--block", "65536"]),
    Workload(
        "gen100",
        "a generator of 100 blocks of 1 KiB, no Content-Length",
        "gen100",
        b"x" * 102400,
        bare=["--block", "1024", "--blocks", "100"],
        slow="/slow",
    ),
    Workload("post10k", "POST of 10 KiB, read in one call", "post10k", b"10240\n", post=10240, bare=["--post", "10240"]),
    Workload("sleep10", "an application that sleeps 10 ms, 16 threads", "sleep10", b"slept\n", threads=16, bare=None, possible=1600),
]

CONNECTIONS = 64
WARM_UP_SECONDS = 1
# Of one core, used by whatever else runs on the machine.
DISTURBED = 0.05
OURS = "serve"
AGAINST = "against"
FLOOR = "bare"
# The engine with a codec and a handler that do nearly nothing: what lies between the floor and the whole server.
ENGINE = "engine"
BUILT = [FLOOR, ENGINE, OURS]
ERRORS = ["non_2xx", "connect", "read", "write", "timeout"]
ENDS_BY_CLOSE = "ends each body by closing"


def main():
    options = arguments()
    lab.build(*(name for name in BUILT if wanted(options.only, name)))
    peers = {peer.name: peer for peer in PEERS if wanted(options.only, peer.name)}
    missing = install(peers.values())
    peers = {name: peer for name, peer in peers.items() if name not in missing}
    lab.pin_to_load_core()
    where = lab.machine()
    print(f"{lab.describe(where)}\n\n`benches/compare.py {' '.join(sys.argv[1:])}`".rstrip(), flush=True)
    if missing:
        print("\n".join(["", "Missing:"] + [f"- {name}: {why}" for name, why in missing.items()]), flush=True)
    results = {}
    for workload in WORKLOADS:
        if wanted(options.workloads, workload.name):
            results[workload.name] = measure(workload, servers(workload, peers, options), options)
            print(f"\n### {workload.name}: {workload.title}\n\n{report(workload, results[workload.name])}", flush=True)
    lab.save("compare", {"machine": where, "arguments": sys.argv[1:], "missing": missing, "workloads": results})


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    everyone = [*BUILT, *(peer.name for peer in PEERS)]
    parser.add_argument("--only", metavar="NAMES", type=names(everyone), help=f"servers, by comma: {', '.join(everyone)}")
    parser.add_argument("--workloads", metavar="NAMES", type=names([w.name for w in WORKLOADS]), help="workloads, by comma")
    parser.add_argument("--rounds", type=int, default=3, help="how often each server is measured (3)")
    parser.add_argument("--seconds", type=int, default=3, help="how long each time (3)")
    parser.add_argument("--threads", type=int, default=1, help="application threads, where the workload does not say (1)")
    parser.add_argument("--again", type=int, default=2, help="how often a measurement is repeated that others have disturbed (2)")
    parser.add_argument("--against", metavar="PROGRAM", help="another build of this server, to stand beside it")
    return parser.parse_args()


def names(known):
    def parse(text):
        chosen = text.split(",")
        if unknown := set(chosen) - set(known):
            raise argparse.ArgumentTypeError(f"unknown: {', '.join(sorted(unknown))}; there are: {', '.join(known)}")
        return chosen

    return parse


def wanted(chosen, name):
    return chosen is None or name in chosen


def install(peers):
    """Installs Django and the peers; gives the reasons of those that are missing, by name."""
    failed = lab.install(["Django==5.2.19", *(peer.package for peer in peers)])
    missing = {}
    for peer in peers:
        if why := failed.get(peer.package):
            hint = f" (perhaps: {peer.needs})" if peer.needs else ""
            missing[peer.name] = f"{peer.package} cannot be installed{hint}: {why}"
    return missing


def servers(workload, peers, options):
    """The command of each server that takes part, by name, as a function of the port."""
    threads = workload.threads or options.threads
    taking_part = {}
    if workload.bare is not None and wanted(options.only, FLOOR):
        taking_part[FLOOR] = lambda port: [lab.binary("bare"), f"127.0.0.1:{port}", *workload.bare]
    if workload.module == "hello" and wanted(options.only, ENGINE):
        taking_part[ENGINE] = lambda port: [lab.binary("engine"), f"127.0.0.1:{port}", "--threads", threads]
    if wanted(options.only, OURS):
        taking_part[OURS] = lambda port: lab.serve_command(port, workload.module, threads)
    if options.against:
        taking_part[AGAINST] = lambda port: lab.serve_command(port, workload.module, threads, program=options.against)
    for peer in peers.values():
        if not workload.own and (peer.threaded or threads == 1):
            taking_part[peer.name] = lambda port, peer=peer: [
                part.format(bin=lab.VENV / "bin", port=port, module=workload.module, threads=threads) for part in peer.command
            ]
    return taking_part


def measure(workload, commands, options):
    """Rounds over all servers. Gives, by name, the measurements, or why there are none."""
    results = {name: {"rounds": [], "failed": None, "notes": []} for name in commands}
    order = list(commands)
    for number in range(options.rounds):
        for name in order[number % len(order) :] + order[: number % len(order)]:
            result = results[name]
            if result["failed"]:
                continue
            try:
                row, notes = one(workload, name, commands[name], options.seconds)
                for _ in range(options.again):
                    if row["others"] > DISTURBED:
                        row = min(row, one(workload, name, commands[name], options.seconds)[0], key=lambda row: row["others"])
                result["rounds"].append(row)
                result["notes"] += [note for note in notes if note not in result["notes"]]
                say(f"{workload.name} round {number + 1}: {name} {row['rate']:.0f}/s, {row['cpu_us']:.2f} µs, others {row['others']:.0%}")
            except Failed as error:
                result["failed"] = str(error)
                say(f"{workload.name} round {number + 1}: {name} failed: {error}")
    for result in results.values():
        rows = result["rounds"]
        result["median"] = {key: statistics.median(row[key] for row in rows) for key in rows[0]} if rows else None
    return results


def one(workload, name, command, seconds):
    """One server, once. Gives the figures, and what there is to say beside them."""
    port = lab.free_port()
    with lab.Server(command(port), port) as server:
        # The bare loop knows only the length of what it answers.
        check(workload, port, exact=name != FLOOR)
        notes = []
        if workload.slow and name != FLOOR and holds_back(port, workload.slow):
            notes.append("holds blocks back")
        load(workload, port, WARM_UP_SECONDS)
        before, generator, everything, begin = server.cpu(), lab.children_cpu(), lab.machine_cpu(), time.monotonic()
        done = load(workload, port, seconds)
        cpu, generator, wall = server.cpu() - before, lab.children_cpu() - generator, time.monotonic() - begin
        others = lab.machine_cpu() - everything - cpu - generator
        memory = server.memory()
    if done["requests"] == 0:
        raise Failed("answered no request under load")
    if done["read"] >= done["requests"] * 0.9:
        # wrk counts the reply, and then an error because the end of the connection was the end of the body.
        notes.append(ENDS_BY_CLOSE)
        done["read"] = 0
    for kind in ERRORS:
        if done[kind]:
            notes.append(f"{kind} errors")
    row = {
        "rate": done["requests"] / done["microseconds"] * 1e6,
        "p50_us": done["p50"],
        "p99_us": done["p99"],
        "cpu_us": cpu / done["requests"] * 1e6,
        "busy": cpu / wall,
        "others": max(0, others) / wall,
        "peak_bytes": memory,
        "errors": sum(done[kind] for kind in ERRORS),
    }
    return row, notes


def load(workload, port, seconds):
    return lab.wrk(port, seconds, CONNECTIONS, headers=workload.headers, post=workload.post)


def check(workload, port, exact):
    """One request by hand: the status and every byte of the body must be right before anything is timed."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        fields = dict(line.split(": ", 1) for line in workload.headers)
        body = b"x" * workload.post if workload.post else None
        connection.request("POST" if body else "GET", "/", body=body, headers=fields)
        response = connection.getresponse()
        answer = response.read()
    except (OSError, http.client.HTTPException) as error:
        raise Failed(f"does not answer: {error!r}") from error
    finally:
        connection.close()
    if response.status != 200:
        raise Failed(f"answers {response.status}, expected 200")
    if exact and answer != workload.body:
        raise Failed(f"answers {len(answer)} bytes that begin with {answer[:20]!r}, expected {len(workload.body)} bytes, {workload.body[:20]!r}")


def holds_back(port, path):
    """Whether the first block of a slow generator waits for the second, against PEP 3333 ("Buffering and Streaming")."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        begin = time.monotonic()
        connection.request("GET", path)
        connection.getresponse().read(1)
        return time.monotonic() - begin > 0.25
    finally:
        connection.close()


def report(workload, results):
    """The workload's table. The best peer is the one with the least processor time, of those that do what is asked."""
    medians = {name: result["median"] for name, result in results.items() if result["median"] and not result["failed"]}
    fair = [name for name in medians if name not in (*BUILT, AGAINST) and not set(results[name]["notes"]) - {ENDS_BY_CLOSE}]
    best = min(fair, key=lambda name: medians[name]["cpu_us"], default=None)
    columns = ["server", "requests/s", "p50 ms", "p99 ms", "CPU µs/request", "min–max", "× bare", f"× best peer ({best or '–'})"]
    columns += ["busy", "others", "peak MiB", "notes"]
    if workload.possible:
        columns.insert(2, "of possible")
    rows = []
    for name, result in results.items():
        notes = [*result["notes"]]
        if result["failed"]:
            rows.append([name, *["–"] * (len(columns) - 2), f"failed: {result['failed']}"])
            continue
        median = medians[name]
        if median["errors"]:
            notes.append(f"{median['errors']:.0f} errors in a round")
        costs = [row["cpu_us"] for row in result["rounds"]]
        row = [name, f"{median['rate']:,.0f}", f"{median['p50_us'] / 1000:.2f}", f"{median['p99_us'] / 1000:.2f}", f"{median['cpu_us']:.2f}"]
        row += [f"{min(costs):.2f}–{max(costs):.2f}", ratio(medians, name, FLOOR), ratio(medians, name, best), f"{median['busy']:.0%}"]
        row += [f"{median['others']:.0%}", f"{median['peak_bytes'] / 2**20:.1f}", ", ".join(notes)]
        if workload.possible:
            row.insert(2, f"{median['rate'] / workload.possible:.1%}")
        rows.append(row)
    return lab.table(columns, rows)


def ratio(medians, name, to):
    return f"{medians[name]['cpu_us'] / medians[to]['cpu_us']:.2f}" if to in medians else "–"


if __name__ == "__main__":
    os.chdir(lab.ROOT)
    main()
