"""What the example tasks compute, worked out another way: by definition, one value at a time."""

from __future__ import annotations

import csv
import gzip
import math
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np

Point = tuple[float, float]
Neighbour = tuple[float, int]
Table = list[list[int]]


def circle_points(trial: int, n: int) -> list[Point]:
    generator = np.random.Generator(np.random.PCG64(trial))
    return [(generator.random(), generator.random()) for _ in range(n)]


def hit_share(points: Sequence[Point], radius: float) -> float:
    return sum(math.hypot(x, y) < radius for x, y in points) / len(points)


class Digits:
    """Nearest neighbours of the digits: distances pixel by pixel, the rest in Python numbers."""

    def __init__(self, path: Path) -> None:
        with gzip.open(path, "rt", newline="") as file:
            rows = [[int(cell) for cell in row] for row in csv.reader(file)]
        self.images = [row[:64] for row in rows]
        self.labels = [row[64] for row in rows]
        self.folds = list(self._folds())

    def _folds(self) -> Iterator[int]:
        """The images of a digit are dealt out in turn, going on where the digit before stopped."""
        first = [sum(label < digit for label in self.labels) for digit in range(10)]
        seen = [0] * 10
        for label in self.labels:
            yield (first[label] + seen[label]) % 10
            seen[label] += 1

    def inside(self, fold: int) -> list[int]:
        return [i for i, f in enumerate(self.folds) if f == fold]

    def sizes(self, fold: int) -> list[int]:
        """How many images of each digit the fold holds."""
        return [sum(self.labels[i] == digit for i in self.inside(fold)) for digit in range(10)]

    def powers(self, fold: int, p: float) -> list[list[int]]:
        """Return for each image of the fold its distances to all images, to the power of p."""
        pixels = np.array(self.images).T
        total = np.zeros((len(self.inside(fold)), len(self.images)), dtype=int)
        for pixel in pixels:
            gap = abs(pixel[self.inside(fold)][:, np.newaxis] - pixel)
            total = np.maximum(total, gap) if p == math.inf else total + gap ** int(p)
        return total.tolist()  # type: ignore[no-any-return]

    def neighbours(self, fold: int, p: float, k: int) -> list[list[Neighbour]]:
        """Return for each image of the fold its k nearest in the other folds, nearest first."""
        others = [j for j, f in enumerate(self.folds) if f != fold]
        root = 1 if p == math.inf else 1 / p
        return [
            [(row[j] ** root, self.labels[j]) for j in sorted(others, key=lambda j: row[j])[:k]]
            for row in self.powers(fold, p)
        ]

    def confusion(self, fold: int, near: list[list[Neighbour]], weighting: float, k: int) -> Table:
        """Count how often each digit was taken for each digit."""
        counts = [[0] * 10 for _ in range(10)]
        for i, neighbours in zip(self.inside(fold), near, strict=True):
            counts[self.labels[i]][elect(neighbours[:k], weighting)] += 1
        return counts


def minkowski_power(a: Sequence[int], b: Sequence[int], p: float) -> int:
    gaps = [abs(x - y) for x, y in zip(a, b, strict=True)]
    return max(gaps) if p == math.inf else sum(gap ** int(p) for gap in gaps)


def elect(neighbours: Sequence[Neighbour], weighting: float) -> int:
    """Return the digit with the most votes, the smallest of equals."""
    votes = [((1 + distance) ** -weighting, label) for distance, label in neighbours]
    tally = [math.fsum(vote for vote, label in votes if label == d) for d in range(10)]
    return next(d for d in range(10) if tally[d] > max(tally) * (1 - 1e-12))


def numbers() -> dict[str, Fraction]:
    """The numbers of `task_best_fractions`, to within 10^-59, from series and integer roots."""
    one = 10**60
    return {
        "pi": Fraction(4 * (4 * _series(5, -1, one) - _series(239, -1, one)), one),
        "e": sum((Fraction(1, math.factorial(n)) for n in range(60)), Fraction(0)),
        "square root of 2": Fraction(math.isqrt(2 * one**2), one),
        "golden ratio": Fraction(one + math.isqrt(5 * one**2), 2 * one),
        "fifth in octaves": Fraction(_series(5, 1, one), _series(3, 1, one)),
        "year in days": Fraction(36524219, 100000),
    }


def _series(x: int, sign: int, one: int) -> int:
    """Return `one` times arctan(1/x) (sign -1) or artanh(1/x) (sign 1)."""
    terms = (Fraction(sign**n, (2 * n + 1) * x ** (2 * n + 1)) for n in range(70))
    return round(one * sum(terms))


def best_fraction(x: Fraction, max_denominator: int) -> Fraction:
    """Walk down the Stern-Brocot tree to `x`, and return the nearer end of the last interval."""
    below, above = (math.floor(x), 1), (math.floor(x) + 1, 1)
    while below[1] + above[1] <= max_denominator:
        middle = (below[0] + above[0], below[1] + above[1])
        if Fraction(*middle) == x:
            return x
        if Fraction(*middle) < x:
            below = middle
        else:
            above = middle
    return min((Fraction(*below), Fraction(*above)), key=lambda end: abs(end - x))


def nearest_by_trial(x: Fraction, max_denominator: int) -> Fraction:
    """Try every denominator."""
    tries = (Fraction(round(x * q), q) for q in range(1, max_denominator + 1))
    return min(tries, key=lambda fraction: abs(fraction - x))


def unfold(terms: Sequence[int]) -> Fraction:
    """Return the value of a continued fraction."""
    value = Fraction(terms[-1])
    for term in reversed(terms[:-1]):
        value = term + 1 / value
    return value
