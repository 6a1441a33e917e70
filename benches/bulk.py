#!/usr/bin/env python3
"""Large bodies through this server: an upload, a generated download, and a file by `wsgi.file_wrapper`.

    benches/bulk.py [--mib 1024] [--threads 1] [--embedded]

What counts is that memory does not grow with the body, and that the file moves by sendfile, which is looked up with strace in a transfer
of its own that is not timed. With `--embedded` it is an axum program that calls the application, where no file moves by sendfile.
"""

import argparse
import re
import shutil
import signal
import socket
import subprocess
import sys
import time

import lab

PIECE = 1 << 20


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mib", type=int, default=1024, help="how much is moved each time, in MiB (1024)")
    parser.add_argument("--threads", type=int, default=1, help="application threads (1)")
    parser.add_argument("--program", help="another build of this server")
    parser.add_argument("--embedded", action="store_true", help="an axum program around the application instead of this server")
    options = parser.parse_args()
    lab.build(*([] if options.program else ["embedded" if options.embedded else "serve"]))
    lab.make_venv()
    lab.pin_to_load_core()
    where = lab.machine()
    print(f"{lab.describe(where)}\n\n`benches/bulk.py {' '.join(sys.argv[1:])}`\n", flush=True)
    path = make_file(options.mib)
    transfers = {
        "upload, read in pieces of 64 KiB": lambda port: upload(port, options.mib),
        "download, blocks of 64 KiB": lambda port: download(port, f"/down?{options.mib * PIECE}", options.mib),
        "download, file_wrapper": lambda port: download(port, "/file", options.mib),
    }
    rows, results = [], {}
    for name, transfer in transfers.items():
        results[name] = result = one(options, path, transfer)
        rows.append(
            [name, f"{options.mib / result['seconds']:,.0f}", f"{result['cpu']:.2f}", f"{result['rss'] / 2**20:+.1f}", f"{result['peak'] / 2**20:+.1f}"]
        )
    print(lab.table([f"{options.mib} MiB", "MiB/s", "CPU s", "VmRSS MiB", "VmHWM MiB"], rows))
    if not options.embedded:
        print(f"\nfile_wrapper: {system_calls(options, path)}")
    lab.save("bulk", {"machine": where, "arguments": sys.argv[1:], "transfers": results})


def make_file(mib):
    """A file of that size, whose bytes tell their place."""
    lab.LAB.mkdir(parents=True, exist_ok=True)
    path = lab.LAB / f"bulk-{mib}.bin"
    if not path.exists() or path.stat().st_size != mib * PIECE:
        with open(path, "wb") as file:
            for number in range(mib):
                file.write(number.to_bytes(8, "big") * (PIECE // 8))
    return path


def start(options, path):
    port = lab.free_port()
    command = lab.serve_command(port, "bulk", options.threads, program=options.program)
    if options.embedded:
        command = [lab.binary("embedded"), f"127.0.0.1:{port}", "bulk", options.threads]
    return lab.Server(command, port, {"BULK_FILE": str(path)})


def one(options, path, transfer):
    """One transfer by a server of its own. The first, short upload makes it allocate what it needs in any case."""
    with start(options, path) as server:
        upload(server.port, 1)
        rss, peak, cpu, begin = server.memory("VmRSS"), server.memory("VmHWM"), server.cpu(), time.monotonic()
        transfer(server.port)
        return {
            "seconds": time.monotonic() - begin,
            "cpu": server.cpu() - cpu,
            "rss": server.memory("VmRSS") - rss,
            # Against what was resident before, since the peak of the start may lie above it.
            "peak": max(server.memory("VmHWM") - peak, server.memory("VmRSS") - rss),
        }


def upload(port, mib):
    with socket.create_connection(("127.0.0.1", port), timeout=60) as client:
        client.sendall(f"POST /up HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {mib * PIECE}\r\nConnection: close\r\n\r\n".encode())
        piece = b"x" * PIECE
        for _ in range(mib):
            client.sendall(piece)
        head, body, length = answer(client, bytearray(PIECE))
    if not head.startswith(b"HTTP/1.1 200 ") or body != b"%d\n" % (mib * PIECE):
        sys.exit(f"upload answered {head[:60]!r} and {body[:60]!r} of {length} bytes, expected {mib * PIECE}")


def download(port, target, mib):
    with socket.create_connection(("127.0.0.1", port), timeout=60) as client:
        client.sendall(f"GET {target} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())
        head, _, length = answer(client, bytearray(PIECE))
    if not head.startswith(b"HTTP/1.1 200 ") or length != mib * PIECE:
        sys.exit(f"download of {target} answered {head[:60]!r} and {length} bytes, expected {mib * PIECE}")


def answer(client, buffer):
    """Reads to the end of the connection: the head, the body's first bytes, and the body's length."""
    seen = b""
    while b"\r\n\r\n" not in seen:
        count = client.recv_into(buffer)
        if count == 0:
            sys.exit(f"the connection ended after {seen[:200]!r}")
        seen += bytes(buffer[:count])
    head, _, body = seen.partition(b"\r\n\r\n")
    length = len(body)
    while count := client.recv_into(buffer):
        length += count
    return head, body, length


def system_calls(options, path):
    """What strace counts while the file is sent once more."""
    if not shutil.which("strace"):
        return "not looked up: there is no strace here (apt-get install strace)"
    report = lab.LAB / "strace.txt"
    with start(options, path) as server:
        tracer = subprocess.Popen(
            ["strace", "-f", "-c", "-o", report, "-p", str(server.process.pid)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        # It says so once it is attached.
        attached = tracer.stderr.readline()
        if "attached" not in attached:
            return f"not looked up: {attached.strip() or 'strace ended'}"
        download(server.port, "/file", options.mib)
        tracer.send_signal(signal.SIGINT)
        tracer.wait()
    # % time, seconds, µs a call, calls, errors where there were any, name.
    calls = {name: int(count) for count, name in re.findall(r"^ *[\d.]+ +[\d.]+ +\d+ +(\d+) +(?:\d+ +)?(\w+)$", report.read_text(), re.M)}
    wanted = {name: calls.get(name, 0) for name in ["sendfile", "read", "pread64", "sendto", "sendmsg", "write", "writev"]}
    verdict = "sent by sendfile" if wanted["sendfile"] else "NOT sent by sendfile"
    return f"{verdict} (calls: {', '.join(f'{name} {count}' for name, count in wanted.items() if count)})"


if __name__ == "__main__":
    main()
