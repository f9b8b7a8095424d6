"""What a route takes and answers, said where the route is: `backend.web.openapi` makes the public description of it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, TypeAlias, TypeVar

from flask.typing import ResponseReturnValue

Schema = Mapping[str, object]
Answer: TypeAlias = Any  # Any: a schema, or any type that pydantic makes one of
View = TypeVar("View", bound=Callable[..., ResponseReturnValue])

LARGEST_ID = 2**31 - 1  # ids are 32 bit integers in Label Studio
STRING: Schema = {"type": "string"}
INTEGER: Schema = {"type": "integer"}
ID: Schema = {"type": "integer", "minimum": 0, "maximum": LARGEST_ID}
ANY: Schema = {"type": "object"}
LIMIT: Schema = {"type": "integer", "minimum": 0, "maximum": 999_999_999}


@dataclass(frozen=True, slots=True)
class Description:
    """`answer` is a JSON schema or a type (a dataclass, a list of them) that one is made of; None: a page of HTML.

    `body` is the schema of a JSON body, `query` the schema of each parameter in the address.
    """

    answer: Answer
    status: int = 200
    body: Schema | None = None
    query: Mapping[str, Schema] = field(default_factory=dict)


def describe(
    answer: Answer, *, status: int = 200, body: Schema | None = None, query: Mapping[str, Schema] = MappingProxyType({})
) -> Callable[[View], View]:
    """Decorator under the route's: see `Description`."""

    def keep(view: View) -> View:
        view.description = Description(answer, status, body, query)  # type: ignore[attr-defined]
        return view

    return keep


def described(view: Callable[..., object] | None) -> Description | None:
    """What `describe` said of a route."""
    return getattr(view, "description", None)


def shape(optional: tuple[str, ...] = (), *, open: bool = False, **properties: Schema) -> Schema:
    """Schema of an object: all of `properties` but the `optional` ones must be there; others may be if `open`."""
    return shape_of(properties, optional, open=open)


def shape_of(properties: Mapping[str, Schema], optional: Collection[str] = (), *, open: bool = False) -> Schema:
    """`shape` of properties whose names are not known here."""
    needed = [name for name in properties if name not in optional]
    return {
        "type": "object",
        "properties": properties,
        "additionalProperties": open,
        **({"required": needed} if needed else {}),
    }


def many(item: Schema, **limits: int) -> Schema:
    """Schema of a list."""
    return {"type": "array", "items": item, **limits}


def either(*schemas: Schema) -> Schema:
    """Schema of what fits one of them."""
    return {"anyOf": list(schemas)}


NULL: Schema = {"type": "null"}
