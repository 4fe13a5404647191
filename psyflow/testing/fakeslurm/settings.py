"""How a fake Slurm behaves."""

from __future__ import annotations

from dataclasses import dataclass

from psyflow.exceptions import UsageError

__all__ = ["Settings"]


@dataclass(frozen=True)
class Settings:
    """How a fake Slurm behaves; `FakeSlurm` says what each means."""

    seed: int = 0
    nodes: int = 2
    slots: int = 2
    kill: float = 0.0
    preempt: float = 0.0
    within: float = 2.0
    delay: float = 0.0
    flaky: float = 0.0
    accounting: bool = True
    max_array_size: int = 1001
    min_job_age: float = 300.0
    kill_wait: float = 2.0
    tell_end: bool = False
    cluster: str = "fake"

    def check(self) -> None:
        """Raise `UsageError` for a setting that makes no sense."""
        for name in ("nodes", "slots", "max_array_size"):
            if getattr(self, name) < 1:
                raise UsageError(f"FakeSlurm: {name} is at least 1, not {getattr(self, name)}.")
        for name in ("kill", "preempt", "within", "delay", "min_job_age", "kill_wait"):
            if getattr(self, name) < 0:
                raise UsageError(f"FakeSlurm: {name} is not negative as {getattr(self, name)} is.")
        if self.kill + self.preempt > 1:
            raise UsageError(
                "FakeSlurm: kill and preempt are chances that exclude each other, "
                f"at most 1 together, not {self.kill} + {self.preempt}."
            )
        if not 0 <= self.flaky < 1:
            raise UsageError(f"FakeSlurm: flaky is a chance below 1, not {self.flaky}.")
