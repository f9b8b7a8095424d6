"""One file a head; importing this package registers them all."""

from selection.proxy.heads import linear as linear
from selection.proxy.heads import mlp as mlp
from selection.proxy.heads import smooth as smooth
from selection.proxy.heads import spread as spread
