"""The views, each with one thing that a server can get wrong."""

import hashlib
import threading

from django.conf import settings
from django.core.signals import request_finished
from django.db import connection
from django.db.backends.signals import connection_created
from django.dispatch import receiver
from django.http import FileResponse, HttpResponse, StreamingHttpResponse
from django.template import engines
from django.views.decorators.csrf import csrf_exempt

UPLOADED = settings.DATA / "uploaded"
released = threading.Event()
finished_requests = 0
created_connections = 0


@receiver(request_finished)
def count_finished(**_):
    global finished_requests
    finished_requests += 1


@receiver(connection_created)
def count_created(**_):
    global created_connections
    created_connections += 1


def hello(request):
    return HttpResponse("Hello from Django\n", content_type="text/plain")


def where(request, rest):
    """What Django makes of the path, and the absolute URL that it puts together."""
    return HttpResponse(f"{rest}|{request.build_absolute_uri()}|{request.is_secure()}", content_type="text/plain")


def form(request):
    if request.method == "POST":
        return HttpResponse(f"posted {request.POST['text']}", content_type="text/plain; charset=utf-8")
    template = engines["django"].from_string('<form method="post">{% csrf_token %}<input name="text"></form>')
    return HttpResponse(template.render({}, request))


def upload(request):
    """Keeps the file, and answers with its size, its digest and the field beside it."""
    digest = hashlib.sha256()
    with open(UPLOADED, "wb") as kept:
        for piece in request.FILES["file"].chunks():
            digest.update(piece)
            kept.write(piece)
    return HttpResponse(f"{request.FILES['file'].size} {digest.hexdigest()} {request.POST['note']}", content_type="text/plain")


@csrf_exempt
def length(request):
    return HttpResponse(f"{len(request.body)} {request.META.get('CONTENT_LENGTH')}", content_type="text/plain")


def stream(request):
    """Two blocks; the second only after another request has asked for /release/."""

    def blocks():
        yield "first\n"
        yield "second\n" if released.wait(20) else "never released\n"

    return StreamingHttpResponse(blocks(), content_type="text/plain")


def release(request):
    released.set()
    return HttpResponse("released", content_type="text/plain")


def download(request):
    """By wsgi.file_wrapper, so by sendfile where the server has it."""
    return FileResponse(open(UPLOADED, "rb"), as_attachment=True, filename="h\u00e9llo.bin")


def session(request):
    request.session["count"] = request.session.get("count", 0) + 1
    return HttpResponse(f"visit {request.session['count']}", content_type="text/plain")


def finished(request):
    return HttpResponse(str(finished_requests), content_type="text/plain")


def connections(request):
    connection.ensure_connection()
    return HttpResponse(str(created_connections), content_type="text/plain")


def error(request):
    raise RuntimeError("a view that fails")
