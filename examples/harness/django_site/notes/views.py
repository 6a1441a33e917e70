import json

from django.contrib.auth.decorators import login_required
from django.db import connection
from django.http import HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.csrf import ensure_csrf_cookie

from notes.models import Note


@login_required(login_url="/login/")
@ensure_csrf_cookie
def index(request):
    if request.method == "POST":
        note = Note.objects.create(by=request.user, text=json.loads(request.body)["text"])
        return JsonResponse({"number": note.pk}, status=201)
    return JsonResponse({"notes": list(Note.objects.filter(by=request.user).values_list("text", flat=True))})


@login_required(login_url="/login/")
def one(request, number):
    return HttpResponse(get_object_or_404(Note, pk=number, by=request.user).text, content_type="text/plain")


def connection_id(request):
    """Which connection to the database this thread has."""
    connection.ensure_connection()
    return HttpResponse(str(id(connection.connection)), content_type="text/plain")


def fail(request):
    raise RuntimeError("a view that fails")
