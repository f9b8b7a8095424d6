"""Projects, tasks, labels and rankings in SQLite or PostgreSQL."""

from backend.adapters.state.database import State, open_state
from backend.adapters.state.publications import UnknownRanking
from backend.adapters.state.sqlite_errors import StateDown, StateError

__all__ = ["State", "StateDown", "StateError", "UnknownRanking", "open_state"]
