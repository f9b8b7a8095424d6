"""A project and its settings: connect, register, choose a strategy, show its state, say what is wrong."""
