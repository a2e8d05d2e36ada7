"""Kafka."""

import uuid
from typing import Any

from amgi_types import AMGIApplication

from amgi_rs._native import Server as _Native
from amgi_rs._server import BaseServer, MessageSendManager, server_serve

__all__ = ["OPTIONS", "Server", "run"]

OPTIONS: dict[str, str] = dict(_Native.options("kafka"))
"""The names of all further options, and what they do."""


class Server(BaseServer):
    """Receives from topics, in order of each partition. What was handled is committed.

    bootstrap_servers: where the brokers are, "host:port", or several of them.
    group_id: consumer group, whose members share the partitions. Without one every instance gets everything that comes from
        now on, and nothing is committed for a next one.
    auto_offset_reset: where a new group begins, "earliest" or "latest".
    message_send: async context manager that gives what messages are sent with, instead of the broker.
    strict: whether scopes are those of amgi_aiokafka, and nothing more.
    attempts: how often a message is tried before it is given up. Default: 5.
    first_pause, longest_pause: seconds between attempts. Default: 0.1 and 30.
    dead_letter: address for messages that are given up. Default: the address with `.dlq` behind it.
    options: see `OPTIONS`.
    """

    protocol = "kafka"

    def __init__(
        self,
        app: AMGIApplication,
        *topics: str,
        bootstrap_servers: str | list[str] = "localhost",
        group_id: str | None = None,
        auto_offset_reset: str = "latest",
        message_send: MessageSendManager | None = None,
        strict: bool = False,
        attempts: int | None = None,
        first_pause: float | None = None,
        longest_pause: float | None = None,
        dead_letter: str | None = None,
        **options: Any,
    ) -> None:
        begins = {"earliest": "beginning", "latest": "end"}
        if auto_offset_reset not in begins:
            raise ValueError(f"auto_offset_reset is 'earliest' or 'latest', not {auto_offset_reset!r}")
        servers = [bootstrap_servers] if isinstance(bootstrap_servers, str) else bootstrap_servers
        super().__init__(
            app,
            topics,
            message_send,
            strict,
            {
                "url": "kafka://" + ",".join(servers),
                "group": group_id or f"amgi-rs-{uuid.uuid4()}",
                "start": begins[auto_offset_reset],
            } | options,
            attempts=attempts,
            first_pause=first_pause,
            longest_pause=longest_pause,
            dead_letter=dead_letter,
        )

    def narrow(self, scope: dict[str, Any]) -> None:
        """Leaves in a scope what amgi_aiokafka has in it."""
        key = scope.get("bindings", {}).get("kafka", {}).get("key")
        scope["bindings"] = {"kafka": {"key": key}}


def run(app: AMGIApplication, *topics: str, **options: Any) -> None:
    """Serves until SIGINT or SIGTERM, with the arguments of `Server`."""
    server_serve(Server(app, *topics, **options))


def _run_cli(
    app: AMGIApplication,
    topics: list[str],
    bootstrap_servers: list[str] | None = None,
    group_id: str | None = None,
    auto_offset_reset: str = "latest",
) -> None:
    run(app, 
        *topics,
        bootstrap_servers=bootstrap_servers or ["localhost"],
        group_id=group_id,
        auto_offset_reset=auto_offset_reset,
    )
