"""One file a method; importing this package registers them all."""

from selection.strategies import activeft as activeft
from selection.strategies import auto as auto
from selection.strategies import badge as badge
from selection.strategies import bilaf as bilaf
from selection.strategies import coreset as coreset
from selection.strategies import diverse as diverse
from selection.strategies import entropy as entropy
from selection.strategies import graphcover as graphcover
from selection.strategies import kmeans as kmeans
from selection.strategies import least_confidence as least_confidence
from selection.strategies import margin as margin
from selection.strategies import mix as mix
from selection.strategies import probcover as probcover
from selection.strategies import random as random
from selection.strategies import typiclust as typiclust
