"""Numbers in, text and drawings out: curves, model cards, pages of a simulation."""
