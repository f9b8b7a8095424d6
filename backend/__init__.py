"""LabelQueue: which image a person should label next, for Label Studio."""

__version__ = "0.1.0"
