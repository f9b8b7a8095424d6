"""Heads for sets of classes: one presence a class, one file a head; importing this package registers them all."""

from selection.proxy.heads.sets import linear as linear
from selection.proxy.heads.sets import smooth as smooth
from selection.proxy.heads.sets import spread as spread
