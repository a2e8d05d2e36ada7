"""Redis, streams or published messages."""

from typing import Any

from amgi_types import AMGIApplication

from amgi_rs._native import Server as _Native
from amgi_rs._server import BaseServer, MessageSendManager, server_serve

__all__ = ["OPTIONS", "Server", "run"]

OPTIONS: dict[str, str] = dict(_Native.options("redis"))
"""The names of all further options, and what they do."""


class Server(BaseServer):
    """Receives from channels that are published to; with `via="streams"` from streams, in a consumer group.

    url: where Redis is. "redis://host:port/db"; "rediss://" with TLS, "redis-cluster://" and "redis-sentinel://" too.
    via: "pubsub" or "streams". What is published to nobody is lost; a stream keeps it.
    message_send: async context manager that gives what messages are sent with, instead of the broker.
    strict: whether scopes are those of amgi_redis, and nothing more.
    attempts: how often a message is tried before it is given up. Default: 5.
    first_pause, longest_pause: seconds between attempts. Default: 0.1 and 30.
    dead_letter: address for messages that are given up. Default: the address with `.dlq` behind it.
    options: see `OPTIONS`.
    """

    protocol = "redis"

    def __init__(
        self,
        app: AMGIApplication,
        *channels: str,
        url: str = "redis://localhost",
        via: str = "pubsub",
        message_send: MessageSendManager | None = None,
        strict: bool = False,
        attempts: int | None = None,
        first_pause: float | None = None,
        longest_pause: float | None = None,
        dead_letter: str | None = None,
        **options: Any,
    ) -> None:

        super().__init__(
            app,
            channels,
            message_send,
            strict,
            {"url": url, "via": via} | options,
            attempts=attempts,
            first_pause=first_pause,
            longest_pause=longest_pause,
            dead_letter=dead_letter,
        )

    def narrow(self, scope: dict[str, Any]) -> None:
        """Leaves in a scope what amgi_redis has in it."""
        scope["headers"] = []
        scope.pop("bindings", None)


def run(app: AMGIApplication, *channels: str, **options: Any) -> None:
    """Serves until SIGINT or SIGTERM, with the arguments of `Server`."""
    server_serve(Server(app, *channels, **options))


def _run_cli(
    app: AMGIApplication,
    channels: list[str],
    url: str = "redis://localhost",
    via: str = "pubsub",
) -> None:
    run(app, *channels, url=url, via=via)
