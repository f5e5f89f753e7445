"""Own the one look at a plan's steps: which are stored, here or with others, and which will run."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from webslm.engine.plan import Step
from webslm.engine.store.artifacts import Artifact, Cache


class Where(Enum):
    """Where the artifact of a step lies."""

    LOCAL = "local"
    REMOTE = "remote"
    NONE = "none"


@dataclass(frozen=True, kw_only=True)
class Planned:
    """A step and what was seen of its artifact, before any work."""

    step: Step
    where: Where
    hit: Artifact | None = None
    """What this machine's store holds; None unless ``where`` is local."""
    size: int | None = None
    """Bytes that a fetch brings; None unless ``where`` is remote."""
    forced: bool = False
    """Whether it runs again although it may be stored."""

    @property
    def stored(self) -> bool:
        """Return whether its artifact can be had without work."""
        return self.where is not Where.NONE

    @property
    def runs(self) -> bool:
        """Return whether a build does its work."""
        return self.forced or not self.stored


class Shared(Protocol):
    """A store that others use as well; it fails without a word that ends a build."""

    def size(self, stage: str, key: str) -> int | None:
        """Return how many bytes a fetch would bring; None when it has no such artifact."""

    def fetch(self, cache: Cache, stage: str, key: str) -> Artifact | None:
        """Bring an artifact into ``cache``, or return None."""

    def push(self, artifact: Artifact) -> bool:
        """Offer an artifact to the others."""


@dataclass(frozen=True, kw_only=True)
class Stores:
    """This machine's store, and the one that others use as well, if there is one."""

    local: Cache
    shared: Shared | None = None

    def look(self, steps: Iterable[Step], force: Collection[str] = ()) -> list[Planned]:
        """Return what both stores hold of a plan; the stages of ``force`` run again."""
        return [self._look(step, forced=step.stage in force) for step in steps]

    def take(self, planned: Planned) -> Artifact | None:
        """Return the artifact that a look saw, fetched if others have it; None: it is gone."""
        if planned.hit is not None and planned.hit.path.is_dir():
            return planned.hit
        if planned.where is Where.REMOTE and self.shared is not None:
            return self.shared.fetch(self.local, planned.step.stage, planned.step.key)
        return None

    def _look(self, step: Step, *, forced: bool) -> Planned:
        hit = self.local.lookup(step.stage, step.key)
        if hit is not None:
            return Planned(step=step, where=Where.LOCAL, hit=hit, forced=forced)
        size = None if self.shared is None else self.shared.size(step.stage, step.key)
        where = Where.NONE if size is None else Where.REMOTE
        return Planned(step=step, where=where, size=size, forced=forced)
