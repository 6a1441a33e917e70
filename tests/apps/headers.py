"""Headers of every harmless kind: repeated, empty, outside ASCII, in odd case, and those that the server would add."""


def application(environ, start_response):
    headers = [
        ("content-TYPE", "text/plain"),
        ("Set-Cookie", "a=1; Path=/"),
        ("X-Empty", ""),
        ("Set-Cookie", "b=2; Path=/"),
        ("X-Latin", "caf\u00e9 \u00ff"),
        ("X-Colon", "a: b, c"),
        ("set-cookie", "c=3"),
    ]
    if environ["QUERY_STRING"] == "own":
        headers += [("daTE", "Sun, 06 Nov 1994 08:49:37 GMT"), ("SERVER", "an application"), ("CONTENT-length", "4")]
    start_response("200 Tr\u00e8s bien", headers)
    return [b"four"]
