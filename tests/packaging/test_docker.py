"""The images' recipe is clean and the compose file is valid; no engine runs here, so nothing is built."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
DOCKER = ROOT / "docker"
SCHEMA_PACKAGE = "docker-compose==1.29.2"  # the one package of the index that ships the schema of the compose spec


def fill_in(text: str, values: dict[str, str]) -> str:
    """Interpolate ${NAME:-default} and ${NAME:?message} as compose does."""

    def value(match: re.Match[str]) -> str:
        name, _, kind, rest = match.groups()
        given = values.get(name, "")
        assert given or kind == "-", f"{name}: {rest}"
        return given or rest

    return re.sub(r"\$\{(\w+)(:([-?])([^}]*))?\}", value, text)


def example() -> dict[str, str]:
    lines = (DOCKER / ".env.example").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    filled = {name: value or "secret" for name, value in example().items()}
    return dict(yaml.safe_load(fill_in((DOCKER / "compose.yml").read_text(), filled)))


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    kept = ROOT / ".cache" / "compose_spec.json"
    if not kept.exists():
        folder = ROOT / ".cache" / "compose-schema"
        command = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "--quiet",
            "--no-deps",
            "--dest",
            str(folder),
            SCHEMA_PACKAGE,
        ]
        subprocess.run(command, check=True, capture_output=True, timeout=120)
        with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
            kept.write_bytes(wheel.read("compose/config/compose_spec.json"))
        shutil.rmtree(folder)
    text = kept.read_text().replace("http://json-schema.org/draft/2019-09", "https://json-schema.org/draft/2019-09")
    return dict(json.loads(text))


def test_hadolint_finds_nothing_in_the_dockerfile() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([str(hadolint), str(DOCKER / "Dockerfile")], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_compose_file_is_valid_by_its_public_schema(compose: dict[str, Any], schema: dict[str, Any]) -> None:
    errors = list(jsonschema.Draft201909Validator(schema).iter_errors(compose))
    assert not errors, [(list(error.path), error.message) for error in errors]


def test_the_schema_check_can_fail(compose: dict[str, Any], schema: dict[str, Any]) -> None:
    wrong = compose | {"services": {"web": {"image": 3}}}
    assert list(jsonschema.Draft201909Validator(schema).iter_errors(wrong))


def test_compose_refuses_to_start_without_any_one_of_the_secrets() -> None:
    text = (DOCKER / "compose.yml").read_text()
    empty = sorted(name for name, value in example().items() if not value)
    assert empty == [
        "BASIC_AUTH_PASS",
        "LABEL_STUDIO_API_KEY",
        "LABEL_STUDIO_PASSWORD",
        "LABEL_STUDIO_USERNAME",
        "POSTGRES_PASSWORD",
    ]
    for name in empty:
        others = {other: value or "secret" for other, value in example().items() if other != name}
        with pytest.raises(AssertionError, match=f"{name}: write it into"):
            fill_in(text, others)


def test_ports_are_published_to_this_machine_only(compose: dict[str, Any]) -> None:
    ports = [port for service in compose["services"].values() for port in service.get("ports", ())]
    assert len(ports) == 2
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_label_studio_may_call_a_backend_in_the_compose_network(compose: dict[str, Any]) -> None:
    settings = compose["services"]["label-studio"]["environment"]
    assert settings["ML_BLOCK_LOCAL_IP"] == settings["SSRF_PROTECTION_ENABLED"] == "false"


def test_every_service_has_a_health_check(compose: dict[str, Any]) -> None:
    image_has_one = "HEALTHCHECK" in (DOCKER / "Dockerfile").read_text()
    without = [name for name, service in compose["services"].items() if "healthcheck" not in service]
    assert without == ["web"] and image_has_one


def test_our_settings_in_compose_are_settings_of_the_program(compose: dict[str, Any]) -> None:
    from backend.settings import Settings, names_of

    known = {name for field in Settings.model_fields for name in names_of(field)}
    used = {name for service in ("web", "worker", "worker-gpu") for name in compose["services"][service]["environment"]}
    in_image = set(re.findall(r"^ {4}([A-Z_]+)=\S+", (DOCKER / "Dockerfile").read_text(), re.M))
    foreign = ("PYTHON", "PIP_", "NVIDIA_")
    assert used | {name for name in in_image if not name.startswith(foreign)} <= known


def test_both_images_run_as_a_user_without_rights_and_without_preload() -> None:
    recipe = (DOCKER / "Dockerfile").read_text()
    last_user = re.findall(r"^USER (.*)$", recipe, re.M)
    assert last_user == ["10001:10001"]
    assert "--preload" not in recipe


def test_images_hold_the_torch_that_the_tests_ran_with() -> None:
    """PyTorch comes from an index of its own in an image, so its version stands there too; `make renew` moves one."""
    pinned = (ROOT / "scripts" / "constraints" / "app.txt").read_text().splitlines()
    recipe = (DOCKER / "Dockerfile").read_text()
    for package in ("torch", "torchvision"):
        version = next(line.split("==")[1] for line in pinned if line.startswith(f"{package}=="))
        assert re.findall(rf"ARG {package.upper()}=(\S+)", recipe) == [version, version]
