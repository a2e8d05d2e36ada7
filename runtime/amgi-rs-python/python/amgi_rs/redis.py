"""Redis, streams or published messages."""

from typing import Any

from amgi_types import AMGIApplication

from amgi_rs._native import Server as _Native
from amgi_rs._server import BaseServer, server_serve

__all__ = ["OPTIONS", "Server", "run"]

OPTIONS: dict[str, str] = dict(_Native.options("redis"))
"""The names of all further options, and what they do."""


class Server(BaseServer):
    """Receives from channels that are published to; with `via="streams"` from streams, in a consumer group.

    url: where Redis is. "redis://host:port/db"; "rediss://" with TLS, "redis-cluster://" and "redis-sentinel://" too.
    via: "pubsub" or "streams". What is published to nobody is lost; a stream keeps it.
    more: see `BaseServer`; the options of the broker are `OPTIONS`.
    """

    protocol = "redis"

    def __init__(
        self,
        app: AMGIApplication,
        *channels: str,
        url: str = "redis://localhost",
        via: str = "pubsub",
        **more: Any,
    ) -> None:
        super().__init__(
            app,
            channels,
            {"url": url, "via": via},
            **more,
        )

    def narrow(self, scope: dict[str, Any]) -> None:
        """Leaves in a scope what amgi_redis has in it."""
        scope["headers"] = []
        scope.pop("bindings", None)


def run(app: AMGIApplication, *channels: str, **more: Any) -> None:
    """Serves until SIGINT or SIGTERM, with the arguments of `Server`."""
    server_serve(Server(app, *channels, **more))


def _run_cli(
    app: AMGIApplication,
    channels: list[str],
    url: str = "redis://localhost",
    via: str = "pubsub",
) -> None:
    run(app, *channels, url=url, via=via)
