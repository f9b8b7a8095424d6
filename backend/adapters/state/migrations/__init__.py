"""Alembic migrations, run by `open_state`. A new one: versions/vNNNN_what.py, and tables.py changed alike."""
