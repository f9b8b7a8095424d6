"""Who works while parts are killed: an annotator, an importer, a deleter, an admin, and one who renews features."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from random import Random

from scripts.digits import digits, label_of
from tests.chaos.world import World

STRATEGIES = ("random", "typiclust", "margin", "entropy", "coreset", "badge", "auto", "asvp-margin")
BROKEN = "broken"  # begins the names of images that nobody can read


def annotate(world: World) -> None:
    """Label what Label Studio serves; now and then change, delete or add to what was said."""
    dice = world.dice("annotator")
    mine: list[tuple[int, int]] = []  # (annotation, task)
    while not world.over.wait(dice.uniform(0.1, 1.0)):
        if mine and dice.random() < 0.15:
            say_otherwise(world, dice, mine)
        else:
            say(world, dice, mine)


def opinion(world: World, dice: Random, task: int) -> str:
    """The true label nearly always."""
    return world.labels.get(task, "0") if dice.random() < 0.95 else str(dice.randrange(10))


def say(world: World, dice: Random, mine: list[tuple[int, int]]) -> None:
    """A label, at times a skip or an empty form, for the task that is served."""
    studio, served = world.live.label_studio, list[int | None]()
    if not world.attempt("ask for the next task", lambda: served.append(studio.next_task(world.project))):
        return
    task, roll = served[0], dice.random()
    if task is None:
        world.done["nothing left to label"] += 1
    elif roll < 0.1:
        world.attempt("skip", lambda: mine.append((studio.annotate(task, None), task)))
    elif roll < 0.15:
        world.attempt("submit nothing", lambda: mine.append((studio.submit_nothing(task), task)))
    else:
        label = opinion(world, dice, task)
        world.attempt("label", lambda: mine.append((studio.annotate(task, label), task)))


def say_otherwise(world: World, dice: Random, mine: list[tuple[int, int]]) -> None:
    """Change or delete an annotation, or give a second one."""
    studio, roll = world.live.label_studio, dice.random()
    number, task = mine[place := dice.randrange(len(mine))]
    label = opinion(world, dice, task)
    if roll < 0.4:
        world.attempt("change an annotation", partial(studio.change, number, label))
    elif roll < 0.7:
        mine.pop(place)
        world.attempt("delete an annotation", partial(studio.delete_annotation, number))
    else:
        world.attempt("a second opinion", lambda: mine.append((studio.annotate(task, label), task)))


def images(world: World, start: int, n: int, broken: int = 0) -> list[Path]:
    """Digits start..start+n, and as many files that are no images."""
    folder = world.live.label_studio.files / "images"
    paths = digits(folder, n, start=start)
    for number in range(broken):
        path = folder / f"{BROKEN}-{start}-{number}.png"
        path.write_bytes(paths[0].read_bytes()[: 40 if number % 2 else 0] + b"no image")
        paths.append(path)
    return paths


def add(world: World, paths: list[Path]) -> None:
    """Import images of which we keep the labels."""
    numbers = world.live.label_studio.import_files(world.project, paths)
    known = zip(numbers, paths, strict=True)
    world.labels |= {number: label_of(path) for number, path in known if not path.name.startswith(BROKEN)}


def add_tasks(world: World, start: int) -> None:
    """New tasks, a few at a time, at times many; one import in six has an image that is broken."""
    dice = world.dice("importer")
    while not world.over.wait(dice.uniform(1.0, 5.0)) and start < 1700:
        n = 25 if dice.random() < 0.1 else dice.randint(1, 4)
        paths = images(world, start, n, broken=dice.random() < 1 / 6)
        start += n
        world.attempt("import tasks", partial(add, world, paths))


def delete_tasks(world: World) -> None:
    """A few tasks, half the time of those that are to be served next."""
    dice, live = world.dice("deleter"), world.live

    def delete(doomed: list[int]) -> None:
        live.label_studio.delete_tasks(world.project, doomed)
        for task in doomed:
            world.labels.pop(task, None)

    def head(into: list[int]) -> None:
        into += live.queue(world.project)[:20]

    while not world.over.wait(dice.uniform(2.0, 8.0)):
        known = sorted(world.labels)
        if dice.random() < 0.5:
            next_ones: list[int] = []
            world.attempt("look at the queue", partial(head, next_ones))
            known = next_ones or known
        if len(world.labels) > 60:
            doomed = dice.sample(known, min(len(known), dice.randint(1, 4)))
            world.attempt("delete tasks", partial(delete, doomed))


def administer(world: World) -> None:
    """Switch strategies and settings; reset the queue, delete predictions, go back to other features."""
    dice, live, project = world.dice("admin"), world.live, world.project
    while not world.over.wait(dice.uniform(2.0, 9.0)):
        roll = dice.random()
        if roll < 0.45:
            name = dice.choice(STRATEGIES)
            world.attempt("switch the strategy", partial(world.put, "strategy", {"name": name}))
        elif roll < 0.75:
            change = dice.choice(
                (
                    {"batch_size": dice.randint(5, 20)},
                    {"head_size": dice.choice((None, 30, 60))},
                    {"preannotate": dice.random() < 0.5},
                    {"min_interval": dice.choice((0, 1, 3))},
                )
            )
            world.attempt("change settings", partial(world.put, "settings", change))
        elif roll < 0.83:
            reset = {"sampling": "Sequential sampling", "model_version": ""}
            world.attempt("reset the queue", partial(live.label_studio.update_project, project, **reset))
        elif roll < 0.92:
            some = dice.sample(sorted(world.labels), min(len(world.labels), 20))
            world.attempt("delete predictions", partial(live.label_studio.delete_predictions, project, some))
        else:
            back = {"action": "rollback", "version": dice.randint(1, 3)}
            world.attempt("roll back", partial(world.put, "renewal", back, "POST"))


def renew(world: World) -> None:
    """Start a renewal, at times cancel it, and start another when it has ended."""
    dice = world.dice("renewer")
    while not world.over.wait(dice.uniform(5.0, 15.0)):
        start = {"action": "start", "method": dice.choice((None, "lp-ft"))}
        if not world.attempt("start a renewal", partial(world.put, "renewal", start, "POST")):
            continue
        if dice.random() < 0.35:
            if world.over.wait(dice.uniform(1.0, 12.0)):
                return
            world.attempt("cancel a renewal", partial(world.put, "renewal", {"action": "cancel"}, "POST"))
        else:
            world.over.wait(dice.uniform(20.0, 60.0))
