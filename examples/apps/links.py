"""A page with links to the other applications."""

PAGE = b"""<!DOCTYPE html>
<title>Mounts</title>
<ul><li><a href="/shop/">shop</a></li><li><a href="/hello">hello</a></li></ul>
"""


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/html; charset=utf-8"), ("Content-Length", str(len(PAGE)))])
    return [PAGE]
