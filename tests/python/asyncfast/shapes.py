"""Types of pydantic, as far as their JSON Schemas differ."""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, IntEnum
from ipaddress import IPv4Address
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, NamedTuple, TypeVar
from uuid import UUID

from asyncfast import AsyncFast, Message, MessageSender
from pydantic import (
    AnyUrl,
    Base64Bytes,
    BaseModel,
    ConfigDict,
    Field,
    HttpUrl,
    Json,
    RootModel,
    SecretStr,
    computed_field,
    conint,
    conlist,
    constr,
)
from typing_extensions import TypedDict

app = AsyncFast(title="Shapes")

T = TypeVar("T")


class Color(Enum):
    RED = "red"
    DARK_GREEN = "dark green"


class Level(IntEnum):
    LOW = 1
    HIGH = 10


class Point(NamedTuple):
    x: int
    y: int


class Labels(TypedDict, total=False):
    name: str
    size: int


class Nested(BaseModel):
    """One within another."""

    model_config = ConfigDict(extra="forbid")

    id: int = Field(ge=1, le=1000, description="A number.")
    parent: "Nested | None" = None
    children: list["Nested"] = []


class Everything(BaseModel):
    """All that there is."""

    a_bool: bool
    a_float: float = Field(default=0.5, gt=0, lt=1)
    multiple: int = Field(default=3, multiple_of=3)
    text: str = Field(min_length=1, max_length=10, pattern="^[a-z]+$", examples=["abc"])
    optional: str | None = None
    needed_optional: int | None
    literal: Literal["a", "b", 3] = "a"
    one: Literal["only"] = "only"
    flag: Literal[True] = True
    color: Color = Color.RED
    level: Level
    colors: list[Color] = []
    counts: dict[str, int] = {}
    by_color: dict[Color, float] = {}
    by_number: dict[int, str] = {}
    nested: Nested
    several: dict[str, list[Nested]] = Field(default_factory=dict)
    unique: set[int] = set()
    pair: tuple[int, str] = (1, "a")
    many: tuple[int, ...] = ()
    point: Point = Point(0, 0)
    labels: Labels = {}
    either: int | str = 1
    numbers: int | float | None = None
    union: Nested | list[Nested] | None = None
    money: Decimal = Decimal("1.5")
    when: datetime
    day: date | None = None
    clock: time | None = None
    lasting: timedelta = timedelta(hours=1)
    uuid: UUID | None = None
    url: HttpUrl | None = None
    uri: AnyUrl | None = None
    address: IPv4Address | None = None
    path: Path = Path("/")
    secret: SecretStr | None = None
    data: bytes = b""
    base64: Base64Bytes = b""
    anything: Any = None
    embedded: Json[list[int]] | None = None
    small: conint(ge=-5, lt=5) = 0
    short: conlist(str, min_length=1, max_length=3) = ["a"]
    code: constr(pattern=r"^\d{3}$") = "123"
    with_alias: str = Field(default="x", alias="with-alias", title="Another title", deprecated=True)
    class_: str = Field(default="", alias="class")
    old: int = Field(default=1, deprecated=True)

    @computed_field
    @property
    def total(self) -> int:
        return 1


class Page(BaseModel, Generic[T]):
    items: list[T]
    next: int | None = None


class Names(RootModel[list[str]]):
    pass


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int = 9


class Dog(BaseModel):
    kind: Literal["dog", "hound"] = "dog"
    owner: str | None = None


class Fish(BaseModel):
    fins: int


Pet = Annotated[Cat | Dog, Field(discriminator="kind")]


class Owner(BaseModel):
    pet: Pet
    other: Cat | Fish
    pets: list[Pet] = []


class Open(BaseModel):
    model_config = ConfigDict(extra="allow", title="Open model", json_schema_extra={"examples": [{"id": 1}]})

    id: int


@dataclass
class Copied(Message, address="copies"):
    payload: Everything


@dataclass
class Told(Message, address="told"):
    payload: Cat | Fish | None


@app.channel("everything")
async def on_everything(everything: Everything, sender: MessageSender[Copied]) -> None:
    pass


@app.channel("pages")
async def on_page(page: Page[Nested]) -> None:
    pass


@app.channel("names")
async def on_names(names: Names) -> None:
    pass


@app.channel("owners")
async def on_owner(owner: Owner, sender: MessageSender[Told]) -> None:
    pass


@app.channel("pets")
async def on_pet(pet: Pet) -> None:
    pass


@app.channel("mixed")
async def on_mixed(payload: Cat | Fish | None = None) -> None:
    pass


@app.channel("points")
async def on_points(points: list[Point] | dict[str, Point]) -> None:
    pass


@app.channel("open")
async def on_open(payload: Open) -> None:
    pass


@app.channel("colors")
async def on_color(color: Color) -> None:
    pass


@app.channel("levels")
async def on_level(level: Level | None) -> None:
    pass


@app.channel("bytes")
async def on_bytes(payload: bytes) -> None:
    pass


@app.channel("labels")
async def on_labels(payload: Labels) -> None:
    pass
