"""What mypy refuses of the module of a generated crate."""

from users import app

app.nothing  # wrong
document: str = app.asyncapi()  # wrong
app({"type": "message"}, None, print)  # wrong
