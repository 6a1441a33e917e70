"""A Flask application: JSON, cookies, sessions, streams with the request's context, uploads."""

import hashlib

from flask import Flask, abort, jsonify, request, send_file, session, stream_with_context, url_for

app = Flask(__name__)
app.secret_key = "only for tests, and public"


@app.get("/")
def hello():
    return "Hello from Flask\n"


@app.post("/json")
def json():
    return jsonify(got=request.get_json(), twice=request.get_json()["number"] * 2)


@app.get("/cookie")
def cookie():
    response = jsonify(seen=request.cookies.get("flavour"))
    response.set_cookie("flavour", "chocolate", httponly=True)
    response.set_cookie("size", "large")
    return response


@app.get("/session")
def count():
    session["count"] = session.get("count", 0) + 1
    return str(session["count"])


@app.get("/stream")
def stream():
    @stream_with_context
    def lines():
        for number in range(int(request.args["lines"])):
            yield f"{request.path} {number}\n"

    return lines(), {"Content-Type": "text/plain"}


@app.post("/upload")
def upload():
    file = request.files["file"]
    digest = hashlib.sha256()
    while piece := file.stream.read(65536):
        digest.update(piece)
    return f"{file.filename} {digest.hexdigest()}"


@app.post("/raw")
def raw():
    return f"{len(request.get_data())} {request.content_length}"


@app.get("/file")
def file():
    return send_file(__file__, mimetype="text/x-python")


@app.get("/url/<path:rest>")
def url(rest):
    return url_for("url", rest=rest, _external=True)


@app.get("/teapot")
def teapot():
    abort(418)


@app.get("/error")
def error():
    raise RuntimeError("a view that fails")
