"""What each label config is learnt as: Label Studio's own templates with an image, and variants that people write."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path

import pytest

from backend.adapters.label_studio.config import parse_config
from backend.core.domain import LabelConfig

TEMPLATES: dict[str, str] = json.loads(Path(__file__).with_name("templates.json").read_text(encoding="utf-8"))
"""Of Label Studio 1.23.2 without their styles and comments: all with an image, and those of other media."""

INSTALLED = next(
    iter(Path(__file__).parents[4].glob(".venv-ls/lib/python3*/site-packages/label_studio/annotation_templates")), None
)
NO_IMAGE = "no Image tag"

LEARNT = {
    "community-contributions/breast-cancer-mammogram-classification": ("one", "birads_left", 7),
    "community-contributions/ocr-invoices-pre-ner-bio-format": ("set", "label", 1),
    "computer-vision/image-captioning": ("none", "caption is TextArea", 0),
    "computer-vision/image-classification": ("one", "choice", 3),
    "computer-vision/inventory-tracking": ("none", "objects takes its labels from each task", 0),
    "computer-vision/keypoints": ("set", "kp-1", 2),
    "computer-vision/medical-image-classification-with-bboxes": ("one", "classification", 3),
    "computer-vision/multipage-documents": ("set", "rectangles", 5),
    "computer-vision/object-detection-with-bounding-boxes": ("set", "label", 2),
    "computer-vision/optical-character-recognition": ("set", "label", 2),
    "computer-vision/pdf_ocr": ("none", NO_IMAGE, 0),
    "computer-vision/semantic-segmentation-with-masks": ("set", "tag", 2),
    "computer-vision/semantic-segmentation-with-polygons": ("set", "label", 2),
    "computer-vision/visual-genome": ("none", "regions takes its labels from each task", 0),
    "computer-vision/visual-question-answering": ("none", "aspect is not about an image", 0),
    "generative-ai/llm-ranker": ("none", NO_IMAGE, 0),
    "generative-ai/visual-ranker": ("none", NO_IMAGE, 0),
    "ranking-and-scoring/content-based-image-search": ("set", "similar", 3),
    "ranking-and-scoring/pairwise-regression": ("one", "rating", 5),
    "ranking-and-scoring/text-to-image": ("none", NO_IMAGE, 0),
    "structured-data-parsing/pdf-classification": ("none", NO_IMAGE, 0),
    "videos/video-classification": ("none", NO_IMAGE, 0),
    "videos/video-frame-classification": ("none", NO_IMAGE, 0),
    "videos/video-object-tracking": ("none", NO_IMAGE, 0),
    "videos/video-timeline-segmentation": ("none", NO_IMAGE, 0),
}


@pytest.mark.parametrize("name", TEMPLATES)
def test_each_template_is_learnt_as_its_kind_or_said_not_to_be(name: str) -> None:
    """(12-1) Of 16 templates with an image twelve teach, four keep a geometric order; other media are refused."""
    kind, told, classes = LEARNT[name]
    config = parse_config(TEMPLATES[name])
    assert config.target.kind == kind and len(config.classes) == classes
    if kind == "none":
        assert told in config.problem and (config.image_key is None) == (told == NO_IMAGE)
    else:
        assert config.target.tag == told and config.image_key is not None


@pytest.mark.skipif(INSTALLED is None, reason="Label Studio is not installed here")
def test_no_template_of_the_installed_label_studio_is_missing() -> None:
    """(12-1) A newer Label Studio's templates are to be added to the table."""
    assert INSTALLED is not None
    shown = {path.parent.relative_to(INSTALLED).as_posix() for path in INSTALLED.glob("*/*/config.yml") if _image(path)}
    assert shown and shown <= set(TEMPLATES)


def _image(path: Path) -> bool:
    return re.search(r"<Image\b", path.read_text(encoding="utf-8")) is not None


def body(tags: str, image: str = '<Image name="img" value="$image"/>') -> str:
    return f"<View>{image}{tags}</View>"


def choices(options: str, more: str = "", name: str = "c") -> str:
    return f'<Choices name="{name}" toName="img" {more}>{options}</Choices>'


def drawn(tag: str, more: str = "", options: str = '<Label value="Car"/><Label value="Van"/>') -> str:
    return f'<{tag} name="d" toName="img" {more}>{options}</{tag}>'


