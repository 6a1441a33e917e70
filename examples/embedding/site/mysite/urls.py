"""The pages that Django serves; the others are routes of the axum program."""

from django.contrib import admin
from django.urls import path

from . import views

urlpatterns = [
    path("", views.home),
    path("whoami", views.whoami),
    path("reports/<path:name>", views.report),
    path("admin/", admin.site.urls),
]
