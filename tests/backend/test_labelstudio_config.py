"""What `parse_config` reads from label configs, and what it says about those that cannot do everything."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import pytest

from backend.adapters.labelstudio_config import parse_config
from scripts.demo_images import Images

IMAGE = '<Image name="img" value="$image"/>'
PETS = '<Choice value="cat"/><Choice value="dog"/>'


def test_one_image_with_a_single_choice_gets_everything() -> None:
    config = parse_config(
        f'<View>{IMAGE}<Choices name="pet" toName="img" choice="single-radio">{PETS}</Choices></View>'
    )
    assert (config.image_key, config.from_name, config.to_name) == ("image", "pet", "img")
    assert config.classes == ("cat", "dog")
    assert config.single_choice and config.problem == ""


def test_classes_are_what_annotations_hold_the_alias_before_the_value() -> None:
    choices = '<Choice value="Cat, small" alias="cat"/><Choice value="dog"/><Choice value="dog"/>'
    config = parse_config(f'<View>{IMAGE}<Choices name="pet" toName="img">{choices}</Choices></View>')
    assert config.classes == ("cat", "dog")


def test_nested_choices_and_views_are_read_in_order() -> None:
    nested = '<Choice value="pet"><Choice value="cat"/></Choice><Choice value="none"/>'
    config = parse_config(f'<View><View>{IMAGE}</View><Choices name="c" toName="img">{nested}</Choices></View>')
    assert set(config.classes) == {"pet", "cat", "none"} and config.single_choice


def test_the_first_choices_on_an_image_is_taken_and_its_image_shown() -> None:
    text = f'<Text name="note" value="$note"/><Choices name="mood" toName="note">{PETS}</Choices>'
    images = '<Image name="left" value="$left"/><Image name="right" value="$right"/>'
    taken = f'<Choices name="pet" toName="right">{PETS}</Choices><Choices name="later" toName="left">{PETS}</Choices>'
    config = parse_config(f"<View>{text}{images}{taken}</View>")
    assert (config.from_name, config.to_name, config.image_key) == ("pet", "right", "right")
    assert config.problem == ""


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (f'{IMAGE}<Choices name="p" toName="img" choice="multiple">{PETS}</Choices>', "several choices an image"),
        (f'{IMAGE}<Choices name="p" toName="img" value="$options"/>', "takes its choices from each task"),
        (f'{IMAGE}<Choices name="p" toName="img" perRegion="true">{PETS}</Choices>', "for each region"),
        (f'{IMAGE}<Choices name="p" toName="img"><Choice value="a"/></Choices>', "fewer than two choices"),
        (f'{IMAGE}<RectangleLabels name="b" toName="img"><Label value="a"/></RectangleLabels>', "RectangleLabels"),
        (f'{IMAGE}<BrushLabels name="m" toName="img"><Label value="a"/></BrushLabels>', "BrushLabels"),
        (IMAGE, "no Choices tag"),
    ],
)
def test_configs_without_one_class_an_image_keep_the_queue_and_say_what_fails(body: str, says: str) -> None:
    config = parse_config(f"<View>{body}</View>")
    assert config.image_key == "image" and not config.single_choice
    assert says in config.problem
    assert "queue's order work" in config.problem and "margin, entropy" in config.problem


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (f'<View><Text name="t" value="$t"/><Choices name="c" toName="t">{PETS}</Choices></View>', "no Image tag"),
        ("<View/>", "no Image tag"),
        ("", "cannot be read"),
        ("<View><Image", "cannot be read"),
        (f'<View><Image name="img"/><Choices name="c" toName="img">{PETS}</Choices></View>', "no Image tag"),
        (f'<View><Image name="i" valueList="$l"/><Choices name="c" toName="i">{PETS}</Choices></View>', "valueList"),
        (f'<View><Image name="i" value="a.png"/><Choices name="c" toName="i">{PETS}</Choices></View>', "task data"),
    ],
)
def test_configs_without_a_usable_image_say_why(text: str, says: str) -> None:
    config = parse_config(text)
    assert config.image_key is None and says in config.problem


def test_the_demos_config_is_read_and_one_character_labels_have_their_own_key() -> None:
    text = Images("k", "t", ("0", "a & b", '"'), ()).label_config
    config = parse_config(text)
    assert config.classes == ("0", "a & b", '"') and config.single_choice and config.problem == ""
    keys = [choice.get("hotkey") for choice in ElementTree.fromstring(text).iter("Choice")]
    assert keys == ["0", None, '"']
