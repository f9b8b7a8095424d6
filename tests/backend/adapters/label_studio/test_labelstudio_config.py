"""What `parse_config` reads from label configs, and what it says about those that cannot do everything."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import pytest

from backend.adapters.label_studio.config import parse_config
from scripts.demo_images import Images

IMAGE = '<Image name="img" value="$image"/>'
PETS = '<Choice value="cat"/><Choice value="dog"/>'


def test_one_image_with_a_single_choice_gets_everything() -> None:
    config = parse_config(
        f'<View>{IMAGE}<Choices name="pet" toName="img" choice="single-radio">{PETS}</Choices></View>'
    )
    assert (config.image_key, config.target.tag, config.target.about) == ("image", "pet", "img")
    assert config.classes == ("cat", "dog")
    assert config.target.kind == "one" and config.problem == ""


def test_classes_are_what_annotations_hold_the_alias_before_the_value() -> None:
    choices = '<Choice value="Cat, small" alias="cat"/><Choice value="dog"/><Choice value="dog"/>'
    config = parse_config(f'<View>{IMAGE}<Choices name="pet" toName="img">{choices}</Choices></View>')
    assert config.classes == ("cat", "dog")


NESTED = (
    '<View><Choice value="pet"><Choice value="cat" alias="c/t"/><Choice value="dog"/></Choice></View>'
    '<Choice value="car"><Choice value="van"/></Choice><Choice value="none"/>'
)


def test_without_allow_nested_only_the_top_level_can_be_chosen() -> None:
    config = parse_config(f'<View><View>{IMAGE}</View><Choices name="c" toName="img">{NESTED}</Choices></View>')
    assert config.classes == ("pet", "car", "none") and config.target.kind == "one" and not config.target.nested


def test_the_classes_of_nested_choices_are_their_paths() -> None:
    """(10-nested) A parent with one choice below it is that choice: the editor ticks both or none."""
    config = parse_config(f'<View>{IMAGE}<Choices name="c" toName="img" allowNested="true">{NESTED}</Choices></View>')
    assert config.classes == ("pet", r"pet/c\/t", "pet/dog", "car/van", "none")
    assert config.target.kind == "one" and config.target.nested and config.problem == ""


def test_the_first_choices_on_an_image_is_taken_and_all_images_are_shown() -> None:
    text = f'<Text name="note" value="$note"/><Choices name="mood" toName="note">{PETS}</Choices>'
    images = '<Image name="left" value="$left"/><Image name="right" value="$right"/>'
    taken = f'<Choices name="pet" toName="right">{PETS}</Choices><Choices name="later" toName="left">{PETS}</Choices>'
    config = parse_config(f"<View>{text}{images}{taken}</View>")
    assert (config.target.tag, config.target.about) == ("pet", "right")
    assert config.shown == ("$left", "$right") and config.problem == ""
    assert config.left_out == (("mood", "is not about an image"), ("later", ""))


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (f'{IMAGE}<Choices name="p" toName="img" value="$options"/>', "takes its choices from each task"),
        (f'{IMAGE}<BrushLabels name="m" toName="img" value="$labels"/>', "takes its labels from each task"),
        (f'{IMAGE}<Taxonomy name="t" toName="img" apiUrl="https://x.org/t"/>', "takes its nodes from each task or"),
        (f'{IMAGE}<TextArea name="t" toName="img"/>', "t is TextArea, which names no classes"),
        (f'{IMAGE}<Number name="n" toName="img"/>', "takes any number"),
        (f'{IMAGE}<Number name="n" toName="img" min="0" max="100"/>', "takes 101 values"),
        (IMAGE, "has no control tag"),
    ],
)
def test_configs_that_name_no_classes_keep_the_queue_and_say_what_fails(body: str, says: str) -> None:
    config = parse_config(f"<View>{body}</View>")
    assert config.image_key == "image" and config.target.kind == "none" and not config.learnt
    assert says in config.problem
    assert "queue's order work" in config.problem and "margin, entropy" in config.problem


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (f'<View><Text name="t" value="$t"/><Choices name="c" toName="t">{PETS}</Choices></View>', "no Image tag"),
        ("<View/>", "no Image tag"),
        ("", "cannot be read"),
        ("<View><Image", "cannot be read"),
        (f'<View><Image name="img"/><Choices name="c" toName="img">{PETS}</Choices></View>', "value is missing"),
        (f'<View><Image name="i" value="a.png"/><Choices name="c" toName="i">{PETS}</Choices></View>', "task data"),
        ('<View><Image name="i" value="$my-image"/></View>', "reads only '$my' of it"),
        ('<View><Image name="i" value="$größe"/></View>', "reads only '$gr' of it"),
        ('<View><Image name="i" value="$a..b"/></View>', "'$a..b' is no path"),
        ('<View><Repeater on="$i"><Image name="i" value="$i[{{x}}]"/></Repeater></View>', "stands in a Repeater"),
        ('<View><Image name="i" value="$images[]"/></View>', "'$images[]' is no path"),
    ],
)
def test_configs_without_a_usable_image_say_why(text: str, says: str) -> None:
    config = parse_config(text)
    assert config.image_key is None and says in config.problem


def test_the_demos_config_is_read_and_one_character_labels_have_their_own_key() -> None:
    text = Images("k", "t", ("0", "a & b", '"'), ()).label_config
    config = parse_config(text)
    assert config.classes == ("0", "a & b", '"') and config.target.kind == "one" and config.problem == ""
    keys = [choice.get("hotkey") for choice in ElementTree.fromstring(text).iter("Choice")]
    assert keys == ["0", None, '"']


FLAG = '<Choices name="flag" toName="img"><Choice value="broken"/></Choices>'
MANY = f'<Choices name="many" toName="img" choice="multiple">{PETS}</Choices>'
EACH = f'<Choices name="each" toName="img" perRegion="true">{PETS}</Choices>'
BOXES = '<RectangleLabels name="boxes" toName="img"><Label value="a"/></RectangleLabels>'
PET = f'<Choices name="pet" toName="img">{PETS}</Choices>'


def test_a_tag_about_two_images_is_suggested_for_one_by_its_name() -> None:
    """Label Studio drops predictions for "img,img2"."""
    pet = f'<Choices name="pet" toName="b,img">{PETS}</Choices>'
    config = parse_config(f'<View>{IMAGE}<Image name="b" value="$b"/>{pet}</View>')
    assert (config.target.about, config.target.kind) == ("b", "one")


@pytest.mark.parametrize("before", [FLAG, MANY, EACH, BOXES, FLAG + MANY + EACH + BOXES])
def test_the_first_choices_that_gives_one_class_is_taken_wherever_it_stands(before: str) -> None:
    """(10-F4) A flag, multiple choices or choices for each region do not hide a good one that follows."""
    config = parse_config(f"<View>{IMAGE}{before}{PET}</View>")
    assert (config.target.tag, config.target.kind, config.problem) == ("pet", "one", "")
    assert config.left_out == tuple((name, "") for name in ("flag", "many", "each", "boxes") if f'"{name}"' in before)


def test_the_tag_asked_for_is_taken() -> None:
    """(10-F4) learn_from=TAG overrides the first."""
    other = f'<Choices name="mood" toName="img">{PETS}</Choices>'
    config = parse_config(f"<View>{IMAGE}{PET}{other}</View>", "mood")
    assert (config.target.tag, config.left_out, config.asked) == ("mood", (("pet", ""),), "mood")


def test_a_tag_asked_for_that_is_not_there_or_cannot_be_learnt_from_is_said() -> None:
    """(10-F4) Nothing else is learnt in its place."""
    gone = parse_config(f"<View>{IMAGE}{PET}{FLAG}</View>", "mood")
    assert gone.target.kind == "none" and "no such tag; it has: pet, flag" in gone.problem
    note = '<TextArea name="note" toName="img"/>'
    unfit = parse_config(f"<View>{IMAGE}{PET}{note}</View>", "note")
    assert unfit.target.kind == "none" and "'note' is TextArea, which names no classes" in unfit.problem


def test_an_image_that_is_the_same_for_all_tasks_is_left_out_beside_one_that_is_not() -> None:
    """(10-D3) A legend beside the task's image is no page of it."""
    config = parse_config(f'<View><Image name="legend" value="/static/legend.png"/>{IMAGE}{PET}</View>')
    assert config.shown == ("$image",) and [tag for tag, _ in config.unshown] == ["legend"]


