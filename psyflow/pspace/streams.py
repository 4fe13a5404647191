"""Random streams that depend on a seed and on psets, and on nothing else."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from psyflow.pspace import ParameterSpace
from psyflow.pspace.identity import identity_keys
from psyflow.pspace.keys import Keys

__all__ = ["GloballySeeded", "RandomStreams", "renew_global_states"]


@dataclass(frozen=True)
class RandomStreams:
    """Gives each pset a generator of its own.

    The stream is that of ``SeedSequence(seed, spawn_key=(key,))`` for the pset's 128-bit key, so
    neither adding psets nor another order, backend or number of workers changes a number.

    Attributes
    ----------
    seed : int
    names : list of str or None
        The parameters that the streams depend on, all if None. Psets that share their values share
        their numbers (common random numbers).
    defaults : mapping from str to object
        Values of parameters that do not count for what a pset is.

    Examples
    --------
    >>> from psyflow import Param
    >>> streams = RandomStreams(1234)
    >>> short, long = Param(a=[1, 2]), Param(a=[3, 2, 1])
    >>> first = [rng.random() for rng in streams.generators(short, np.arange(2))]
    >>> again = [rng.random() for rng in streams.generators(long, np.arange(3))]
    >>> first == again[:0:-1]
    True
    """

    seed: int
    names: list[str] | None = None
    defaults: Mapping[str, Any] = field(default_factory=dict)

    def keys(self, space: ParameterSpace, items: npt.ArrayLike) -> Keys:
        """Return the keys that tell the streams of `items` apart."""
        return identity_keys(space, self.defaults, items, self.names)

    def generators(
        self, space: ParameterSpace, items: npt.ArrayLike
    ) -> Iterator[np.random.Generator]:
        """Yield the generator of each of `items`, each made when it is asked for."""
        from psyflow.pspace.seeds import stream_seeds  # NumPy's generators take time to import

        for sequence in stream_seeds(self.seed, self.keys(space, items)):
            yield np.random.Generator(np.random.PCG64(sequence))


@dataclass(frozen=True)
class GloballySeeded:
    """A function that is called with the global random states set by its pset's generator.

    Attributes
    ----------
    function : callable
    takes_rng : bool
        Whether the function gets the generator as well.
    """

    function: Callable[..., Any]
    takes_rng: bool

    def __call__(self, *, rng: np.random.Generator, **arguments: Any) -> Any:
        """Set the states, and call the function."""
        # A child's numbers are not the parent's, which the function may draw itself.
        _set_global_states(rng.bit_generator.seed_seq.spawn(1)[0])  # type: ignore[attr-defined]
        return self.function(**arguments, **({"rng": rng} if self.takes_rng else {}))


def renew_global_states() -> None:
    """Give the global random states of this process values that no other has."""
    _set_global_states(np.random.SeedSequence())


def _set_global_states(sequence: np.random.SeedSequence) -> None:
    words = sequence.generate_state(4)
    random.seed(int.from_bytes(words.tobytes(), "little"))
    np.random.seed(words)
    if (torch := sys.modules.get("torch")) is not None:
        torch.manual_seed(int(words[0]) | int(words[1]) << 31)
