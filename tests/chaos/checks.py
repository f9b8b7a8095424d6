"""What must be true when all runs again and rests, told by Label Studio, the database and the feature store."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import lance
import numpy as np
from sqlalchemy import Engine, text

from tests.chaos.actors import BROKEN
from tests.chaos.world import World
from tests.harness.live import SAMPLING

PUBLICATIONS = {"live", "retired", "failed", "deleted"}
FEATURE_SETS = {"live", "retired", "rejected", "cancelled"}
TRUE_REASON = re.compile("not an image|cannot be decoded|cannot be read|truncated|empty")
TRUE_FAILURE = re.compile("does not answer|Label Studio|Redis|database|somebody else|right after", re.IGNORECASE)


@dataclass
class Seen:
    """All of Label Studio and of ours, read once; `number` is our id of the project."""

    world: World
    engine: Engine
    remote: dict[int, dict[str, Any]]
    project: dict[str, Any]
    number: int
    version: int

    def rows(self, sql: str) -> list[Mapping[str, Any]]:
        """Rows of ours; `:p` is the project."""
        with self.engine.connect() as connection:
            return [dict(row) for row in connection.execute(text(sql), {"p": self.number}).mappings()]


def look(world: World, engine: Engine) -> Seen:
    studio = world.live.label_studio
    with engine.connect() as connection:
        query = text("select id, features_version from projects where ls_id = :p")
        number, version = connection.execute(query, {"p": world.project}).one()
    return Seen(world, engine, studio.tasks(world.project), studio.project(world.project), number, version)


def faults(seen: Seen) -> list[str]:
    """All that is not as it must be, in words."""
    checks = (tasks, features, labels, order, publications, feature_sets, leases, jobs)
    return [f"{check.__name__}: {fault}" for check in checks for fault in check(seen)]


def tasks(seen: Seen) -> Iterator[str]:
    """Every task is embedded, or failed for a reason that is true; there is no other."""
    rows = {row["id"]: row for row in seen.rows("select id, state, reason from tasks where project = :p")}
    if missing := sorted(set(seen.remote) - set(rows)):
        yield f"Label Studio has {missing}, we do not"
    if extra := sorted(set(rows) - set(seen.remote)):
        yield f"we have {extra}, Label Studio does not"
    for number, row in rows.items():
        if number not in seen.remote:
            continue
        broken = BROKEN in seen.remote[number]["data"]["image"]
        if row["state"] != ("failed" if broken else "embedded"):
            yield f"task {number} ({'broken' if broken else 'good'}) is {row['state']}: {row['reason']}"
        elif broken and not TRUE_REASON.search(row["reason"]):
            yield f"broken task {number} failed for another reason: {row['reason']}"


def features(seen: Seen) -> Iterator[str]:
    """The live version holds each embedded task once and nothing else; no version holds a deleted task."""
    wanted = {number for number, task in seen.remote.items() if BROKEN not in task["data"]["image"]}
    for folder in sorted((seen.world.live.labelqueue.home / "features" / f"p{seen.number}").glob("features-v*.lance")):
        stored = np.asarray(lance.dataset(str(folder)).to_table(columns=["task_id"])["task_id"]).tolist()
        is_live = folder.name == f"features-v{seen.version}.lance"
        twice = [number for number, times in Counter(stored).items() if times > 1]
        if twice:
            yield f"{folder.name} holds {len(twice)} tasks more than once: {sorted(twice)[:10]}"
        if gone := sorted(set(stored) - set(seen.remote)):
            yield f"{folder.name} holds tasks that are deleted: {gone[:10]}"
        if is_live and (lacking := sorted(wanted - set(stored))):
            yield f"{folder.name} lacks {lacking[:10]}"


def labels(seen: Seen) -> Iterator[str]:
    """Label, skipped and annotated are what Label Studio's annotations say."""
    for row in seen.rows("select id, label, skipped, annotated from tasks where project = :p order by id"):
        if row["id"] in seen.remote:
            ours = (row["label"], bool(row["skipped"]), bool(row["annotated"]))
            theirs = said_of(seen.remote[row["id"]]["annotations"])
            if ours != theirs:
                yield f"task {row['id']} is {ours}, Label Studio says {theirs}"


