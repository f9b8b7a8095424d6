"""Who answers at an address."""

from __future__ import annotations

from typing import Protocol


class Addresses(Protocol):
    """Asks addresses that Label Studio lists; anybody may have typed them."""

    def ours(self, url: str) -> bool | None:
        """Whether a web process of this installation answers at `url`; None if nobody does, or it cannot be told.

        Never raises; a few seconds at most. Addresses of a cloud's metadata are not asked.
        """
        ...
