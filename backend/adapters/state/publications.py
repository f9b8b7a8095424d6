"""Publications, and the lease by which one worker at a time publishes a project.

The lease's token grows with each taking and is compared in the transaction of every write: a worker that slept through
its lease cannot undo what its successor did.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager

from sqlalchemy import Connection, insert, null, select, update

from backend.adapters.state.engine import Database
from backend.adapters.state.tables import projects, publications, publishers, rankings
from backend.adapters.state.values import AnyRow, clean
from backend.core.domain import PUBLICATION_MOVES, Publication, PublicationState
from backend.core.errors import ImpossibleMove, LeaseLost, UnknownProject, UserError

ABANDONED = "the worker that was publishing it stopped before it was live"


class UnknownRanking(UserError):
    """No ranking (or publication) has that id."""


class SqlPublications:
    """Implements `ports.Publications`."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def take_lease(self, project: int, owner: str, seconds: float) -> int | None:
        """The lease's token; None while another one holds it. What its last holder left "importing" has failed.

        Raises `UnknownProject`.
        """
        mine = publishers.c.project == project
        with self._db.write(project) as connection:
            now = self._db.now()
            row = connection.execute(select(publishers).where(mine)).first()
            if row is not None and row.until > now:
                return None
            token = int(row.token) + 1 if row is not None else 1
            take = update(publishers).where(mine) if row is not None else insert(publishers)
            connection.execute(take.values(project=project, token=token, owner=owner, until=now + seconds))
            left = (publications.c.project == project, publications.c.state == "importing")
            connection.execute(update(publications).where(*left).values(state="failed", reason=ABANDONED))
        return token

    def renew_lease(self, project: int, token: int, seconds: float) -> None:
        """Raises `LeaseLost`. A lease that ran out and that nobody took is its holder's still."""
        with self._held(project, token) as connection:
            values = {"until": self._db.now() + seconds}
            connection.execute(update(publishers).where(publishers.c.project == project).values(**values))

    def end_lease(self, project: int, token: int) -> None:
        """Free it for others; no effect if it is another's by now."""
        mine = (publishers.c.project == project, publishers.c.token == token)
        with self._db.write() as connection:
            connection.execute(update(publishers).where(*mine).values(until=0.0))

    def begin_publication(
        self,
        project: int,
        ranking: int,
        at: float,
        *,
        token: int,
        imported: Sequence[int] = (),
        healed: str = "",
        avoid: Collection[str] = (),
    ) -> Publication:
        """A new attempt with a model_version of its own. Raises `UnknownProject`, `UnknownRanking`, `LeaseLost`."""
        with self._held(project, token) as connection:
            if connection.execute(select(rankings.c.id).where(rankings.c.id == ranking)).first() is None:
                raise UnknownRanking(f"there is no ranking {ranking}")
            values = {
                "project": project,
                "ranking": ranking,
                "model_version": _fresh_version(connection, project, ranking, avoid),
                "state": "importing",
                "reason": "",
                "created_at": at,
                "imported": list(imported),
                "healed": clean(healed),
            }
            made = connection.execute(insert(publications).values(**values).returning(publications.c.id)).scalar_one()
            return _publication(connection.execute(select(publications).where(publications.c.id == made)).one())

    def move_publication(
        self, project: int, publication: int, to: PublicationState, *, token: int, reason: str = "", at: float = 0.0
    ) -> None:
        """Along `PUBLICATION_MOVES` only. Going "live" (at `at`) retires the one that was live, or fails it if this
        one was made to heal it. Raises `LeaseLost`, `ImpossibleMove`, `UnknownRanking`."""
        mine = (publications.c.id == publication, publications.c.project == project)
        with self._held(project, token) as connection:
            row = connection.execute(select(publications.c.state, publications.c.healed).where(*mine)).first()
            if row is None:
                raise UnknownRanking(f"there is no publication {publication}")
            if to not in PUBLICATION_MOVES[row.state]:
                raise ImpossibleMove(f"publication {publication} is {row.state}: it cannot become {to}")
            values: dict[str, object] = {"state": to, "reason": clean(reason)}
            if to == "live":
                _make_way(connection, project, row.healed)
                values["live_at"] = at
            if to == "deleted":
                values["imported"] = null()
            connection.execute(update(publications).where(*mine).values(**values))

    def live(self, project: int) -> Publication | None:
        """The publication that Label Studio's queue follows."""
        found = self.publications(project, ("live",))
        return found[0] if found else None

    def publications(self, project: int, states: Sequence[PublicationState] = ()) -> list[Publication]:
        """Newest first; all states if none is given."""
        query = select(publications).where(publications.c.project == project).order_by(publications.c.id.desc())
        if states:
            query = query.where(publications.c.state.in_(states))
        with self._db.read() as connection:
            return [_publication(row) for row in connection.execute(query)]

    def last_healing(self, project: int) -> Publication | None:
        """The newest attempt that was made to heal another one, whatever became of it."""
        mine = (publications.c.project == project, publications.c.healed != "")
        query = select(publications).where(*mine).order_by(publications.c.id.desc()).limit(1)
        with self._db.read() as connection:
            row = connection.execute(query).first()
        return None if row is None else _publication(row)

    def deleted_versions(self, project: int, among: Collection[str]) -> list[str]:
        """Those of these model_versions whose publication is "deleted"."""
        mine = (publications.c.project == project, publications.c.state == "deleted")
        query = select(publications.c.model_version).where(*mine, publications.c.model_version.in_(among))
        with self._db.read() as connection:
            return sorted(connection.execute(query).scalars())

    @contextmanager
    def _held(self, project: int, token: int) -> Iterator[Connection]:
        """A transaction under the lease with this token."""
        with self._db.write(project) as connection:
            query = select(publishers.c.token, publishers.c.owner).where(publishers.c.project == project)
            row = connection.execute(query).first()
            if row is None or row.token != token:
                by = f"{row.owner} took over its publishing" if row else "nobody may publish it"
                raise LeaseLost(f"project {project}: {by}; what was begun before is not continued")
            yield connection


def _make_way(connection: Connection, project: int, healed: str) -> None:
    """Whatever is live is so no longer."""
    live = (publications.c.project == project, publications.c.state == "live")
    values = {"state": "failed", "reason": healed} if healed else {"state": "retired"}
    connection.execute(update(publications).where(*live).values(**values))


def _fresh_version(connection: Connection, project: int, ranking: int, avoid: Collection[str]) -> str:
    ls_id = connection.execute(select(projects.c.ls_id).where(projects.c.id == project)).scalar()
    if ls_id is None:
        raise UnknownProject(project)
    query = select(publications.c.model_version).where(publications.c.ranking == ranking)
    used = {*connection.execute(query).scalars(), *avoid}
    name = f"labelqueue-{ls_id}-r{ranking}"
    further = (f"{name}-{number}" for number in range(2, len(used) + 3))
    return next(fresh for fresh in (name, *further) if fresh not in used)


def _publication(row: AnyRow) -> Publication:
    fields = dict(row._mapping)
    imported = fields.pop("imported")
    return Publication(**fields, imported=None if imported is None else tuple(imported))
