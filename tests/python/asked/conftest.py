"""What the tests share: scopes, and a `send` that keeps what it is given."""

import pytest

VERSIONS = {"version": "2.0", "spec_version": "2.0"}


async def receive():
    raise RuntimeError("an application does not receive while it handles a message")


class Send:
    """Takes events; addresses in `refuses` raise."""

    def __init__(self, *refuses):
        self.events = []
        self.refuses = refuses

    async def __call__(self, event):
        self.events.append(event)
        if event.get("address") in self.refuses:
            raise OSError(f"{event['address']} is not there")

    @property
    def settled(self):
        return [event for event in self.events if event["type"] != "message.send"]

    @property
    def sent(self):
        return [event for event in self.events if event["type"] == "message.send"]


@pytest.fixture
def send():
    return Send()


def scope(address, payload=None, headers=(), **more):
    fields = {"type": "message", "amgi": VERSIONS, "address": address, "headers": list(headers)}
    if payload is not None:
        fields["payload"] = payload
    return fields | more
