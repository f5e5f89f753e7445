"""Equations, functions and sequences: question to numbers of its answer."""

from __future__ import annotations

import math
import statistics
from fractions import Fraction

from tests.starter_sums.tools import Numbers, solve

SUMS: dict[str, Numbers] = {
    "Solve x + 9 = 15.": solve(lambda x: x + 9 == 15),
    "Find x in 5x = 45.": solve(lambda x: 5 * x == 45),
    "What is x if x - 8 = -3?": solve(lambda x: x - 8 == -3),
    "Solve 3x + 4 = 25.": solve(lambda x: 3 * x + 4 == 25),
    "Solve 10 - 2x = 4.": solve(lambda x: 10 - 2 * x == 4),
    "Solve 7x = 3x + 20.": solve(lambda x: 7 * x == 3 * x + 20),
    "Solve 2(x + 5) = 18.": solve(lambda x: 2 * (x + 5) == 18),
    "Solve x/3 + 1 = 5.": solve(lambda x: Fraction(x, 3) + 1 == 5),
    "Solve -4x = 12.": solve(lambda x: -4 * x == 12),
    "Solve x^2 = 81.": solve(lambda x: x * x == 81),
    "Solve x^2 - 7x + 12 = 0.": solve(lambda x: x * x - 7 * x + 12 == 0),
    "Find the zeros of x^2 - 9.": solve(lambda x: x * x - 9 == 0),
    "Solve x(x - 6) = 0.": solve(lambda x: x * (x - 6) == 0),
    "Solve x^2 + 2x - 8 = 0.": solve(lambda x: x * x + 2 * x - 8 == 0),
    "Solve x + y = 12 and x = 2y.": next((x, 12 - x) for x in range(13) if x == 2 * (12 - x)),
    "Solve 2x + y = 7 and y = x + 1.": next((x, x + 1) for x in range(9) if 2 * x + x + 1 == 7),
    "Expand (x + 3)(x + 2) and tell me its value at x = 1.": [(1 + 3) * (1 + 2)],
    "What is 3a + 2b for a = 4 and b = 5?": [3 * 4 + 2 * 5],
    "Find the value of x^2 - x at x = 6.": [6**2 - 6],
    "For which x is 2x more than 10?": solve(lambda x: 2 * x == 10),
    "Which whole numbers x satisfy 3 < x < 7?": solve(lambda x: 3 < x < 7),
    "I think of a number, double it, add 6 and get 20. What is my number?": solve(
        lambda x: 2 * x + 6 == 20
    ),
    "Three consecutive numbers add up to 24. Which are they?": [
        n for x in solve(lambda x: x + x + 1 + x + 2 == 24) for n in (x, x + 1, x + 2)
    ],
    "Two numbers have sum 30 and difference 8. What are they?": [
        Fraction(30 - 8, 2),
        Fraction(30 + 8, 2),
    ],
    "A father is 40, his son 10. In how many years is he twice as old?": solve(
        lambda y: 40 + y == 2 * (10 + y)
    ),
    "Mia has 5 more marbles than Tom, together they have 21. How many has Mia?": solve(
        lambda m: m + m - 5 == 21
    ),
    "What is the discriminant of x^2 + 4x + 1?": [4**2 - 4 * 1 * 1],
    "What is f of 3 if f maps x to 2x + 1?": [2 * 3 + 1],
    "Where does y = 3x + 5 cross the y axis?": [3 * 0 + 5],
    "What is the slope of y = 4x - 1?": [(4 * 1 - 1) - (4 * 0 - 1)],
    "Which y belongs to x = -2 on y = x^2 + 1?": [(-2) ** 2 + 1],
    "Where is the lowest point of y = (x - 3)^2 + 2?": min(
        ((x - 3) ** 2 + 2, x) for x in range(-50, 51)
    ),
    "What is the midpoint of 3 and 11 on the number line?": [statistics.mean([3, 11])],
    "How far apart are the points (1, 1) and (4, 5)?": [math.dist((1, 1), (4, 5))],
    "What is the derivative of x^2 at x = 5?": [2 * 5],
    "What is the next number in 5, 8, 11, 14?": [range(5, 99, 3)[4]],
    "Continue 1, 4, 9, 16.": [5**2],
    "Which number follows 1, 1, 2, 3, 5?": [3 + 5],
    "What comes after 80, 40, 20?": [Fraction(20, 2)],
    "Find the 20th even number.": [range(2, 99, 2)[19]],
    "Sum of 1 to 20?": [sum(range(21))],
    "What do the first five odd numbers add up to?": [sum(range(1, 10, 2))],
    "What is 1 + 2 + 4 + 8 + 16?": [sum(2**k for k in range(5))],
    "The first term is 50 and each step takes 4 away. What is the sixth term?": [
        range(50, 0, -4)[5]
    ],
    "What is the limit of 1/2 + 1/4 + 1/8 and so on?": [Fraction(1, 2) / (1 - Fraction(1, 2))],
}
