"""NATS, with JetStream or without."""

from typing import Any

from amgi_types import AMGIApplication

from amgi_rs._native import Server as _Native
from amgi_rs._server import BaseServer, pattern, server_serve

__all__ = ["OPTIONS", "Server", "run"]

OPTIONS: dict[str, str] = dict(_Native.options("nats"))
"""The names of all further options, and what they do."""


class Server(BaseServer):
    """Receives from subjects, in which `*` is a wildcard of one token; with `jetstream=True` from JetStream, where what was handled is acknowledged.

    servers: where the brokers are, "nats://host:port", or several of them.
    jetstream: whether messages come from streams, which keep them until they are handled.
    more: see `BaseServer`; the options of the broker are `OPTIONS`.
    """

    protocol = "nats"

    def __init__(
        self,
        app: AMGIApplication,
        *subjects: str,
        servers: str | list[str] = "nats://localhost:4222",
        jetstream: bool = False,
        **more: Any,
    ) -> None:
        urls = [servers] if isinstance(servers, str) else servers
        super().__init__(
            app,
            tuple(pattern(each, ".", "*", ">") for each in subjects),
            {"url": ",".join(urls), "jetstream": jetstream},
            **more,
        )

    def narrow(self, scope: dict[str, Any]) -> None:
        """Leaves in a scope what amgi_nats has in it."""
        reply = scope.get("bindings", {}).get("nats", {}).get("reply", "")
        scope["bindings"] = {"nats": {"reply": reply}}


def run(app: AMGIApplication, *subjects: str, **more: Any) -> None:
    """Serves until SIGINT or SIGTERM, with the arguments of `Server`."""
    server_serve(Server(app, *subjects, **more))


def _run_cli(
    app: AMGIApplication,
    subjects: list[str],
    servers: str = "nats://localhost:4222",
    jetstream: bool = False,
) -> None:
    run(app, *subjects, servers=servers, jetstream=jetstream)