PETS = '<Choice value="cat"/><Choice value="dog"/>'
TREE = '<Choice value="Animal"><Choice value="Cat"/><Choice value="Dog"/></Choice><Choice value="Other"/>'
PATHS = ("Animal", "Animal/Cat", "Animal/Dog", "Other")
CARS = ("Car", "Van")
FLAG = choices('<Choice value="defect"/>', name="flag")
STATES = '<Label value="Car" hotkey="1" background="#fff" selected="true"/><Label value="Van" alias="v"/>'

VARIANTS: list[tuple[str, str, str, tuple[str, ...]]] = [
    (choices(PETS), "one", "c", ("cat", "dog")),
    (choices(PETS, 'choice="single-radio" layout="inline" required="true"'), "one", "c", ("cat", "dog")),
    (choices(PETS, 'choice="multiple"'), "set", "c", ("cat", "dog")),
    (choices(PETS, 'choice="multiple" layout="select" showInLine="true"'), "set", "c", ("cat", "dog")),
    (choices('<Choice value="defect"/>'), "set", "c", ("defect",)),
    (choices('<Choice value="Cat" alias="c" hotkey="1"/><Choice value="Dog" alias="d"/>'), "one", "c", ("c", "d")),
    (choices('<Choice value="a"/><Choice value="a"/><Choice value="b"/>'), "one", "c", ("a", "b")),
    (choices('<Choice value="a"/><Choice value="a"/>'), "set", "c", ("a",)),
    (choices('<Choice value="A &amp; B"/><Choice value="&lt;5 &quot;x&quot;"/>'), "one", "c", ("A & B", '<5 "x"')),
    (choices('<Choice value="größe"/><Choice value="日本"/>', 'choice="multiple"'), "set", "c", ("größe", "日本")),
    (choices(PETS, 'visibleWhen="choice-selected" whenTagName="flag"') + FLAG, "one", "c", ("cat", "dog")),
    (choices(TREE, 'allowNested="true"'), "one", "c", PATHS),
    (choices(TREE, 'allowNested="true" choice="multiple"'), "set", "c", PATHS),
    (choices(TREE), "one", "c", ("Animal", "Other")),
    (choices(f"<View><Header value='x'/>{PETS}</View>"), "one", "c", ("cat", "dog")),
    (choices(PETS, 'perRegion="true"') + '<Rectangle name="r" toName="img"/>', "set", "c", ("cat", "dog")),
    (choices(PETS, 'perItem="true"'), "set", "c", ("cat", "dog")),
    (choices(PETS, 'value="$options"'), "none", "c takes its choices from each task", ()),
    (choices(""), "none", "c has no choices", ()),
    (FLAG + choices(PETS, 'choice="multiple"'), "set", "flag", ("defect",)),
    (choices(PETS, 'choice="multiple"', "m") + drawn("RectangleLabels"), "set", "m", ("cat", "dog")),
    (drawn("RectangleLabels") + choices(PETS), "one", "c", ("cat", "dog")),
    (f'<Taxonomy name="t" toName="img">{TREE}</Taxonomy>', "set", "t", PATHS),
    (f'<Taxonomy name="t" toName="img" leafsOnly="true" showFullPath="true">{TREE}</Taxonomy>', "set", "t", PATHS),
    ('<Taxonomy name="t" toName="img" value="$tree"/>', "none", "t takes its nodes from each task", ()),
    (drawn("RectangleLabels", 'canRotate="false" strokeWidth="3"'), "set", "d", CARS),
    (drawn("PolygonLabels"), "set", "d", CARS),
    (drawn("BrushLabels"), "set", "d", CARS),
    (drawn("KeyPointLabels", 'opacity="0.5"'), "set", "d", CARS),
    (drawn("EllipseLabels"), "set", "d", CARS),
    (drawn("BitmaskLabels"), "set", "d", CARS),
    (drawn("VectorLabels"), "set", "d", CARS),
    (drawn("Labels", 'allowEmpty="true"') + '<Polygon name="p" toName="img"/>', "set", "d", CARS),
    (drawn("RectangleLabels", "", STATES), "set", "d", ("Car", "v")),
    (drawn("RectangleLabels", 'visibleWhen="choice-selected" whenTagName="flag"', STATES), "set", "d", ("Car", "v")),
    (drawn("RectangleLabels", "", ""), "none", "d has no labels", ()),
    ('<Brush name="b" toName="img"/>', "none", "b is Brush, which names no classes", ()),
    ('<Rating name="r" toName="img"/>', "one", "r", ("1", "2", "3", "4", "5")),
    ('<Rating name="r" toName="img" maxRating="3" icon="heart"/>', "one", "r", ("1", "2", "3")),
    ('<Rating name="r" toName="img" perRegion="true"/>', "none", "r is asked for each region", ()),
    ('<Number name="n" toName="img" min="0" max="2"/>', "one", "n", ("0", "1", "2")),
    ('<Number name="n" toName="img" min="0" max="1" step="0.5"/>', "one", "n", ("0", "0.5", "1")),
    ('<Number name="n" toName="img" min="0" max="0.3" step="0.1"/>', "one", "n", ("0", "0.1", "0.2", "0.3")),
    ('<Number name="n" toName="img" min="low" max="2"/>', "none", "n takes any number", ()),
    ('<Number name="n" toName="img" min="0" max="2" step="0"/>', "none", "n takes any number", ()),
    ('<Number name="n" toName="img" min="0" max="1e999"/>', "none", "values", ()),
    ('<Pairwise name="p" toName="img,img"/>', "none", "p is Pairwise, which names no classes", ()),
    ('<TextArea name="t" toName="img"/><DateTime name="w" toName="img"/>', "none", "w is DateTime", ()),
    (
        f'<Text name="t" value="$n"/><Choices name="c" toName="t">{PETS}</Choices>',
        "none",
        "c is not about an image",
        (),
    ),
]


