"""Projects, tasks, labels and rankings in SQLite or PostgreSQL."""

from backend.adapters.state.database import State, open_state
from backend.adapters.state.engine import StateDown, StateError
from backend.adapters.state.publications import UnknownRanking

__all__ = ["State", "StateDown", "StateError", "UnknownRanking", "open_state"]
