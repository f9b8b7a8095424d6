"""kill -9 of web, workers, Valkey and Label Studio at random, one or several at once, each started again soon."""

from __future__ import annotations

import time
from collections.abc import Callable

from tests.chaos.world import World

WORKERS = 3
WEIGHTS = {**{f"worker {number}": 18 for number in range(WORKERS)}, "web": 16, "valkey": 18, "label studio": 7}
EVERYTHING = 0.03  # of the blows
SEVERAL = 0.25


def kill(world: World, kills: int) -> None:
    """At least so many kills; all runs again at the end."""
    dice, began = world.dice("killer"), time.monotonic()
    while sum(world.kills.values()) < kills:
        world.over.wait(dice.uniform(0.5, 4.0))
        roll = dice.random()
        count = len(WEIGHTS) if roll < EVERYTHING else 2 if roll < EVERYTHING + SEVERAL else 1
        left, victims = dict(WEIGHTS), []
        for _ in range(count):
            victims.append(dice.choices(list(left), list(left.values()))[0])
            left.pop(victims[-1])
        world.outages.begin()
        try:
            for victim in victims:
                ending(world, victim)()
                world.kills[victim] += 1
            world.over.wait(dice.uniform(0.0, 2.0))
            dice.shuffle(victims)
            for victim in victims:
                starting(world, victim)()
        finally:
            world.outages.end()
        seconds, so_far = time.monotonic() - began, sum(world.kills.values())
        print(f"{seconds:5.0f} s, {so_far:3} kills: {', '.join(victims)}", flush=True)


def ending(world: World, part: str) -> Callable[[], object]:
    """What kills this part."""
    ours = world.live.labelqueue
    if part.startswith("worker"):
        return lambda: ours.kill9_worker(int(part.split()[1]))
    return {"web": ours.kill9_web, "valkey": world.valkey.kill9, "label studio": world.live.label_studio.kill9}[part]


def starting(world: World, part: str) -> Callable[[], object]:
    """What starts it again; web, Valkey and Label Studio answer when it returns."""
    ours = world.live.labelqueue
    if part.startswith("worker"):
        return lambda: ours.replace_worker(int(part.split()[1]))
    return {"web": ours.start_web, "valkey": world.valkey.start, "label studio": world.live.label_studio.restart}[part]