def said_of(annotations: list[dict[str, Any]]) -> tuple[str | None, bool, bool]:
    """(label, skipped, annotated): the most frequent class, of equals the one that was said last."""
    votes: dict[str, list[tuple[str, int]]] = defaultdict(list)
    submitted = [item for item in annotations if not item["was_cancelled"]]
    for item in submitted:
        for region in item["result"]:
            votes[region["value"]["choices"][0]].append((item["updated_at"], item["id"]))
    if votes:
        return max(votes, key=lambda name: (len(votes[name]), max(votes[name]))), False, False
    return None, bool(annotations) and not submitted, bool(submitted)


def order(seen: Seen) -> Iterator[str]:
    """Label Studio serves by our live publication, which is there as it was imported and only once."""
    live = seen.rows("select model_version, imported from publications where project = :p and state = 'live'")
    if len(live) != 1:
        yield f"{len(live)} live publications"
        return
    version = live[0]["model_version"]
    if (seen.project["sampling"], seen.project["model_version"]) != (SAMPLING, version):
        yield f"Label Studio has {seen.project['sampling']} by {seen.project['model_version']}, ours is {version}"
    times: Counter[tuple[str, int]] = Counter()
    for number, task in seen.remote.items():
        times.update((item["model_version"], number) for item in task["predictions"])
    if twice := [key for key, count in times.items() if count > 1]:
        yield f"imported twice: {sorted(twice)[:5]}"
    shown = {number for name, number in times if name == version}
    if shown != set(live[0]["imported"]) & set(seen.remote):
        yield f"{len(shown)} predictions of {version} where {len(live[0]['imported'])} were imported"
    known = {row["model_version"] for row in seen.rows("select model_version from publications where project = :p")}
    if strange := {name for name, _ in times if name.removesuffix("-guesses") not in known}:
        yield f"predictions of {strange}, which no publication is"


def publications(seen: Seen) -> Iterator[str]:
    """Each is in a state that can last."""
    states = Counter(row["state"] for row in seen.rows("select state from publications where project = :p"))
    if odd := set(states) - PUBLICATIONS:
        yield f"publications are {odd}"
    (newest,) = seen.rows(
        "select (select max(id) from rankings where project = :p) as latest,"
        " (select ranking from publications where project = :p and state = 'live') as live"
    )
    if newest["latest"] != newest["live"]:
        yield f"the latest ranking is {newest['latest']}, the live one {newest['live']}"


def feature_sets(seen: Seen) -> Iterator[str]:
    """One is live, and it is the project's; none is under way; none failed, for nothing was wrong with any."""
    rows = seen.rows("select version, state, reason from feature_sets where project = :p order by version")
    live = [row["version"] for row in rows if row["state"] == "live"]
    if live != [seen.version]:
        yield f"versions {live} are live, the project has {seen.version}"
    for row in rows:
        if row["state"] not in FEATURE_SETS:
            yield f"version {row['version']} is {row['state']}: {row['reason']}"


def leases(seen: Seen) -> Iterator[str]:
    """Nothing is left to embed, and nobody holds it."""
    held = seen.rows("select task, version, owner from to_embed where project = :p")
    if held:
        yield f"tasks are held: {held[:5]}"


def jobs(seen: Seen) -> Iterator[str]:
    """What failed, failed for what was down."""
    status = seen.world.live.status(seen.world.project)
    for job in status.get("jobs", ()):
        if job["state"] == "failed" and not TRUE_FAILURE.search(job["error"]):
            yield f"job {job['key']} failed: {job['error']}"
