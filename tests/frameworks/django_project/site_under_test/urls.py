"""The pages."""

from django.contrib import admin
from django.urls import path

from . import views

urlpatterns = [
    path("admin/", admin.site.urls),
    path("", views.hello),
    path("where/<path:rest>", views.where),
    path("form/", views.form),
    path("upload/", views.upload),
    path("length/", views.length),
    path("stream/", views.stream),
    path("release/", views.release),
    path("download/", views.download),
    path("session/", views.session),
    path("finished/", views.finished),
    path("connections/", views.connections),
    path("error/", views.error),
]
