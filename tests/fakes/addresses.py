"""Who answers where."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class FakeAddresses:
    """`answers`: address -> whether it is us; nobody answers anywhere else."""

    answers: dict[str, bool] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def ours(self, url: str) -> bool | None:
        self.asked.append(url.rstrip("/"))
        return self.answers.get(url.rstrip("/"))
