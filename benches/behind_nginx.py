#!/usr/bin/env python3
"""Behind one nginx worker on a Unix socket: this server beside others, by each way in which nginx can ask. hello world, 64 connections.

    benches/behind_nginx.py [--rounds 3] [--seconds 3]

nginx and the server share the server core, so that requests/s says what both cost together; nginx's part is the same for one protocol.
`fastcgi` and `http` keep their connections to the server. Medians over interleaved rounds.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import tempfile
from pathlib import Path

import lab
from lab import Failed, say

PACKAGES = ["uwsgi==2.0.31", "bjoern==3.2.2", "gunicorn==27.0.1", "waitress==3.0.2"]

NGINX = """
daemon off; worker_processes 1; error_log stderr crit; pid {folder}/nginx.pid;
events {{ worker_connections 1024; }}
http {{
    access_log off; keepalive_requests 1000000;
    client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder}; uwsgi_temp_path {folder}; scgi_temp_path {folder};
    upstream app {{ server unix:{folder}/socket; keepalive 64; }}
    server {{ listen 127.0.0.1:{port}; location / {{ {ask} }} }}
}}
"""
ASK = {
    "uwsgi": "include /etc/nginx/uwsgi_params; uwsgi_pass app;",
    "fastcgi": "include /etc/nginx/fastcgi_params; fastcgi_keep_conn on; fastcgi_pass app;",
    "scgi": "include /etc/nginx/scgi_params; scgi_pass app;",
    "http": 'proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $host; proxy_pass http://app;',
}


def ours(option):
    return lambda path: [lab.binary("serve"), option, path, "-w", "hello:application", "--chdir", lab.APPS, "--home", lab.VENV]


def uwsgi(option):
    common = ["--module", "hello:application", "--virtualenv", lab.VENV, "--processes", 1, "--listen", 1024, "--disable-logging"]
    return lambda path: [lab.VENV / "bin" / "uwsgi", option, path, *common, "--die-on-term", "--need-app"]


def python(code):
    return lambda path: [lab.PYTHON, "-c", code.format(path=path)]


def gunicorn(path):
    settings = ["--worker-class", "gthread", "--workers", "1", "--threads", "1", "--keep-alive", "75", "--log-level", "error"]
    return [lab.VENV / "bin" / "gunicorn", *settings, "--bind", f"unix:{path}", "hello:application"]


CASES = [
    ("uwsgi", "uWSGI", uwsgi("--socket")),
    ("uwsgi", "serve", ours("--uwsgi-socket")),
    ("fastcgi", "uWSGI", uwsgi("--fastcgi-socket")),
    ("fastcgi", "serve", ours("--fastcgi-socket")),
    ("scgi", "uWSGI", uwsgi("--scgi-socket")),
    ("scgi", "serve", ours("--scgi-socket")),
    ("http", "uWSGI", uwsgi("--http-socket")),
    ("http", "bjoern", python("import bjoern, hello; bjoern.run(hello.application, 'unix:{path}')")),
    ("http", "waitress", python("import waitress, hello; waitress.serve(hello.application, unix_socket='{path}', threads=1)")),
    ("http", "gunicorn", gunicorn),
    ("http", "serve", ours("--http")),
]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3, help="how often each server is measured (3)")
    parser.add_argument("--seconds", type=int, default=3, help="how long each time (3)")
    options = parser.parse_args()
    if not shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin"):
        raise SystemExit("there is no nginx: apt-get install nginx")
    lab.build("serve")
    missing = lab.install(PACKAGES)
    lab.pin_to_load_core()
    where = lab.machine()
    print(f"{lab.describe(where)}\n", flush=True)
    if missing:
        print(f"Missing: {missing}\n")
    results = {(protocol, name): [] for protocol, name, _ in CASES}
    failed = {}
    for number in range(options.rounds):
        for protocol, name, command in CASES[number % len(CASES) :] + CASES[: number % len(CASES)]:
            try:
                rate = measure(protocol, command, options.seconds)
                results[protocol, name].append(rate)
                say(f"round {number + 1}: {protocol} {name}: {rate:.0f}/s")
            except Failed as error:
                failed[protocol, name] = str(error)
                say(f"round {number + 1}: {protocol} {name} failed: {error}")
    rows = []
    for (protocol, name), rates in results.items():
        others = [statistics.median(rates) for (p, n), rates in results.items() if p == protocol and n != "serve" and rates]
        if not rates:
            rows.append([f"{protocol}: {name}", "–", failed[protocol, name], "–"])
            continue
        rate = statistics.median(rates)
        rows.append([f"{protocol}: {name}", f"{rate:,.0f}", f"{min(rates):,.0f}–{max(rates):,.0f}", f"{rate / max(others):.2f}" if others else "–"])
    print(lab.table(["asked by, server", "requests/s", "min–max", "× best peer"], rows))
    lab.save("behind_nginx", {"machine": where, "results": {f"{p} {n}": rates for (p, n), rates in results.items()}, "failed": list(failed.values())})


def measure(protocol, command, seconds):
    """Requests per second through nginx, once."""
    with tempfile.TemporaryDirectory() as folder:
        # nginx's worker may run as another user.
        os.chmod(folder, 0o755)
        socket, port = Path(folder) / "socket", lab.free_port()
        configuration = Path(folder) / "nginx.conf"
        configuration.write_text(NGINX.format(folder=folder, port=port, ask=ASK[protocol]))
        with lab.Server(command(socket), socket):
            os.chmod(socket, 0o777)
            nginx = shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin")
            with lab.Server([nginx, "-c", configuration], port):
                lab.wrk(port, 1)
                done = lab.wrk(port, seconds)
    wrong = sum(done.get(kind, 0) for kind in ("non_2xx", "connect", "read", "write", "timeout"))
    if wrong or not done["requests"]:
        raise Failed(f"{wrong} errors, {done['requests']} requests")
    return done["requests"] / done["microseconds"] * 1e6


if __name__ == "__main__":
    os.chdir(lab.ROOT)
    main()
