"""The demo's images: the digits, or a person's own folder, put where Label Studio may serve them."""

from __future__ import annotations

import hashlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import quoteattr

KINDS = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif"}
DEFAULT_LABELS = ("yes", "no")


class DemoError(Exception):
    """What stops the demo, and what to do about it."""


@dataclass(frozen=True)
class Images:
    """What one project is made of. `key` tells projects apart over runs; paths lie below the served folder."""

    key: str
    title: str
    labels: tuple[str, ...]
    paths: tuple[Path, ...]
    note: str = ""

    @property
    def label_config(self) -> str:
        """An image small enough to be seen with its choices; a label of one character has that character as its key."""
        choices = "".join(
            f"<Choice value={quoteattr(label)}{f' hotkey={quoteattr(label)}' if len(label) == 1 else ''}/>"
            for label in self.labels
        )
        image = '<Image name="image" value="$image" zoom="true" maxWidth="420px"/>'
        question = f'<Choices name="label" toName="image" choice="single" layout="inline">{choices}</Choices>'
        return f"<View>{image}{question}</View>"


def drawn_digits(served: Path, n: int = 1797) -> Images:
    """The handwritten digits of scikit-learn as PNG files, drawn at the first call (about 2 s)."""
    from scripts.digits import digits

    return Images("digits", "Handwritten digits", tuple("0123456789"), tuple(digits(served / "digits", n)))


def own_images(folder: Path, served: Path, labels: tuple[str, ...] = ()) -> Images:
    """A person's folder: classes are `labels`, else the names of its sub-folders, else a stand-in with a note.

    The files are linked (copied, on another disk) below `served`, which Label Studio may read; the folder itself is
    not touched.
    """
    folder = folder.expanduser().resolve()
    if not folder.is_dir():
        raise DemoError(f"IMAGES={folder} is no folder; give one: make demo IMAGES=/path/to/images")
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in KINDS and path.is_file())
    if not found:
        raise DemoError(f"no images below {folder} (looked for {', '.join(sorted(KINDS))}); give another folder")
    classes = tuple(sorted({path.relative_to(folder).parts[0] for path in found if path.parent != folder}))
    note = ""
    if not labels and len(classes) < 2:
        labels = DEFAULT_LABELS
        note = f"no class sub-folders in {folder.name}: the choices are {', '.join(labels)}; name yours with LABELS=a,b"
    key = hashlib.sha256(str(folder).encode()).hexdigest()[:12]
    paths = tuple(_serve(path, served / key / path.relative_to(folder)) for path in found)
    title = f"{folder.name} images"  # Label Studio wants at least three characters
    return Images(key, title[:50], labels or classes, paths, note)


def _serve(original: Path, place: Path) -> Path:
    if not place.exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(original, place)
        except OSError:  # another disk
            shutil.copy2(original, place)
    return place
