"""AMQP 0.9.1, such as RabbitMQ."""

from typing import Any

from amgi_types import AMGIApplication

from amgi_rs._native import Server as _Native
from amgi_rs._server import BaseServer, MessageSendManager, server_serve

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
    message_send: async context manager that gives what messages are sent with, instead of the broker.
    strict: whether scopes are those of amgi_aio_pika, and nothing more.
    attempts: how often a message is tried before it is given up. Default: 5.
    first_pause, longest_pause: seconds between attempts. Default: 0.1 and 30.
    dead_letter: address for messages that are given up. Default: the address with `.dlq` behind it.
    options: see `OPTIONS`.
    """

    protocol = "amqp"

    def __init__(
        self,
        app: AMGIApplication,
        *queues: str,
        url: str = "amqp://guest:guest@localhost/",
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
            queues,
            message_send,
            strict,
            {"url": url} | options,
            attempts=attempts,
            first_pause=first_pause,
            longest_pause=longest_pause,
            dead_letter=dead_letter,
        )

    def narrow(self, scope: dict[str, Any]) -> None:
        """Leaves in a scope what amgi_aio_pika has in it."""
        given = scope.get("bindings", {}).get("amqp", {})
        # There the address is not that of the queue.
        scope["address"] = given.get("routing_key") or ""
        scope["bindings"] = {"amqp": {field: given.get(field) for field in _FIELDS}}


def run(app: AMGIApplication, *queues: str, **options: Any) -> None:
    """Serves until SIGINT or SIGTERM, with the arguments of `Server`."""
    server_serve(Server(app, *queues, **options))


def _run_cli(
    app: AMGIApplication,
    queues: list[str],
    url: str = "amqp://guest:guest@localhost/",
) -> None:
    run(app, *queues, url=url)
