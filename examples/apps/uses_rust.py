"""An application that is given Rust objects, and imports a Rust module: see examples/src/bin/rust_in_python.rs."""

import rustkit

GREETING = "the quick brown fox jumps over the lazy dog and the cat"


def application(environ, start_response):
    user = environ.get("example.user")
    name = user.name if user else "stranger"
    word, count = rustkit.count_words(GREETING)[0]
    lines = [
        "Hello, %s%s!" % (name, " (admin)" if user and user.admin else ""),
        "This is visit %d of %s." % (environ["example.visits"].add(name), name),
        "The most frequent word is %r, which occurs %d times." % (word, count),
    ]
    body = "".join(line + "\n" for line in lines).encode("utf-8")
    start_response("200 OK", [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))])
    return [body]
