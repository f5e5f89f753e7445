"""What the sums of the mathematics starter set are worked out with."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

Numbers = Sequence[int | float | Fraction]
DICE = [a + b for a in range(1, 7) for b in range(1, 7)]


def solve(holds: object, over: Sequence[int] = range(-50, 51)) -> list[int]:
    """Return the whole numbers that solve an equation, found by trying them all."""
    assert callable(holds)
    return [x for x in over if holds(x)]


def primes(number: int) -> list[int]:
    """Return the prime factors of a number, smallest first."""
    divisor = next((d for d in range(2, number) if number % d == 0), number)
    return [number] if divisor == number else [divisor, *primes(number // divisor)]
