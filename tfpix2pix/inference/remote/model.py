"""Parses names of served models and server addresses: `facades`, `facades:3`, `facades@canary`, `localhost:8501`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from tfpix2pix.errors import UserError, redact_url

NAME = re.compile(r"(?P<name>[^/:@\s]+)(?::(?P<version>\d+)|@(?P<label>[^/:@\s]+))?")
DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class ModelName:
    """Names a served model. Without version and label, the server takes the newest version."""

    name: str
    version: int | None = None
    label: str | None = None

    @classmethod
    def parse(cls, text: str) -> ModelName:
        """Returns the model that NAME, NAME:VERSION or NAME@LABEL names.

        Raises:
            UserError: `text` has another form.
        """
        match = NAME.fullmatch(text)
        if not match:
            raise UserError(
                f"A served model must be NAME, NAME:VERSION or NAME@LABEL. Received {text!r}. "
                f"Write it as in facades, facades:3 or facades@canary."
            )
        version = match["version"]
        return cls(match["name"], int(version) if version else None, match["label"])

    def __str__(self) -> str:
        version = "" if self.version is None else f":{self.version}"
        return f"{self.name}{version}{f'@{self.label}' if self.label else ''}"

    @property
    def path(self) -> str:
        """Returns the path of the model in the REST interface."""
        version = "" if self.version is None else f"/versions/{self.version}"
        label = f"/labels/{quote(self.label, safe='')}" if self.label else ""
        return f"/v1/models/{quote(self.name, safe='')}{version}{label}"


@dataclass(frozen=True)
class Server:
    """Holds the address of a server, or of a proxy before it: TLS, a path before TF Serving's, user and password."""

    host: str
    port: int
    tls: bool = False
    user: str = ""  # with the @
    path: str = ""

    @classmethod
    def parse(cls, text: str) -> Server:
        """Returns the server of HOST:PORT, http://… or https://…

        Raises:
            UserError: `text` has another form.
        """
        try:
            parts = urlsplit(text if "://" in text else f"//{text}")
            port = parts.port or DEFAULT_PORTS.get(parts.scheme)
            known = parts.scheme in ("", *DEFAULT_PORTS) and parts.hostname and not (parts.query or parts.fragment)
            if not (known and port):
                raise ValueError
        except ValueError:  # `parts.port` raises it, too
            raise UserError(
                f"A server must be HOST:PORT, http://… or https://… Received {redact_url(text)!r}. Write it as in "
                f"localhost:8501."
            ) from None
        user = parts.netloc.rpartition("@")[0]
        path = parts.path.rstrip("/")
        return cls(parts.hostname, port, parts.scheme == "https", user and f"{user}@", path)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"  # without the password; gRPC connects to it

    @property
    def url(self) -> str:
        """Returns the address of the REST interface, before `ModelName.path`."""
        return f"{'https' if self.tls else 'http'}://{self.user}{self}{self.path}"


@dataclass(frozen=True)
class Target:
    """Holds the server, the model and the time limit of a transport."""

    server: Server
    model: ModelName
    timeout_s: float = 60.0
