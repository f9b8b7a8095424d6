"""The status page at /: what a person who opens our address sees. Plain HTML, no scripts, nothing from elsewhere."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from pathlib import Path

from flask import Blueprint, make_response, render_template
from flask.typing import ResponseReturnValue

from backend import __version__
from backend.core.errors import QueueDown
from backend.core.project import wording
from backend.core.project.status import ProjectStatus, status
from backend.core.services import Services
from backend.core.text.masking import mask_url
from backend.core.text.printable import printable
from backend.settings import Settings
from backend.web.describe import describe

STYLE = Path(__file__).parent / "templates" / "page.css"


def blueprint(services: Services, settings: Settings) -> Blueprint:
    made = Blueprint("page", __name__)
    made.add_app_template_filter(wording.duration, "age")

    @made.get("/")
    @describe(None)
    def page() -> ResponseReturnValue:
        """The status page, for people."""
        shown: list[ProjectStatus] = []
        down = False
        projects = services.projects.all()
        try:
            shown = [status(services, project) for project in projects]
        except QueueDown:
            down = True
        text = render_template(
            "page.html",
            projects=shown,
            words=wording,
            down=down,
            url=mask_url(settings.public_url),
            label_studio=mask_url(settings.label_studio_url),
            version=__version__,
            style=_style(),
        )
        response = make_response(text)
        response.headers["Content-Security-Policy"] = (
            f"default-src 'none'; img-src data:; style-src 'sha256-{_digest()}'; "
            "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
        )
        return response

    return made


def shown(value: object) -> object:
    """What a template prints: text from the world (titles, names of classes) without control characters."""
    return printable(value) if type(value) is str else value  # not `Markup`, which is ours


@cache
def _style() -> str:
    return STYLE.read_text(encoding="utf-8")


@cache
def _digest() -> str:
    return base64.b64encode(hashlib.sha256(_style().encode()).digest()).decode()
