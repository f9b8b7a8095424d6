"""Read a Label Studio label config: which tag shows the image, which one takes the class.

Parsing is label-studio-sdk's `LabelInterface`, loaded on first use (0.3 s, 50 MB).
"""

from __future__ import annotations

import re
from typing import Any

from backend.core.domain import LabelConfig

STILL_WORKS = "features, the strategies that need no class probabilities and the queue's order work"
NO_CLASSES = f"{STILL_WORKS}; margin, entropy and suggested labels do not"


def parse_config(label_config: str) -> LabelConfig:
    """What of a label config concerns us; never raises, `problem` says what cannot work and why.

    The Choices tag taken is the first whose toName is an Image. Classes are what annotations will hold: a choice's
    alias if it has one, else its value.
    """
    from label_studio_sdk._legacy.exceptions import LabelStudioXMLSyntaxErrorSentryIgnored
    from label_studio_sdk.label_interface.interface import LabelInterface

    try:
        interface = LabelInterface(label_config)
    except (LabelStudioXMLSyntaxErrorSentryIgnored, ValueError, KeyError) as error:
        return _without(f"the label config cannot be read ({error}); correct it in Settings > Labeling Interface")
    images = {tag.name: tag for tag in interface.objects if tag.tag == "Image"}
    if not images:
        return _without("the label config has no Image tag: LabelQueue orders images only; add <Image> to the config")
    control, shown = _choices(interface.controls, images)
    image = images[shown] if shown else next(iter(images.values()))
    key, trouble = _image_key(image)
    if control is None:
        boxes = sorted({tag.tag for tag in interface.controls}) or ["no control tag"]
        trouble = trouble or f"no Choices tag on the image ({', '.join(boxes)}): {NO_CLASSES}"
        return LabelConfig(key, None, None, (), False, trouble)
    reason = _no_single_choice(control)
    return LabelConfig(
        image_key=key,
        from_name=control.name,
        to_name=shown,
        classes=tuple(dict.fromkeys(control.labels or ())),
        single_choice=not reason,
        problem=trouble or reason,
    )


def _without(problem: str) -> LabelConfig:
    return LabelConfig(None, None, None, (), False, problem)


def _choices(controls: Any, images: dict[str, Any]) -> tuple[Any, str | None]:
    """The first Choices tag on an Image and that image's name."""
    for tag in controls:
        shown = [name.strip() for name in tag.to_name if name.strip() in images]
        if tag.tag == "Choices" and shown:
            return tag, shown[0]
    return None, None


def _image_key(image: Any) -> tuple[str | None, str]:
    """Key of the task data under `value="$key"`, and why there is none."""
    if image.attr.get("valueList"):
        return None, "the Image tag shows a list of images (valueList); LabelQueue ranks one image a task"
    found = re.fullmatch(r"\$(\w[^\s,{}]*)|\$\{(\w[^\s,{}]*)\}", image.value or "")
    if not found:
        return None, f'the Image tag\'s value {image.value!r} does not name task data; use value="$image"'
    return found[1] or found[2], ""


def _no_single_choice(control: Any) -> str:
    """Why this Choices tag does not give one class an image, or ""."""
    name = f"Choices tag {control.name!r}"
    if control.dynamic_value:
        return f"{name} takes its choices from each task, so that the classes are not known: {NO_CLASSES}"
    if control.attr.get("choice", "single").startswith("multiple"):
        return f"{name} takes several choices an image: {NO_CLASSES}"
    if control.attr.get("perRegion") == "true" or control.attr.get("perItem") == "true":
        return f"{name} is asked for each region, not for the image: {NO_CLASSES}"
    if len(set(control.labels or ())) < 2:
        return f"{name} has fewer than two choices: {NO_CLASSES}"
    return ""
