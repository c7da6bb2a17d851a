"""What the agent's HTTP clients share: TLS made when it is first needed, and errors in plain words."""

from __future__ import annotations

import os
import ssl

from wire.scrape import HTTPClientSettings


class TLS:
    """The TLS side of requests to one URL.

    The context is made at the first need: it reads all the system's certificates, megabytes that an
    agent which speaks plain HTTP to its own node does without.
    """

    def __init__(self, settings: HTTPClientSettings, url: str) -> None:
        self._settings = settings
        self._https = url.startswith("https:")
        self._context: ssl.SSLContext | None = None
        self.server_hostname = settings.tls_config.server_name or None

    def context(self) -> ssl.SSLContext | bool:
        """For aiohttp's `ssl`. Raises OSError (ssl.SSLError is one) if a file is missing or no good."""
        if self._https and self._context is None:
            self._context = self._settings.ssl_context()
        return self._context or True


def why(error: Exception) -> str:
    """The reason without the class's bookkeeping: "Connection refused", not the socket's address twice."""
    # An error of TLS is an OSError whose number is not the system's.
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the server's certificate is not believed: {error.verify_message}"
    if isinstance(error, OSError) and error.errno and not isinstance(error, ssl.SSLError):
        return os.strerror(error.errno)
    return str(error) or type(error).__name__
