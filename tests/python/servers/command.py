"""What `asyncfast run` finds under `command:app`."""

from test_rust_servers import Application

app = Application().app
