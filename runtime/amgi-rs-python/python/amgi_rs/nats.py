"""NATS, with JetStream or without."""

from typing import Any

from amgi_types import AMGIApplication

from amgi_rs._native import Server as _Native
from amgi_rs._server import BaseServer, MessageSendManager, pattern, server_serve

__all__ = ["OPTIONS", "Server", "run"]

OPTIONS: dict[str, str] = dict(_Native.options("nats"))
"""The names of all further options, and what they do."""


class Server(BaseServer):
    """Receives from subjects, in which `*` is a wildcard of one token; with `jetstream=True` from JetStream, where what was handled is acknowledged.

    servers: where the brokers are, "nats://host:port", or several of them.
    jetstream: whether messages come from streams, which keep them until they are handled.
    message_send: async context manager that gives what messages are sent with, instead of the broker.
    strict: whether scopes are those of amgi_nats, and nothing more.
    attempts: how often a message is tried before it is given up. Default: 5.
    first_pause, longest_pause: seconds between attempts. Default: 0.1 and 30.
    dead_letter: address for messages that are given up. Default: the address with `.dlq` behind it.
    options: see `OPTIONS`.
    """

    protocol = "nats"

    def __init__(
        self,
        app: AMGIApplication,
        *subjects: str,
        servers: str | list[str] = "nats://localhost:4222",
        jetstream: bool = False,
        message_send: MessageSendManager | None = None,
        strict: bool = False,
        attempts: int | None = None,
        first_pause: float | None = None,
        longest_pause: float | None = None,
        dead_letter: str | None = None,
        **options: Any,
    ) -> None:
        urls = [servers] if isinstance(servers, str) else servers
        super().__init__(
            app,
            tuple(pattern(each, ".", "*", ">") for each in subjects),
            message_send,
            strict,
            {"url": ",".join(urls), "jetstream": jetstream} | options,
            attempts=attempts,
            first_pause=first_pause,
            longest_pause=longest_pause,
            dead_letter=dead_letter,
        )

    def narrow(self, scope: dict[str, Any]) -> None:
        """Leaves in a scope what amgi_nats has in it."""
        reply = scope.get("bindings", {}).get("nats", {}).get("reply", "")
        scope["bindings"] = {"nats": {"reply": reply}}


def run(app: AMGIApplication, *subjects: str, **options: Any) -> None:
    """Serves until SIGINT or SIGTERM, with the arguments of `Server`."""
    server_serve(Server(app, *subjects, **options))


def _run_cli(
    app: AMGIApplication,
    subjects: list[str],
    servers: str = "nats://localhost:4222",
    jetstream: bool = False,
) -> None:
    run(app, *subjects, servers=servers, jetstream=jetstream)
