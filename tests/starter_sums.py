"""What the mathematics starter set asks, worked out by Python: question to numbers of its answer.

Written from the questions alone, so that a slip in a worked step cannot hide in both places.
"""

from __future__ import annotations

import math
import statistics
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


SUMS: dict[str, Numbers] = {
    "What is 17 times 6?": [17 * 6],
    "What is 15 percent of 80?": [Fraction(15, 100) * 80],
    "Solve 2x + 3 = 11.": solve(lambda x: 2 * x + 3 == 11),
    "What is the area of a rectangle 7 cm by 4 cm?": [7 * 4],
    "How long is the edge around a rectangle of 9 m by 5 m?": [9 + 5 + 9 + 5],
    "What is the area of a triangle with base 10 and height 6?": [Fraction(10 * 6, 2)],
    "How do I add one half and one third?": [Fraction(1, 2) + Fraction(1, 3)],
    "What is three quarters minus one third?": [Fraction(3, 4) - Fraction(1, 3)],
    "What is two thirds times three fifths?": [Fraction(2, 3) * Fraction(3, 5)],
    "How do I divide 3/4 by 1/2?": [Fraction(3, 4) / Fraction(1, 2)],
    "What is the mean of 4, 8, 9 and 11?": [statistics.mean([4, 8, 9, 11])],
    "What is the median of 7, 3, 9, 1 and 5?": [statistics.median([7, 3, 9, 1, 5])],
    "What is 2 to the power of 8?": [2**8],
    "What is the square root of 144?": [math.isqrt(144)],
    "What is the greatest common divisor of 24 and 36?": [math.gcd(24, 36)],
    "What is the least common multiple of 4 and 6?": [math.lcm(4, 6)],
    "Is 91 a prime number?": [math.prod(primes(91)[:2])],
    "Solve x^2 = 49.": solve(lambda x: x * x == 49),
    "Solve x^2 - 5x + 6 = 0.": solve(lambda x: x * x - 5 * x + 6 == 0),
    "A shirt of 40 euros is reduced by 25 percent. What does it cost?": [40 * Fraction(75, 100)],
    "A car drives 180 km in 2 hours. How fast is it?": [Fraction(180, 2)],
    "How far do I get in 3 hours at 12 km per hour?": [3 * 12],
    "What is the hypotenuse of a right triangle with legs 3 and 4?": [math.hypot(3, 4)],
    "What is the third angle of a triangle with angles of 50 and 60 degrees?": [180 - 50 - 60],
    "What is the volume of a box of 2 by 3 by 4?": [2 * 3 * 4],
    "How many ways are there to order 4 books?": [math.perm(4)],
    "In how many ways can I choose 2 of 5 friends?": [math.comb(5, 2)],
    "What is the chance of a six with one die?": [Fraction(1, 6)],
    "What is the chance of two heads with two coins?": [Fraction(1, 2) ** 2],
    "What is minus 3 times minus 5?": [-3 * -5],
    "What is 7 minus 12?": [7 - 12],
    "What comes first in 2 + 3 * 4?": [2 + 3 * 4],
    "What is (2 + 3) * 4?": [(2 + 3) * 4],
    "How do I write 0.375 as a fraction?": [Fraction("0.375")],
    "How do I write 5/8 as a decimal?": [Fraction(5, 8)],
    "What is 0.2 as a percentage?": [Fraction("0.2") * 100],
    "What are 3 percent interest on 500 euros for one year?": [500 * Fraction(3, 100)],
    "What becomes of 1000 euros after two years at 10 percent with compound interest?": [
        1000 * Fraction(110, 100) ** 2
    ],
    "A price rises from 50 to 60. By how many percent?": [(Fraction(60, 50) - 1) * 100],
    "Three apples cost 1.20 euros. What do 5 cost?": [Fraction("1.20") * Fraction(5, 3)],
    "Four painters need 6 days. How long do 3 painters need?": [Fraction(4 * 6, 3)],
    "How many minutes are 2.5 hours?": [Fraction("2.5") * 60],
    "How many metres are 3.2 kilometres?": [Fraction("3.2") * 1000],
    "How many square centimetres are in one square metre?": [100**2],
    "Convert 20 degrees Celsius to Fahrenheit.": [20 * Fraction(9, 5) + 32],
    "What is the slope of the line through (1, 2) and (4, 11)?": [Fraction(11 - 2, 4 - 1)],
    "Where does y = 2x - 6 cross the x axis?": solve(lambda x: 2 * x - 6 == 0),
    "Solve x + y = 10 and x - y = 4.": [Fraction(10 + 4, 2), Fraction(10 - 4, 2)],
    "Solve 5(x - 2) = 20.": solve(lambda x: 5 * (x - 2) == 20),
    "Solve x / 4 = 7.": solve(lambda x: x / 4 == 7),
    "What is the sum of the numbers from 1 to 100?": [sum(range(101))],
    "What is the 10th term of 3, 7, 11 and so on?": [range(3, 100, 4)[9]],
    "What follows in 2, 6, 18, 54?": [2 * 3**4],
    "What is 3 to the power of minus 2?": [Fraction(3) ** -2],
    "What is 10^3 times 10^2?": [10**5],
    "How do I simplify 18/24?": [Fraction(18, 24)],
    "Which is larger, 3/5 or 5/8?": [max(Fraction(3, 5), Fraction(5, 8))],
    "What remains when 50 is divided by 7?": [50 % 7],
    "Round 3.746 to one decimal place.": [round(Fraction("3.746"), 1)],
    "What is the derivative of x^3 at x = 2?": [3 * 2**2],
    "What is the area under y = x from 0 to 6?": [Fraction(6**2, 2)],
    "What is the logarithm of 1000 to base 10?": [math.log10(1000)],
    "What does 5! mean?": [math.factorial(5)],
    "Write 42 as a product of primes.": primes(42),
    "Ann is twice as old as Ben, together they are 36. How old is Ann?": [Fraction(36 * 2, 3)],
    "A tank of 60 litres empties at 4 litres a minute. When is it empty?": [Fraction(60, 4)],
    "A recipe for 4 people needs 300 g of rice. What about 6 people?": [300 * Fraction(6, 4)],
    "And if 10 people come?": [300 * Fraction(10, 4)],
    "I save 25 euros a month. How much is that in a year?": [25 * 12],
    "How long until I have 1000 euros?": [Fraction(1000, 25)],
    "How much would I need a month to have it in 20?": [Fraction(1000, 20)],
    "My room is 5 m long and 4 m wide. What is its floor area?": [5 * 4],
    "Tiles cost 18 euros a square metre. What does the floor cost?": [18 * 5 * 4],
    "I roll two dice. How many outcomes are there?": [len(DICE)],
    "How likely is a sum of 7?": [Fraction(DICE.count(7), len(DICE))],
    "And a sum of 12?": [Fraction(DICE.count(12), len(DICE))],
    "Please solve 3x - 5 = 16.": solve(lambda x: 3 * x - 5 == 16),
    "How can I be sure?": solve(lambda x: 3 * x - 5 == 16),
    "I got 45 of 60 points in a test.": [Fraction(45, 60) * 100],
    "How many points would be 80 percent?": [Fraction(80, 100) * 60],
    "What is 23 times 4?": [23 * 4],
    "What is 30 percent of 250?": [Fraction(30, 100) * 250],
    "Solve 4x - 7 = 21.": solve(lambda x: 4 * x - 7 == 21),
    "A square has sides of 8 cm. How large is it?": [8**2],
    "What is one quarter plus one sixth?": [Fraction(1, 4) + Fraction(1, 6)],
    "What is the average of 10, 20 and 60?": [statistics.mean([10, 20, 60])],
    "Is 57 prime?": [math.prod(primes(57)[:2])],
    "A train needs 3 hours for 240 km. What is its speed?": [Fraction(240, 3)],
    "What is the longest side of a right triangle with legs 6 and 8?": [math.hypot(6, 8)],
    "How many handshakes are there among 6 people?": [math.comb(6, 2)],
    "What is 5 squared minus 3 squared?": [5**2 - 3**2],
    "How many seconds has a day?": [24 * 60 * 60],
    "A phone of 300 euros gets 10 percent dearer. What is the new price?": [
        300 * Fraction(110, 100)
    ],
    "Solve 7x = 63.": solve(lambda x: 7 * x == 63),
}
