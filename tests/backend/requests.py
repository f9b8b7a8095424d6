"""What Label Studio sends to the web process, and settings under which tests answer it."""

from __future__ import annotations

import base64

from backend.settings import Settings
from tests.backend.world import KEY, LS_ID
from tests.fakes import LABEL_CONFIG

SETUP = {"project": KEY, "schema": LABEL_CONFIG, "hostname": "http://evil", "access_token": "stolen-token"}
BASIC = {"Authorization": "Basic " + base64.b64encode(b"ls:pw").decode()}
START = {"action": "START_TRAINING", "project": {"id": LS_ID}}
CREATED = {
    "action": "ANNOTATION_CREATED",
    "project": {"id": LS_ID},
    "annotation": {"id": 1, "task": 1, "result": [], "updated_at": "2026-01-01T00:00:00Z"},
}


def settings(tmp_path, **given):
    return Settings(home=tmp_path, host="127.0.0.1", public_url="http://127.0.0.1:9090", **given)