@pytest.mark.parametrize(
    ("tag", "value"),
    [
        ('value="$image.url"', "$image.url"),
        ('value="$images[0].url"', "$images[0].url"),
        ('value=" $image "', "$image"),
        ('value="${image}"', "${image}"),
        ('valueList="$pages"', "$pages"),
        ('value="https://cdn.example/$name"', "https://cdn.example/$name"),
    ],
)
def test_values_that_the_editor_follows_are_taken(tag: str, value: str) -> None:
    """(10-D2) Each of these was seen to show its image in Label Studio's editor."""
    config = parse_config(f'<View><Image name="img" {tag}/>{PET}</View>')
    assert config.shown == (value,) and config.problem == ""


def labelled(image: str, choices: str) -> str:
    return f'<View>{image}<Choices {choices}><Choice value="a"/><Choice value="b"/></Choices></View>'


SHOWN = '<Image name="i" value="$image"/>'


@pytest.mark.parametrize(
    ("image", "told"),
    [
        ('<Image name="i"/>', 'the Image tag\'s value is missing; write value="$image"'),
        ('<Image name="i" value=" "/>', "the Image tag's value is missing"),
        ('<Image value="$image"/>', 'the Image tag\'s name is missing; write name="image"'),
        (f'<Image name="i" value="$images[{"9" * 5000}]"/>', "is no path that Label Studio's editor follows"),
        ('<Image name="i" value="$images[]"/>', "'$images[]' is no path"),
        ('<Image name="i" value="$images[-1]"/>', "reads only '$images[' of it"),
    ],
)
def test_an_image_tag_that_shows_nothing_is_told_for_what_it_lacks(image: str, told: str) -> None:
    """(10-D2) Refused at connect, in words of a length that people read."""
    problem = parse_config(labelled(image, 'name="c" toName="i"')).problem
    assert told in problem and len(problem) < 300


