"""Held-out rows since the sets grew: question to numbers of its answer."""

from __future__ import annotations

import math
import statistics
from fractions import Fraction

from tests.starter_sums.tools import Numbers, primes, solve

SUMS: dict[str, Numbers] = {
    "Work out 34 times 8.": [34 * 8],
    "What is 503 minus 287?": [503 - 287],
    "How much is 96 shared by 8?": [Fraction(96, 8)],
    "What is 9 - 2 * 3?": [9 - 2 * 3],
    "What is the product of -6 and 7?": [-6 * 7],
    "Is 83 a prime?": primes(83),
    "Find the smallest common multiple of 9 and 6.": [math.lcm(9, 6)],
    "How much is 4 cubed?": [4**3],
    "What is the root of 169?": [math.isqrt(169)],
    "What is one fifth plus one half?": [Fraction(1, 5) + Fraction(1, 2)],
    "Reduce 21/28 to lowest terms.": [Fraction(21, 28)],
    "What is four fifths of 35?": [Fraction(4, 5) * 35],
    "A bill of 60 euros gets 5 percent discount. What do I pay?": [60 * Fraction(95, 100)],
    "21 out of 70 answered. Which percentage is it?": [Fraction(21, 70) * 100],
    "Find x with 6x - 5 = 31.": solve(lambda x: 6 * x - 5 == 31),
    "Which numbers solve x^2 = 16?": solve(lambda x: x * x == 16),
    "Two angles of a triangle are 45 and 75 degrees. What is the last one?": [180 - 45 - 75],
    "How much carpet does a room of 3.5 m by 4 m need?": [Fraction("3.5") * 4],
    "What is the median of 8, 2 and 5?": [statistics.median([8, 2, 5])],
    "How likely is a number above 4 on one die?": [Fraction(2, 6)],
    "Which number continues 3, 6, 12, 24?": [3 * 2**4],
    "How many kilograms are 850 grams?": [Fraction(850, 1000)],
    "Six notebooks cost 9 euros. What do 4 cost?": [Fraction(9, 6) * 4],
    "I read 30 pages on Monday and 45 on Tuesday. How many is that?": [30 + 45],
    "The book has 200. How many pages are left?": [200 - 30 - 45],
    "How many books are in a library I do not name?": [],
    "Who painted the Mona Lisa?": [],
}
