"""Replay labeling that is done: simulate strategies, compare curves, export results."""
