"""Connections to addresses that others name: guarded at the socket, with our certificates."""
