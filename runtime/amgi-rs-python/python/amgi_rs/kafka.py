"""Kafka."""

import uuid
from typing import Any

from amgi_types import AMGIApplication

from amgi_rs._native import Server as _Native
from amgi_rs._server import BaseServer, server_serve

__all__ = ["OPTIONS", "Server", "run"]

OPTIONS: dict[str, str] = dict(_Native.options("kafka"))
"""The names of all further options, and what they do."""


class Server(BaseServer):
    """Receives from topics, in order of each partition. What was handled is committed.

    bootstrap_servers: where the brokers are, "host:port", or several of them.
    group_id: consumer group, whose members share the partitions. Without one every instance gets everything that comes from
        now on, and nothing is committed for a next one.
    auto_offset_reset: where a new group begins, "earliest" or "latest".
    more: see `BaseServer`; the options of the broker are `OPTIONS`.
    """

    protocol = "kafka"

    def __init__(
        self,
        app: AMGIApplication,
        *topics: str,
        bootstrap_servers: str | list[str] = "localhost",
        group_id: str | None = None,
        auto_offset_reset: str = "latest",
        **more: Any,
    ) -> None:
        begins = {"earliest": "beginning", "latest": "end"}
        if auto_offset_reset not in begins:
            raise ValueError(f"auto_offset_reset is 'earliest' or 'latest', not {auto_offset_reset!r}")
        servers = [bootstrap_servers] if isinstance(bootstrap_servers, str) else bootstrap_servers
        super().__init__(
            app,
            topics,
            {
                "url": "kafka://" + ",".join(servers),
                "group": group_id or f"amgi-rs-{uuid.uuid4()}",
                "start": begins[auto_offset_reset],
            },
            **more,
        )

    def narrow(self, scope: dict[str, Any]) -> None:
        """Leaves in a scope what amgi_aiokafka has in it."""
        key = scope.get("bindings", {}).get("kafka", {}).get("key")
        scope["bindings"] = {"kafka": {"key": key}}


def run(app: AMGIApplication, *topics: str, **more: Any) -> None:
    """Serves until SIGINT or SIGTERM, with the arguments of `Server`."""
    server_serve(Server(app, *topics, **more))


def _run_cli(
    app: AMGIApplication,
    topics: list[str],
    bootstrap_servers: list[str] | None = None,
    group_id: str | None = None,
    auto_offset_reset: str = "latest",
) -> None:
    run(
        app,
        *topics,
        bootstrap_servers=bootstrap_servers or ["localhost"],
        group_id=group_id,
        auto_offset_reset=auto_offset_reset,
    )
