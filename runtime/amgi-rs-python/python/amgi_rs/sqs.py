"""Amazon SQS."""

from typing import Any

from amgi_types import AMGIApplication

from amgi_rs._native import Server as _Native
from amgi_rs._server import BaseServer, MessageSendManager, server_serve

__all__ = ["OPTIONS", "Server", "run"]

OPTIONS: dict[str, str] = dict(_Native.options("sqs"))
"""The names of all further options, and what they do."""


class Server(BaseServer):
    """Receives from queues, by name, URL or ARN. Queues that are missing are made, those of dead letters too, unless
    `declare=False` says that they are an error.

    region_name, endpoint_url, aws_access_key_id, aws_secret_access_key: as the AWS configuration says, where they are not given.
    message_send: async context manager that gives what messages are sent with, instead of the broker.
    strict: whether scopes are those of amgi_aiobotocore, and nothing more.
    attempts: how often a message is tried before it is given up. Default: 5.
    first_pause, longest_pause: seconds between attempts. Default: 0.1 and 30.
    dead_letter: queue for messages that are given up. Default: the one of its redrive policy, else its name with `--dlq` behind
        it.
    options: see `OPTIONS`.
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
            {
                "url": None if endpoint_url is None else f"sqs+{endpoint_url}",
                "region": region_name,
                "access_key": aws_access_key_id,
                "secret_key": aws_secret_access_key,
                # Dead letters need a queue.
                "declare": True,
            } | options,
            attempts=attempts,
            first_pause=first_pause,
            longest_pause=longest_pause,
            dead_letter=dead_letter,
        )

    def narrow(self, scope: dict[str, Any]) -> None:
        """Leaves in a scope what amgi_aiobotocore has in it."""
        given = scope.get("bindings", {}).get("sqs", {})
        fields = ("message_group_id", "message_deduplication_id")
        scope["bindings"] = {"sqs": {field: given[field] for field in fields if given.get(field)}}


def run(app: AMGIApplication, *queues: str, **options: Any) -> None:
    """Serves until SIGINT or SIGTERM, with the arguments of `Server`."""
    server_serve(Server(app, *queues, **options))


def _run_cli(
    app: AMGIApplication,
    queues: list[str],
    region_name: str | None = None,
    endpoint_url: str | None = None,
    aws_access_key_id: str | None = None,
    aws_secret_access_key: str | None = None,
) -> None:
    run(app, 
        *queues,
        region_name=region_name,
        endpoint_url=endpoint_url,
        aws_access_key_id=aws_access_key_id,
        aws_secret_access_key=aws_secret_access_key,
    )
