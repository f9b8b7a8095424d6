"""See the largest tensor that torch makes, as Python's own tracing does not see torch's memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def largest_tensor() -> Iterator[Callable[[], int]]:
    """Inside the `with`, the function given returns the bytes of the largest tensor made so far."""
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode

    class Watch(TorchDispatchMode):  # type: ignore[no-untyped-call, misc, unused-ignore]
        most = 0

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
            out = func(*args, **(kwargs or {}))
            for made in out if isinstance(out, tuple | list) else (out,):
                if isinstance(made, torch.Tensor):
                    self.most = max(self.most, made.numel() * made.element_size())
            return out

    with Watch() as watch:  # type: ignore[no-untyped-call, unused-ignore]
        yield lambda: watch.most
