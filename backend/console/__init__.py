"""The commands of `labelqueue`, by theme; `backend.cli` puts them together."""
