"""Who is let in without a password."""

from django.contrib.auth.backends import RemoteUserBackend


class KnownRemoteUser(RemoteUserBackend):
    """Users that exist; one that was never made here does not come to be by a token."""

    create_unknown_user = False
