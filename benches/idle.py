#!/usr/bin/env python3
"""What idle keep-alive connections cost this server: memory, and the hello figure beside them.

    benches/idle.py [--connections 10000] [--rounds 3] [--seconds 3] [--threads 1]

Each connection makes one request and then stays. At the end each makes another, so that none counts which was closed in the meantime.
The memory is the process's own (VmRSS); what the kernel holds for a socket is the same for every server and not counted.
"""

import argparse
import resource
import socket
import statistics
import sys

import compare
import lab

REQUEST = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
# The connections of one source address; there are some 28,000 ports to each by default, and the load generator needs a few.
PER_ADDRESS = 20_000
HELLO = compare.WORKLOADS[0]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--connections", type=int, default=10_000, help="idle connections (10,000)")
    parser.add_argument("--rounds", type=int, default=3, help="servers that are measured, one after the other (3)")
    parser.add_argument("--seconds", type=int, default=3, help="of load, without and with them (3)")
    parser.add_argument("--threads", type=int, default=1, help="application threads (1)")
    parser.add_argument("--program", help="another build of this server")
    options = parser.parse_args()
    raise_descriptor_limit(options.connections + compare.CONNECTIONS + 100)
    lab.build(*([] if options.program else ["serve"]))
    lab.make_venv()
    lab.pin_to_load_core()
    where = lab.machine()
    print(f"{lab.describe(where)}\n\n`benches/idle.py {' '.join(sys.argv[1:])}`\n", flush=True)
    rounds = [one(options) for _ in range(options.rounds)]
    median = {key: statistics.median(row[key] for row in rounds) for key in rounds[0]}
    columns = ["", "without", f"with {options.connections:,} idle connections", "ratio"]
    rows = []
    for title, key, form in [("requests/s", "rate", ",.0f"), ("CPU µs/request", "cpu_us", ".2f"), ("p99 ms", "p99_ms", ".2f")]:
        without, beside = median[f"{key}_without"], median[f"{key}_with"]
        rows.append([title, f"{without:{form}}", f"{beside:{form}}", f"{beside / without:.2f}"])
    rows.append(["resident MiB", f"{median['rss_without'] / 2**20:.1f}", f"{median['rss_with'] / 2**20:.1f}", ""])
    print(lab.table(columns, rows))
    print(f"\nBytes of resident memory per idle connection: {median['per_connection']:.0f}")
    lab.save("idle", {"machine": where, "arguments": sys.argv[1:], "rounds": rounds})


def raise_descriptor_limit(wanted):
    """For this process and for the servers that it starts."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, max(hard, wanted)))
        except (ValueError, PermissionError):
            sys.exit(f"{wanted} descriptors are needed and {hard} are allowed: raise the limit (ulimit -n)")


def one(options):
    """One server: the figures before the connections are there, and beside them."""
    port = lab.free_port()
    with lab.Server(lab.serve_command(port, "hello", options.threads, program=options.program), port) as server:
        compare.check(HELLO, port, exact=True)
        # Whatever a server allocates once for many connections at a time is not an idle connection's, so the load comes first.
        without = figures(server, port, options.seconds)
        before = server.memory("VmRSS")
        connections = [connect(port, number) for number in range(options.connections)]
        after = server.memory("VmRSS")
        beside = figures(server, port, options.seconds)
        for connection in connections:
            ask(connection)
        for connection in connections:
            connection.close()
    row = {"rss_without": before, "rss_with": after, "per_connection": (after - before) / options.connections}
    row |= {f"{key}_without": value for key, value in without.items()}
    row |= {f"{key}_with": value for key, value in beside.items()}
    lab.say(f"{row['rate_without']:,.0f}/s without, {row['rate_with']:,.0f}/s with, {row['per_connection']:.0f} bytes each")
    return row


def connect(port, number):
    connection = socket.create_connection(("127.0.0.1", port), timeout=10, source_address=(f"127.0.0.{1 + number // PER_ADDRESS}", 0))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    ask(connection)
    return connection


def ask(connection):
    """One request and its whole answer, which the connection must survive."""
    connection.sendall(REQUEST)
    answer = b""
    while not answer.endswith(HELLO.body):
        piece = connection.recv(4096)
        if not piece:
            sys.exit(f"an idle connection was closed after {answer!r}")
        answer += piece


def figures(server, port, seconds):
    compare.load(HELLO, port, compare.WARM_UP_SECONDS)
    before = server.cpu()
    done = compare.load(HELLO, port, seconds)
    cpu = server.cpu() - before
    if errors := {kind: done[kind] for kind in compare.ERRORS if done[kind]}:
        sys.exit(f"errors under load: {errors}")
    return {
        "rate": done["requests"] / done["microseconds"] * 1e6,
        "cpu_us": cpu / done["requests"] * 1e6,
        "p99_ms": done["p99"] / 1000,
    }


if __name__ == "__main__":
    main()
