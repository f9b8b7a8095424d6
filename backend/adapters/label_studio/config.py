"""Read a Label Studio label config: which tags show the images, which one takes the class.

Parsing is label-studio-sdk's `LabelInterface`, loaded on first use (0.3 s, 50 MB).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any
from xml.etree import ElementTree

from backend.adapters.label_studio.data import NoImage, check_value
from backend.core.domain import LabelConfig
from backend.core.kinds.choices import path_name

STILL_WORKS = "features, the strategies that need no class probabilities and the queue's order work"
NO_CLASSES = f"{STILL_WORKS}; margin, entropy and suggested labels do not"


def parse_config(label_config: str, learn_from: str = "") -> LabelConfig:
    """What of a label config concerns us; never raises, `problem` says what cannot work and why.

    The tag taken is the one named by `learn_from`, else the first Choices on an Image that gives one class a task, else
    the first one. Classes are what annotations will hold: a choice's alias if it has one, else its value; of nested
    choices the path.
    """
    from label_studio_sdk._legacy.exceptions import LabelStudioXMLSyntaxErrorSentryIgnored
    from label_studio_sdk.label_interface.interface import LabelInterface

    try:
        interface = LabelInterface(label_config)
        tree = ElementTree.fromstring(label_config)
    except (LabelStudioXMLSyntaxErrorSentryIgnored, ElementTree.ParseError, ValueError, KeyError) as error:
        trouble = f"the label config cannot be read ({error}); correct it in Settings > Labeling Interface"
        return LabelConfig(None, None, None, (), False, trouble, asked=learn_from)
    tags = {tag.name: tag for tag in interface.objects if tag.tag == "Image"}
    if not tags:
        trouble = "the label config has no Image tag: LabelQueue orders images only; add <Image> to the config"
        return LabelConfig(None, None, None, (), False, trouble, asked=learn_from)
    images, unshown = _images(tags)
    if not images:
        trouble = "; ".join(f"the Image tag's {why}" for why in unshown.values())
        return LabelConfig(None, None, None, (), False, trouble, asked=learn_from)
    refused = {tag.name: _no_single_choice(tag, tags) for tag in interface.controls}
    name, problem = _chosen(interface.controls, refused, learn_from)
    control = next((tag for tag in interface.controls if tag.name == name), None)
    nested = control is not None and _is_nested(control)
    return LabelConfig(
        image_key=check_value(images[0]),
        from_name=name,
        to_name=None if control is None else next((shown for shown in _names(control) if shown in tags), None),
        classes=() if control is None else tuple(dict.fromkeys(_classes(tree, control.name, nested))),
        single_choice=not problem,
        problem=problem,
        images=tuple(images),
        nested=nested,
        left_out=tuple((tag, why) for tag, why in refused.items() if tag != name),
        unshown=tuple(unshown.items()),
        asked=learn_from,
    )


def _images(tags: dict[str, Any]) -> tuple[list[str], dict[str, str]]:
    """(values that show images, tag -> why the others do not)."""
    good: list[str] = []
    bad: dict[str, str] = {}
    for name, tag in tags.items():
        try:
            check_value(tag.value.strip())
            good.append(tag.value.strip())
        except NoImage as error:
            bad[name] = str(error)
    return list(dict.fromkeys(good)), bad


def _chosen(controls: Iterable[Any], refused: dict[str, str], learn_from: str) -> tuple[str | None, str]:
    """(the tag to learn from, why nothing can be learnt from it or "").

    If none can be learnt from, the first Choices is named, so that its classes are known. `refused`: why each cannot be
    learnt from.
    """
    if learn_from and learn_from not in refused:
        there = ", ".join(refused) or "none"
        return None, f"learn_from names {learn_from!r}, and the label config has no such tag; it has: {there}"
    good = learn_from or next((name for name, why in refused.items() if not why), None)
    if good is None:
        good = next((tag.name for tag in controls if tag.tag == "Choices"), None)
    if good is not None:
        return good, f"tag {good!r} {refused[good]}: {NO_CLASSES}" if refused[good] else ""
    tags = ", ".join(sorted({tag.tag for tag in controls})) or "no control tag"
    return None, f"no Choices tag on the image ({tags}): {NO_CLASSES}"


def _no_single_choice(control: Any, images: dict[str, Any]) -> str:
    """Why this tag does not give one class an image, or ""."""
    if control.tag != "Choices":
        return f"is {control.tag}, and only Choices are learnt from"
    if not any(name in images for name in _names(control)):
        return "is not about an image"
    if control.dynamic_value:
        return "takes its choices from each task, so that the classes are not known"
    if control.attr.get("choice", "single").startswith("multiple"):
        return "takes several choices an image"
    if control.attr.get("perRegion") == "true" or control.attr.get("perItem") == "true":
        return "is asked for each region, not for the image"
    if len(set(control.labels or ())) < 2:
        return "has fewer than two choices"
    return ""


def _names(control: Any) -> list[str]:
    """The tags that a control is about: one, or several with commas between."""
    return [name.strip() for name in control.to_name]


def _is_nested(control: Any) -> bool:
    return control.tag == "Choices" and str(control.attr.get("allowNested")).lower() == "true"


def _classes(tree: ElementTree.Element, name: str, nested: bool) -> Iterator[str]:
    """What can be chosen with the tag: all choices of its top level, or the path of each choice below it too.

    Without `allowNested` the editor shows the top level only. With it, ticking a choice ticks all below it; if there is
    just one, either says the same, and the lower one stands for both.
    """
    for control in tree.iter():
        if control.get("name") == name:
            for path, below in _choices(control, ()):
                if nested and below != 1:
                    yield path_name(path)
                elif not nested and len(path) == 1:
                    yield path[0]


def _choices(element: ElementTree.Element, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], int]]:
    """(path, choices right below it) of each Choice in document order; Views between them do not count."""
    for child in element:
        name = child.get("alias") or child.get("value")
        if child.tag == "Choice" and name is not None:
            lower = list(_choices(child, (*path, name)))
            yield (*path, name), sum(len(found) == len(path) + 2 for found, _ in lower)
            yield from lower
        elif child.tag != "Choice":
            yield from _choices(child, path)
