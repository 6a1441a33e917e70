"""A Bottle application: forms, files by static_file, generators, redirects."""

from pathlib import Path

from bottle import Bottle, HTTPError, redirect, request, static_file

application = Bottle()


@application.get("/hello/<name>")
def hello(name):
    return f"Hello {name}"


@application.post("/form")
def form():
    return f"{request.forms.getunicode('text')} {request.files['file'].filename} {len(request.files['file'].file.read())}"


@application.get("/file")
def file():
    return static_file("bottle_app.py", root=Path(__file__).parent)


@application.get("/stream")
def stream():
    yield "one "
    yield ""
    yield "two"


@application.get("/away")
def away():
    redirect("/hello/you")


@application.get("/error")
def error():
    raise HTTPError(409, "conflict")
