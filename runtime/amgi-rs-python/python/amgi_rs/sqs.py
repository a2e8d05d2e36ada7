"""Amazon SQS."""

from typing import Any

from amgi_types import AMGIApplication

from amgi_rs._native import Server as _Native
from amgi_rs._server import BaseServer, server_serve

__all__ = ["OPTIONS", "Server", "run"]

OPTIONS: dict[str, str] = dict(_Native.options("sqs"))
"""The names of all further options, and what they do."""


class Server(BaseServer):
    """Receives from queues, by name, URL or ARN. Queues that are missing are made, those of dead letters too, unless
    `declare=False` says that they are an error.

    region_name, endpoint_url, aws_access_key_id, aws_secret_access_key: as the AWS configuration says, where they are not given.
    more: see `BaseServer`; the options of the broker are `OPTIONS`.
    """

    protocol = "sqs"

    def __init__(
        self,
        app: AMGIApplication,
        *queues: str,
        region_name: str | None = None,
        endpoint_url: str | None = None,
        aws_access_key_id: str | None = None,
        aws_secret_access_key: str | None = None,
        **more: Any,
    ) -> None:
        super().__init__(
            app,
            queues,
            {
                "url": None if endpoint_url is None else f"sqs+{endpoint_url}",
                "region": region_name,
                "access_key": aws_access_key_id,
                "secret_key": aws_secret_access_key,
                # Dead letters need a queue.
                "declare": True,
            },
            **more,
        )

    def narrow(self, scope: dict[str, Any]) -> None:
        """Leaves in a scope what amgi_aiobotocore has in it."""
        given = scope.get("bindings", {}).get("sqs", {})
        fields = ("message_group_id", "message_deduplication_id")
        scope["bindings"] = {"sqs": {field: given[field] for field in fields if given.get(field)}}


def run(app: AMGIApplication, *queues: str, **more: Any) -> None:
    """Serves until SIGINT or SIGTERM, with the arguments of `Server`."""
    server_serve(Server(app, *queues, **more))


def _run_cli(
    app: AMGIApplication,
    queues: list[str],
    region_name: str | None = None,
    endpoint_url: str | None = None,
    aws_access_key_id: str | None = None,
    aws_secret_access_key: str | None = None,
) -> None:
    run(
        app,
        *queues,
        region_name=region_name,
        endpoint_url=endpoint_url,
        aws_access_key_id=aws_access_key_id,
        aws_secret_access_key=aws_secret_access_key,
    )
