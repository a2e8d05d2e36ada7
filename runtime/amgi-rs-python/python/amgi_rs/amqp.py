"""AMQP 0.9.1, such as RabbitMQ."""

from typing import Any

from amgi_types import AMGIApplication

from amgi_rs._native import Server as _Native
from amgi_rs._server import BaseServer, server_serve

__all__ = ["OPTIONS", "Server", "run"]

OPTIONS: dict[str, str] = dict(_Native.options("amqp"))
"""The names of all further options, and what they do."""


_FIELDS = (
    "exchange",
    "routing_key",
    "message_id",
    "correlation_id",
    "reply_to",
    "content_type",
    "content_encoding",
    "delivery_mode",
    "priority",
    "expiration",
    "timestamp",
    "type",
    "user_id",
    "app_id",
)


class Server(BaseServer):
    """Receives from queues, which are made where they are missing.

    url: where the broker is, "amqp://user:password@host:port/vhost".
    more: see `BaseServer`; the options of the broker are `OPTIONS`.
    """

    protocol = "amqp"

    def __init__(
        self,
        app: AMGIApplication,
        *queues: str,
        url: str = "amqp://guest:guest@localhost/",
        **more: Any,
    ) -> None:
        super().__init__(
            app,
            queues,
            {"url": url},
            **more,
        )

    def narrow(self, scope: dict[str, Any]) -> None:
        """Leaves in a scope what amgi_aio_pika has in it."""
        given = scope.get("bindings", {}).get("amqp", {})
        # There the address is not that of the queue.
        scope["address"] = given.get("routing_key") or ""
        scope["bindings"] = {"amqp": {field: given.get(field) for field in _FIELDS}}


def run(app: AMGIApplication, *queues: str, **more: Any) -> None:
    """Serves until SIGINT or SIGTERM, with the arguments of `Server`."""
    server_serve(Server(app, *queues, **more))


def _run_cli(
    app: AMGIApplication,
    queues: list[str],
    url: str = "amqp://guest:guest@localhost/",
) -> None:
    run(app, *queues, url=url)
