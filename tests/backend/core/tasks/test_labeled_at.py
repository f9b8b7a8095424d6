"""When a label was given, as exports tell it."""

from __future__ import annotations

from backend.core.domain import Deleted
from backend.core.tasks import sync
from tests.backend.world import LS_ID, World


def test_a_label_is_as_old_as_its_newest_annotation_that_stands(tmp_path):
    world = World(tmp_path)
    world.connect(6)
    world.annotate(2, "one")
    world.annotate(2, "two")
    world.annotate(3, "one")
    sync.reconcile(world.services, world.project.id)
    shown = world.ls.items[LS_ID]
    newest = {task: max(a.updated_at for a in shown[task].annotations) for task in (2, 3)}
    assert world.services.tasks.labeled_at(world.project.id) == newest
    last = max(shown[2].annotations, key=lambda item: item.updated_at)
    world.services.tasks.apply(world.project.id, [], [Deleted("annotations", (last.id,), world.clock.time)])
    assert world.services.tasks.labeled_at(world.project.id)[2] < newest[2]
