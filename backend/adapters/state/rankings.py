"""Heads and rankings. Their records are kept for ever; picks, and what they were made of, only while of use."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from sqlalchemy import ScalarSelect, Table, delete, insert, select, update

from backend.adapters.state import packing
from backend.adapters.state.json_columns import learning_report
from backend.adapters.state.publications import SqlPublications, UnknownRanking
from backend.adapters.state.tables import heads, publications, ranking_inputs, rankings
from backend.adapters.state.values import AnyRow, as_written
from backend.core.domain import Considered, Guess, Head, Inputs, LearningReport, Pick, Ranking, Strategy

KEPT_PICKS = 50


class SqlRankings(SqlPublications):
    """Implements `ports.Rankings`. Picks and inputs of the newest 50 rankings (and of the live one) are kept; an older
    one has `picks=()` and no inputs."""

    def add_head(
        self,
        project: int,
        features_version: int,
        labels_digest: str,
        classes: Sequence[str],
        report: LearningReport,
        at: float,
    ) -> Head:
        """Store a head's record."""
        values = {
            "project": project,
            "features_version": features_version,
            "labels_digest": labels_digest,
            "classes": list(classes),
            "report": report.to_json(),
            "created_at": at,
        }
        with self._db.write(project) as connection:
            made = connection.execute(insert(heads).values(**values).returning(heads.c.id)).scalar_one()
        return Head(made, project, features_version, labels_digest, tuple(classes), report, at)

    def latest_head(self, project: int) -> Head | None:
        """The newest head's record."""
        newest = select(heads).where(heads.c.project == project).order_by(heads.c.id.desc()).limit(1)
        with self._db.read() as connection:
            row = connection.execute(newest).first()
        return None if row is None else _head(row)

    def heads(self, project: int, features_version: int) -> list[Head]:
        """All heads on these features, oldest first."""
        mine = (heads.c.project == project, heads.c.features_version == features_version)
        with self._db.read() as connection:
            return [_head(row) for row in connection.execute(select(heads).where(*mine).order_by(heads.c.id))]

    def note_renewal(self, head: int, told: Considered) -> None:
        """Keep the advice in the head's report; its other entries stay, those of another version of ours too."""
        with self._db.write() as connection:
            before = connection.execute(select(heads.c.report).where(heads.c.id == head)).scalar_one_or_none()
            if before is not None:
                report = {**before, "renewal": asdict(told)}
                connection.execute(update(heads).where(heads.c.id == head).values(report=report))

    def add(
        self,
        project: int,
        *,
        strategy: Strategy,
        seed: int,
        features_version: int,
        labels_digest: str,
        labeled: int,
        embedded: int,
        head: int | None,
        picks: Sequence[Pick],
        timings: Mapping[str, float],
        at: float,
        inputs: Inputs | None = None,
    ) -> Ranking:
        """Store a ranking; drop the picks and inputs of old ones."""
        values = {
            "project": project,
            "strategy": strategy.name,
            "params": dict(strategy.params),
            "seed": seed,
            "features_version": features_version,
            "labels_digest": labels_digest,
            "labeled": labeled,
            "embedded": embedded,
            "head": head,
            "picks": _pack(picks),
            "timings": dict(timings),
            "created_at": at,
        }
        with self._db.write(project) as connection:
            made = connection.execute(insert(rankings).values(**values).returning(rankings.c.id)).scalar_one()
            if inputs is not None:
                connection.execute(insert(ranking_inputs).values(ranking=made, **packing.pack(inputs)))
            live = select(publications.c.ranking).where(
                publications.c.project == project, publications.c.state.in_(("live", "importing"))
            )
            old = rankings.c.id <= _nth_newest(rankings, project, KEPT_PICKS)
            useless = (rankings.c.project == project, rankings.c.picks.is_not(None), old, rankings.c.id.not_in(live))
            of_old = ranking_inputs.c.ranking.in_(select(rankings.c.id).where(*useless))
            connection.execute(delete(ranking_inputs).where(of_old))
            connection.execute(update(rankings).where(*useless).values(picks=None))
            return _ranking(connection.execute(select(rankings).where(rankings.c.id == made)).one())

    def get(self, ranking: int) -> Ranking:
        """Raises `UnknownRanking`."""
        with self._db.read() as connection:
            row = connection.execute(select(rankings).where(rankings.c.id == ranking)).first()
        if row is None:
            raise UnknownRanking(f"there is no ranking {ranking}")
        return _ranking(row)

    def inputs(self, ranking: int) -> Inputs | None:
        """What it was made of; None if that is not kept any more, or never was."""
        query = select(ranking_inputs).where(ranking_inputs.c.ranking == ranking)
        with self._db.read() as connection:
            row = connection.execute(query).first()
        return None if row is None else packing.inputs(row)

    def latest(self, project: int) -> Ranking | None:
        """The newest ranking."""
        newest = self.history(project, 1)
        return newest[0] if newest else None

    def history(self, project: int, limit: int = 20) -> list[Ranking]:
        """Newest first."""
        query = select(rankings).where(rankings.c.project == project).order_by(rankings.c.id.desc()).limit(limit)
        with self._db.read() as connection:
            return [_ranking(row) for row in connection.execute(query)]


def _nth_newest(table: Table, project: int, kept: int) -> ScalarSelect[int]:
    """The id of the newest row that is not kept; null if there is none."""
    mine = select(table.c.id).where(table.c.project == project)
    return mine.order_by(table.c.id.desc()).offset(kept).limit(1).scalar_subquery()


def _pack(picks: Sequence[Pick]) -> bytes:
    rows = [
        [pick.task_id, pick.score, pick.note, int(pick.audit), *(_told(pick.guess) if pick.guess else [])]
        for pick in picks
    ]
    return zlib.compress(json.dumps(rows, separators=(",", ":")).encode(), level=1)


def _unpack(packed: bytes | None) -> tuple[Pick, ...]:
    rows = json.loads(zlib.decompress(packed)) if packed else []
    return tuple(
        Pick(task, score, note, _guess(*guess) if guess else None, bool(audit))
        for task, score, note, audit, *guess in rows
    )


def _told(guess: Guess) -> list[object]:
    return [guess.choice, guess.confidence, *([guess.present] if guess.present is not None else [])]


def _guess(choice: str, confidence: float, present: list[str] | None = None) -> Guess:
    return Guess(choice, confidence, None if present is None else tuple(present))


@as_written
def _head(row: AnyRow) -> Head:
    return Head(**{**row._mapping, "classes": tuple(row.classes), "report": learning_report(row.report)})


@as_written
def _ranking(row: AnyRow) -> Ranking:
    fields = dict(row._mapping)
    strategy = Strategy(fields.pop("strategy"), dict(fields.pop("params")))
    return Ranking(**{**fields, "strategy": strategy, "picks": _unpack(row.picks)})
