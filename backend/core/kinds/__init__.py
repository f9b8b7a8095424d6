"""What a label config asks of people, and what their annotations mean: a class, or the set of classes present.

A family of control tags is a module here, `kind(...)` in it makes it known; importing this package imports them all.
"""

from backend.core.kinds import choices as choices
from backend.core.kinds import numbers as numbers
from backend.core.kinds import regions as regions
from backend.core.kinds import taxonomy as taxonomy
