"""Use cases: what LabelQueue does, in terms of ports; imports `selection` and nothing of the outside world."""