@pytest.mark.parametrize(("tags", "kind", "told", "classes"), VARIANTS)
def test_each_variant_is_learnt_as_its_kind_or_said_not_to_be(
    tags: str, kind: str, told: str, classes: tuple[str, ...]
) -> None:
    """(12-1) The queue's order works with all of them."""
    config = parse_config(body(tags))
    assert (config.target.kind, config.classes, config.image_key) == (kind, classes, "image")
    assert told in config.problem if kind == "none" else config.target.tag == told


IMAGES = [
    ('<Image name="img" valueList="$pages"/>', "img", ("$pages",)),
    ('<Image name="img" value="$a"/><Image name="b" value="$b"/>', "img", ("$a", "$b")),
    ('<Image name="b" value="$b"/><Image name="img" value="$a.url"/>', "b,img", ("$b", "$a.url")),
    ('<Image name="img" value="$a"/><Text name="b" value="$t"/>', "b,img", ("$a",)),
]


@pytest.mark.parametrize(("images", "about", "shown"), IMAGES)
@pytest.mark.parametrize("tag", ["Choices", "RectangleLabels", "Taxonomy", "Rating"])
def test_several_pages_or_images_are_one_task_of_one_label(
    tag: str, images: str, about: str, shown: tuple[str, ...]
) -> None:
    """(12-1) Predictions name a single Image tag: Label Studio drops those for "b,img"."""
    option = "Label" if tag.endswith("Labels") else "Choice"
    options = "" if tag == "Rating" else f'<{option} value="x"/><{option} value="y"/>'
    config = parse_config(f'<View>{images}<{tag} name="c" toName="{about}">{options}</{tag}></View>')
    images_named = [name for name in about.split(",") if f'<Image name="{name}"' in images]
    assert config.target.kind in ("one", "set") and config.shown == shown
    assert config.target.about == images_named[0]


def test_entities_of_html_are_read_as_label_studio_reads_them() -> None:
    """(12-1) What annotations hold is the text, not how the config wrote it."""
    wanted = 'a<b> & "c"'
    found = parse_config(body(choices(f'<Choice value="{html.escape(wanted)}"/>{PETS}', 'choice="multiple"')))
    assert found.classes[0] == wanted


@pytest.mark.parametrize("tag", ["m", "d", "r"])
def test_each_tag_that_can_be_learnt_from_can_be_asked_for(tag: str) -> None:
    """(12-1) learn_from names it; the others are told to be there."""
    rating = '<Rating name="r" toName="img"/>'
    text = body(
        choices(PETS, 'choice="multiple"', "m") + drawn("BrushLabels") + rating + '<TextArea name="t" toName="img"/>'
    )
    config: LabelConfig = parse_config(text, tag)
    assert config.target.tag == tag and config.asked == tag
    assert dict(config.left_out) == {name: "" for name in "mdr" if name != tag} | {
        "t": "is TextArea, which names no classes"
    }
