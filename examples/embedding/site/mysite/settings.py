"""The settings of `django-admin startproject`, and what an axum program around the site changes: who serves static files, who else logs in."""

import os
import secrets
from pathlib import Path

BASE = Path(__file__).resolve().parent.parent
# The database, the secret and the static files; never in the repository.
DATA = Path(os.environ.get("SITE_DATA", BASE / "data"))
DATA.mkdir(parents=True, exist_ok=True)


def secret_key():
    """The key that signs sessions: the environment's, else one that is made once and kept beside the database."""
    if key := os.environ.get("DJANGO_SECRET_KEY"):
        return key
    path = DATA / "secret_key"
    try:
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(50))
    except FileExistsError:
        pass
    return path.read_text()


SECRET_KEY = secret_key()
DEBUG = False
ALLOWED_HOSTS = ["localhost", "127.0.0.1"]
ROOT_URLCONF = "mysite.urls"
WSGI_APPLICATION = "mysite.wsgi.application"

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    # Whom a layer of the axum program has authenticated comes as REMOTE_USER, which no client can set.
    "django.contrib.auth.middleware.RemoteUserMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
AUTHENTICATION_BACKENDS = ["django.contrib.auth.backends.ModelBackend", "mysite.backends.KnownRemoteUser"]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

# Each thread keeps its connection from request to request.
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": DATA / "db.sqlite3", "CONN_MAX_AGE": None, "OPTIONS": {"timeout": 20}}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
STATIC_URL = "/static/"
# Filled by `collectstatic`, served by tower-http.
STATIC_ROOT = DATA / "static"
LOGIN_URL = "/admin/login/"
