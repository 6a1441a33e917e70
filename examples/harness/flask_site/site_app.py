"""A small site: people log in, see and change a list, and upload files."""

import hashlib

from flask import Flask, Response, abort, flash, get_flashed_messages, jsonify, redirect, request, session, stream_with_context, url_for

PASSWORDS = {"ada": "lovelace"}


def create_app(settings=None):
    app = Flask(__name__)
    app.secret_key = "for tests, and public"
    app.config.update(settings or {})
    notes = []

    @app.get("/")
    def index():
        name = session.get("name")
        return f"Hello, {name}!" if name else redirect(url_for("login", next="/"))

    @app.route("/login", methods=["GET", "POST"])
    def login():
        if request.method == "POST":
            name = request.form.get("name", "")
            if PASSWORDS.get(name) == request.form.get("password"):
                session["name"] = name
                return redirect(request.args.get("next", "/"), 303)
            flash("Wrong name or password")
            return redirect(url_for("login"), 303)
        return "<form method=post>" + "".join(get_flashed_messages()) + "</form>"

    @app.post("/logout")
    def logout():
        session.clear()
        return "", 204

    @app.route("/api/notes", methods=["GET", "POST"])
    def api_notes():
        if "name" not in session:
            return jsonify(error="log in first"), 401
        if request.method == "POST":
            note = {"by": session["name"], "text": request.get_json()["text"]}
            notes.append(note)
            return jsonify(note), 201, {"Location": url_for("api_notes", _external=True)}
        return jsonify([note for note in notes if note["by"] == session["name"]])

    @app.post("/upload")
    def upload():
        file = request.files["file"]
        content = file.stream.read()
        return jsonify(name=file.filename, type=file.content_type, bytes=len(content), sha256=hashlib.sha256(content).hexdigest())

    @app.get("/export")
    def export():
        @stream_with_context
        def lines():
            yield "number\n"
            for number in range(int(request.args["rows"])):
                yield f"{number}\n"

        return Response(lines(), content_type="text/csv")

    @app.get("/fail")
    def fail():
        raise RuntimeError("a view that fails")

    @app.get("/teapot")
    def teapot():
        abort(418)

    @app.errorhandler(404)
    def missing(error):
        return f"Nothing at {request.path}", 404

    return app
