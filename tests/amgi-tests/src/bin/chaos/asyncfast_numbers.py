"""The service of specs/numbers.yaml with AsyncFast: asyncfast_numbers.py PACKAGE URL [--OPTION VALUE]...

PACKAGE has the server: amgi_rs, or amgi_aiokafka. The rest is what a generated service is told.
"""

import importlib
import os
import sys
from typing import Annotated
from urllib.parse import urlsplit

from asyncfast import AsyncFast
from pydantic import BaseModel, Field, StringConstraints

LANES = 8
POISONED = 1000

package, url = sys.argv[1:3]
given = {name.removeprefix("--"): value for name, value in zip(sys.argv[3::2], sys.argv[4::2])}
at = urlsplit(url)
protocol = at.scheme.partition("+")[0]
separator = "/" if protocol == "mqtt" else "."

# A line is one write at the end of the file, so that processes may share it, and that it is there when the process is killed.
journal = os.open(os.environ["NUMBERS_JOURNAL"], os.O_CREAT | os.O_APPEND | os.O_WRONLY)
app = AsyncFast()


class Number(BaseModel):
    id: Annotated[int, Field(ge=0)]
    note: Annotated[str, Field(max_length=400)] | None = None
    tags: Annotated[list[Annotated[str, StringConstraints(min_length=1)]], Field(max_length=8)] = []


@app.channel(f"numbers{separator}{{lane}}")
async def on_number(lane: str, payload: Number) -> None:
    if payload.id % POISONED == POISONED // 2:
        raise ValueError("this number cannot be counted")
    os.write(journal, f"{lane} {payload.id}\n".encode())


addresses = ["numbers/+"] if protocol == "mqtt" else [f"numbers{separator}{lane}" for lane in range(LANES)]
if package == "amgi_rs":
    # Addresses are given, instead of the document's.
    options = {name.replace("-", "_"): value for name, value in given.items() if name != "addresses"}
    # What the document says of failures.
    options |= {"attempts": 3, "first_pause": 0.01, "longest_pause": 0.05, "dead_letter": f"failed{separator}numbers"}
    if protocol == "redis":
        options["via"] = "streams"
    importlib.import_module(f"amgi_rs.{protocol}").run(app, *addresses, **{"url": url} | options)
else:
    importlib.import_module(package).run(
        app,
        *addresses,
        bootstrap_servers=f"{at.hostname}:{at.port}",
        group_id=given["group"],
        auto_offset_reset="earliest",
    )
