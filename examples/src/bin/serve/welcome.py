"""The page that `serve` shows when it has no application to serve."""

import platform
import sys
from html import escape

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>It works</title>
<link rel="icon" href="data:,">
<style>
:root {{ color-scheme: light dark; --ink: #1d2733; --soft: #5b6875; --paper: #fbfaf7; --card: #fff; --line: #e3e0d8; --accent: #a3431c; }}
@media (prefers-color-scheme: dark) {{
  :root {{ --ink: #e6e3dc; --soft: #9aa3ad; --paper: #15191e; --card: #1c2229; --line: #2e363f; --accent: #f0936a; }}
}}
* {{ box-sizing: border-box; }}
body {{ margin: 0; background: var(--paper); color: var(--ink); font: 17px/1.6 system-ui, sans-serif; }}
main {{ max-width: 44rem; margin: 0 auto; padding: 12vh 1.5rem 3rem; }}
h1 {{ font-size: 2.6rem; line-height: 1.1; margin: 0 0 .6rem; letter-spacing: -.02em; }}
h1 span {{ color: var(--accent); }}
h2 {{ font-size: 1rem; margin: 2.6rem 0 .6rem; }}
p {{ margin: 0 0 1rem; color: var(--soft); }}
pre, table {{ background: var(--card); border: 1px solid var(--line); border-radius: 10px; }}
pre {{ padding: .9rem 1.1rem; overflow-x: auto; font: 14px/1.7 ui-monospace, monospace; margin: 0 0 1rem; }}
table {{ width: 100%; border-collapse: separate; border-spacing: 0; font-size: 15px; }}
th, td {{ text-align: left; padding: .45rem 1.1rem; border-top: 1px solid var(--line); overflow-wrap: anywhere; }}
tr:first-child > * {{ border-top: 0; }}
th {{ font-weight: 500; color: var(--soft); width: 11rem; }}
code {{ font-family: ui-monospace, monospace; font-size: .9em; }}
</style>
</head>
<body>
<main>
<h1>It works<span>.</span></h1>
<p>This page comes from a Python application, called by {software}. Yours goes here.</p>
<h2>Serve your own</h2>
<pre>cargo serve -- --module mysite.wsgi --chdir /path/to/project --home /path/to/venv
cargo serve -- --wsgi-file app.py --callable app
cargo serve -- --help</pre>
<p>A module is found from the directory of <code>--chdir</code>; the callable is <code>application</code> unless you name another
(<code>--module mysite:app</code>).</p>
<h2>What answered</h2>
<table>{rows}</table>
</main>
</body>
</html>
"""


def application(environ, start_response):
    if environ.get("PATH_INFO", "") not in ("", "/"):
        return reply(start_response, "404 Not Found", "text/plain; charset=utf-8", "Not Found: there is only the page at /\n")
    if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
        return reply(start_response, "405 Method Not Allowed", "text/plain; charset=utf-8", "Only GET and HEAD\n", ("Allow", "GET, HEAD"))
    facts = {
        "Python": "%s %s" % (platform.python_implementation(), platform.python_version()),
        "sys.prefix": sys.prefix,
        "Protocol": environ["SERVER_PROTOCOL"],
        "You are": environ.get("REMOTE_ADDR") or "on this machine",
        "Other threads": "yes, requests run side by side" if environ["wsgi.multithread"] else "no, one request at a time",
    }
    rows = "".join("<tr><th>%s</th><td>%s</td></tr>" % (escape(name), escape(value)) for name, value in facts.items())
    software = escape(environ.get("SERVER_SOFTWARE", "this server"))
    return reply(start_response, "200 OK", "text/html; charset=utf-8", PAGE.format(software=software, rows=rows))


def reply(start_response, status, kind, text, *headers):
    body = text.encode("utf-8", "backslashreplace")
    start_response(status, [("Content-Type", kind), ("Content-Length", str(len(body))), *headers])
    return [body]