def test_an_image_tag_without_a_value_beside_a_good_one_is_left_out_and_named() -> None:
    config = parse_config(labelled(SHOWN + '<Image name="j"/>', 'name="c" toName="i"'))
    assert config.target.kind == "one" and config.unshown[0][0] == "j" and "value is missing" in config.unshown[0][1]


@pytest.mark.parametrize("on", ['perRegion="True"', 'perItem="TRUE"', 'perregion="true"', 'choice="Multiple"'])
def test_true_in_capitals_is_true(on: str) -> None:
    """(10-F4) Choices for each region were taken as one class an image."""
    meant = {"perregion": "perRegion", "True": "true", "TRUE": "true", "Multiple": "multiple"}
    plain = on
    for odd, usual in meant.items():
        plain = plain.replace(odd, usual)
    odd_one, usual_one = (parse_config(labelled(SHOWN, f'name="c" toName="i" {said}')) for said in (on, plain))
    assert odd_one == usual_one != parse_config(labelled(SHOWN, 'name="c" toName="i"'))


@pytest.mark.parametrize("names", ['name="c" toName=""', 'name="c"', 'toName="i"', 'name="c" toName="," '])
def test_choices_without_a_name_or_an_image_are_not_learnt_from(names: str) -> None:
    config = parse_config(labelled(SHOWN, names))
    assert config.target.kind != "one" and config.image_key == "image" and config.problem


def test_names_that_stand_twice_are_read_once() -> None:
    """Label Studio refuses such a config, but its database may hold one."""
    twice = labelled(SHOWN + SHOWN, 'name="c" toName="i"')
    config = parse_config(twice.replace("</View>", twice.removeprefix("<View>")))
    assert (config.target.kind, config.target.classes, config.images) == ("one", ("a", "b"), ("$image",))
