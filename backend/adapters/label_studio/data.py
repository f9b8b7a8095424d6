"""Which images a task shows, told from its data as Label Studio's editor does it.

The editor replaces each `$path` of an Image tag's value by what lodash's `get` finds in the task data; a value that is
nothing but one path may also find a list, of which every item is an image. What the editor cannot show is no image.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from backend.core.domain import MOST_PAGES, Pages

VARIABLE = re.compile(r"\$[\w[\].{}]+", re.ASCII)  # what the editor takes for a path
KEY = r"[\w{}]+"  # a key may hold braces: ${image} reads the key "{image}"
PATH = re.compile(rf"\$({KEY}(?:\.{KEY}|\[{KEY}\])*)", re.ASCII)  # those of them that are one
MOST_KEYS, LONGEST = 10, 60  # of what is named in a reason
LONGEST_PATH = 500  # characters; a longer one is a mistake, and would stand in the reason of each task
MISSING = object()
_PLACE = re.compile(r"0|[1-9][0-9]{0,8}")  # in a list, as lodash writes it: "01" is no place


class NoImage(Exception):
    """Why a value finds no image; the text names the path and what stands there."""


def check_value(value: str) -> str:
    """Path of the first variable in an Image tag's value. Raises `NoImage` if the editor could not follow it."""
    found, shown = VARIABLE.findall(value), repr(_short(value))
    if not found:
        raise NoImage(f'value {shown} names no task data, so it is the same for all tasks; use value="$image"')
    if "{{" in value:
        raise NoImage(f"value {shown} stands in a Repeater, which LabelQueue does not follow; use valueList")
    if value.startswith("$") and found[0] != value:  # such a key can be imported, and is not shown
        raise NoImage(
            f"value {shown}: Label Studio's editor reads only {_short(found[0])!r} of it and shows no image; name the "
            "data with letters a-z, digits and _"
        )
    for variable in found:
        if len(variable) > LONGEST_PATH or not PATH.fullmatch(variable):
            raise NoImage(
                f"value {shown}: {_short(variable)!r} is no path that Label Studio's editor follows; it follows "
                "$image, $image.url and $images[0]"
            )
    return str(found[0][1:])


def pages_of(data: Mapping[str, object], values: Sequence[str]) -> Pages:
    """References of all images that these values of Image tags show, in order; the note says what is amiss."""
    refs: list[str] = []
    amiss: list[str] = []
    for value in values:
        try:
            for item in _images(data, value):
                if isinstance(item, NoImage):
                    amiss.append(str(item))
                else:
                    refs.append(item)
        except NoImage as error:
            amiss.append(str(error))
    if len(refs) > MOST_PAGES:
        amiss.append(f"only the first {MOST_PAGES} of its {len(refs)} images are used")
    if len(amiss) > 3:
        amiss = [*amiss[:2], f"and {len(amiss) - 2} more like these"]
    return Pages(tuple(refs[:MOST_PAGES]), "; ".join(amiss))


def _images(data: Mapping[str, object], value: str) -> Iterator[str | NoImage]:
    """The images that one value shows; what is no image among several is given as its reason."""
    if not VARIABLE.fullmatch(value):
        yield VARIABLE.sub(lambda match: _part(data, match[0][1:]), value)
        return
    path = value[1:]
    found = _get(data, path)
    if not isinstance(found, list):
        yield _text(found, path)
        return
    if not found:
        raise NoImage(f"{path} is an empty list")
    for place, item in enumerate(found):
        try:
            yield _text(item, f"{path}[{place}]")
        except NoImage as error:
            yield error


def _text(found: object, path: str) -> str:
    if not isinstance(found, str):
        raise NoImage(f"{path} is {_kind(found)}, not the address of an image")
    if not found.strip():
        raise NoImage(f"{path} is empty")
    return found


def _part(data: Mapping[str, object], path: str) -> str:
    """What replaces a variable amid other text."""
    found = _get(data, path)
    if isinstance(found, int | float) and not isinstance(found, bool):
        return f"{found:g}" if isinstance(found, float) else str(found)
    return _text(found, path)


def _get(data: Mapping[str, object], path: str) -> object:
    """lodash's `get`: a key that is written just so comes before the path. Raises `NoImage` naming what there is."""
    if path in data:
        return data[path]
    found: object = data
    walked = ""
    for key in re.findall(r"[^.[\]]+", path):
        step = MISSING
        if isinstance(found, Mapping):
            step = found.get(key, MISSING)
        elif isinstance(found, list) and _PLACE.fullmatch(key) and int(key) < len(found):
            step = found[int(key)]
        if step is MISSING:
            raise NoImage(f"task data has no {path}: {_here(found, walked)}")
        found, walked = step, f"{walked}.{key}".lstrip(".")
    return found


def _here(found: object, walked: str) -> str:
    """Where the path ended, and what could have been taken there."""
    if isinstance(found, Mapping):
        keys = [_short(str(key)) for key in list(found)[:MOST_KEYS]]
        more = [f"and {len(found) - MOST_KEYS} more"] if len(found) > MOST_KEYS else []
        return f"{walked or 'it'} has {', '.join(keys + more) or 'no keys'}"
    return f"{walked} is {_kind(found)}"


def _kind(found: object) -> str:
    """What a value is, in words."""
    if found is None:
        return "null"
    if isinstance(found, bool):
        return "true" if found else "false"
    if isinstance(found, int | float):
        return f"a number ({_short(str(found))})"
    if isinstance(found, list):
        return f"a list of {len(found)}" if found else "an empty list"
    return "text" if isinstance(found, str) else "an object"


def _short(text: str) -> str:
    shown = "".join(letter if letter.isprintable() else "\ufffd" for letter in text)
    return shown if len(shown) <= LONGEST else shown[:LONGEST] + "..."
