from django.contrib.auth import views as auth
from django.urls import path

from notes import views

urlpatterns = [
    path("login/", auth.LoginView.as_view(template_name="login.html", next_page="/notes/"), name="login"),
    path("notes/", views.index),
    path("notes/<int:number>/", views.one),
    path("connection/", views.connection_id),
    path("fail/", views.fail),
]
