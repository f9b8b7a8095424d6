"""Read a Label Studio label config: which tags show the images, which ones take what people say of them.

Parsing is label-studio-sdk's `LabelInterface`, loaded on first use (0.3 s, 50 MB).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree

from backend.adapters.label_studio.data import NoImage, check_value
from backend.core.domain import Control, LabelConfig, Option
from backend.core.kinds.choose import choose

ONLY_IMAGES = "LabelQueue orders images only; add <Image> to the config"


def parse_config(label_config: str, learn_from: str = "") -> LabelConfig:
    """What of a label config concerns us; never raises, `problem` says what cannot work and why.

    Which tag is learnt from, and what: `core.kinds.choose`.
    """
    from label_studio_sdk._legacy.exceptions import LabelStudioXMLSyntaxErrorSentryIgnored
    from label_studio_sdk.label_interface.interface import LabelInterface

    try:
        interface = LabelInterface(label_config)
        tree = ElementTree.fromstring(label_config)
    except (LabelStudioXMLSyntaxErrorSentryIgnored, ElementTree.ParseError, ValueError, KeyError) as error:
        why = " ".join(str(error).split())[:200]
        trouble = f"the label config cannot be read ({why}); correct it in Settings > Labeling Interface"
        return LabelConfig(None, problem=trouble, asked=learn_from)
    tags = {tag.name: tag for tag in interface.objects if tag.tag == "Image"}
    unfinished = _unfinished(tree)
    if not tags:
        others = ", ".join(sorted({tag.tag for tag in interface.objects}))
        trouble = f"the label config has no Image tag{f' (but {others})' if others else ''}: {ONLY_IMAGES}"
        trouble = "; ".join(f"the Image tag's {why}" for why in unfinished.values()) or trouble
        return LabelConfig(None, problem=trouble, asked=learn_from)
    images, unshown = _images(tags)
    unshown |= unfinished
    if not images:
        trouble = "; ".join(f"the Image tag's {why}" for why in unshown.values())
        return LabelConfig(None, problem=trouble, asked=learn_from)
    chosen = choose([_control(tag, tags, tree) for tag in interface.controls], learn_from)
    return LabelConfig(
        image_key=check_value(images[0]),
        target=chosen.target,
        problem=chosen.problem,
        images=tuple(images),
        left_out=chosen.left_out,
        unshown=tuple(unshown.items()),
        asked=learn_from,
    )


def _unfinished(tree: ElementTree.Element) -> dict[str, str]:
    """Image tags that the editor shows nothing for, as their value or name is missing -> why."""
    found: dict[str, str] = {}
    for tag in tree.iter("Image"):
        for needed, like in (("name", 'name="image"'), ("value", 'value="$image", with the name of the task data')):
            if not (tag.get(needed) or (needed == "value" and tag.get("valueList")) or "").strip():
                found[tag.get("name") or "without a name"] = f"{needed} is missing; write {like}"
    return found


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


def _control(tag: Any, images: dict[str, Any], tree: ElementTree.Element) -> Control:
    """A control tag as the kinds take it. `toName` names one tag that it is about, or several with commas between."""
    about = tuple(name.strip() for name in tag.to_name)
    shown = tuple(name for name in about if name in images)
    element = next((found for found in tree.iter(tag.tag) if found.get("name") == tag.name), None)
    options = () if element is None else tuple(_options(element))
    return Control(tag.tag, tag.name, about, shown, dict(tag.attr), options, bool(tag.dynamic_value))


def _options(element: ElementTree.Element) -> Iterator[Option]:
    """Each Choice or Label in document order with those below it; Views between them do not count."""
    for child in element:
        if child.tag not in ("Choice", "Label"):
            yield from _options(child)
            continue
        name = child.get("alias") or child.get("value")
        if name is not None:
            yield Option(name, tuple(_options(child)))
