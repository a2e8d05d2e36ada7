"""MQTT."""

from typing import Any

from amgi_types import AMGIApplication

from amgi_rs._native import Server as _Native
from amgi_rs._server import BaseServer, pattern, server_serve

__all__ = ["OPTIONS", "Server", "run"]

OPTIONS: dict[str, str] = dict(_Native.options("mqtt"))
"""The names of all further options, and what they do."""


class Server(BaseServer):
    """Receives from a topic, or several, at QoS 1 and more. `+` is a wildcard of one level.

    host, port: where the broker is.
    protocol: 5, or 4 for MQTT 3.1.1, which has no headers; as paho's `MQTTv5` and `MQTTv311`.
    client_id: name of this instance, under which the broker keeps its session. Default: of the program and the machine.
    connect_timeout: seconds that the broker may take to answer.
    more: see `BaseServer`; the options of the broker are `OPTIONS`.
    """

    protocol = "mqtt"

    def __init__(
        self,
        app: AMGIApplication,
        topic: str | list[str],
        host: str = "localhost",
        port: int = 1883,
        client_id: str | None = None,
        protocol: int = 5,
        **more: Any,
    ) -> None:
        versions = {5: "5", 4: "3.1.1"}
        if protocol not in versions:
            raise ValueError(f"protocol is 5, or 4 for MQTT 3.1.1, not {protocol!r}")
        topics = (topic,) if isinstance(topic, str) else tuple(topic)
        super().__init__(
            app,
            tuple(pattern(each, "/", "+", "#") for each in topics),
            {"url": f"mqtt://{host}:{port}", "client_id": client_id, "version": versions[protocol]},
            **more,
        )

    def narrow(self, scope: dict[str, Any]) -> None:
        """Leaves in a scope what amgi_paho_mqtt has in it."""
        scope["headers"] = []
        scope.pop("bindings", None)


def run(
    app: AMGIApplication,
    topic: str | list[str],
    host: str = "localhost",
    port: int = 1883,
    client_id: str | None = None,
    **more: Any,
) -> None:
    """Serves until SIGINT or SIGTERM, with the arguments of `Server`."""
    server_serve(Server(app, topic, host, port, client_id, **more))


def _run_cli(
    app: AMGIApplication,
    topic: str,
    host: str = "localhost",
    port: int = 1883,
    client_id: str | None = None,
) -> None:
    run(app, topic, host, port, client_id)
