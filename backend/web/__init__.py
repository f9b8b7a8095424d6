"""Our HTTP face: Label Studio's ML-backend protocol, a small API, a status page."""

from backend.web.app import create_app

__all__ = ["create_app"]
