"""Data, chance, word problems and unanswerable questions: question to numbers of its answer."""

from __future__ import annotations

import math
import statistics
from fractions import Fraction

from tests.starter_sums.tools import DICE, Numbers, solve

SUMS: dict[str, Numbers] = {
    "What is the mean of 6, 7 and 11?": [statistics.mean([6, 7, 11])],
    "Find the median of 2, 9, 4 and 7.": [Fraction(statistics.median([2, 9, 4, 7]))],
    "What is the mode of 3, 5, 5, 8, 5, 3?": [statistics.mode([3, 5, 5, 8, 5, 3])],
    "What is the range of 12, 4, 19 and 7?": [max(12, 4, 19, 7) - min(12, 4, 19, 7)],
    "My marks are 2, 3, 1 and 2. What is my average?": [statistics.mean([2, 3, 1, 2])],
    "The mean of three numbers is 10. What is their sum?": [3 * 10],
    "After tests with 70 and 80 points, what do I need for a mean of 80?": solve(
        lambda p: 70 + 80 + p == 240, range(101)
    ),
    "In how many ways can 3 people stand in a row?": [math.perm(3)],
    "How many outfits do 4 shirts and 3 trousers make?": [4 * 3],
    "How many two-digit codes can I make from the digits 0 to 9?": [10**2],
    "Choose 3 of 6 books: how many ways?": [math.comb(6, 3)],
    "How many matches do 5 teams play if each meets each once?": [math.comb(5, 2)],
    "How many words can be made by ordering the letters of CAT?": [math.perm(3)],
    "What is the chance of an even number with one die?": [Fraction(len([2, 4, 6]), 6)],
    "A bag has 3 red and 5 blue balls. How likely is red?": [Fraction(3, 3 + 5)],
    "How likely is it not to roll a six?": [1 - Fraction(1, 6)],
    "What is the chance of three heads in a row?": [Fraction(1, 2) ** 3],
    "What is the chance of at least one head in two throws?": [1 - Fraction(1, 2) ** 2],
    "Two dice: how likely is a double?": [Fraction(6, len(DICE))],
    "How likely is a sum of 4 with two dice?": [Fraction(DICE.count(4), len(DICE))],
    "Each ticket wins with chance 1/20. How many wins do I expect from 100 tickets?": [
        100 * Fraction(1, 20)
    ],
    "Three pens cost 2.40 euros. What does one cost?": [Fraction("2.40") / 3],
    "Five kilos of potatoes cost 6 euros. What do 8 kilos cost?": [Fraction(6, 5) * 8],
    "Two taps fill a pool in 12 hours. How long do 3 such taps need?": [Fraction(2 * 12, 3)],
    "I pay with 20 euros for goods of 13.45. What change do I get?": [20 - Fraction("13.45")],
    "A cyclist rides 45 km in 2.5 hours. What is her speed?": [45 / Fraction("2.5")],
    "How long does a walk of 9 km take at 6 km per hour?": [Fraction(9, 6)],
    "Trains 300 km apart come closer at 80 and 70 km per hour. When do they meet?": [
        Fraction(300, 80 + 70)
    ],
    "A car uses 6 litres for 100 km. How much for 350 km?": [Fraction(350, 100) * 6],
    "Share 90 euros in the ratio 2 to 3.": [90 * Fraction(2, 5), 90 * Fraction(3, 5)],
    "Mix 2 litres of juice with 6 litres of water. What share is juice?": [Fraction(2, 2 + 6)],
    "A book has 240 pages and I read 16 a day. How many days do I need?": [Fraction(240, 16)],
    "38 children go by cars with 4 seats for them. How many cars are needed?": [
        math.ceil(Fraction(38, 4))
    ],
    "A fence of 20 m has a post every 2 m. How many posts are there?": [len(range(0, 21, 2))],
    "A snail climbs 3 m a day and slips 1 m each night. On which day is it up at 7 m?": [
        next(d for d in range(1, 9) if 2 * (d - 1) + 3 >= 7)
    ],
    "Which is cheaper per 100 g: 250 g for 2 euros or 400 g for 3 euros?": [
        400 if Fraction(3, 400) < Fraction(2, 250) else 250
    ],
    "What is 7 divided by 0?": [],
    "What is the largest number?": [],
    "What is the last digit of pi?": [],
    "Find a real number whose square is -4.": solve(lambda x: x * x == -4),
    "Solve x + 1 = x.": solve(lambda x: x + 1 == x),
    "Can a triangle have the sides 2, 3 and 9?": [],
    "Solve x + y = 5.": [],
    "How old is the captain with 26 sheep and 10 goats?": [],
    "A train goes 80 km per hour. How far does it get?": [],
    "Which lottery numbers will win on Saturday?": [],
    "Who won the football match last night?": [],
    "What is the capital of Norway?": [],
    "Can you write a poem about spring?": [],
    "My tooth hurts. What should I take?": [],
    "Should I put my savings into shares?": [],
    "Can you translate good morning into Spanish?": [],
    "What will the weather be tomorrow?": [],
    "How do I write a loop in Python?": [],
    "Is there a formula that gives all primes simply?": [],
    "What is infinity minus infinity?": [],
    "Can you prove the Riemann hypothesis?": [],
}
