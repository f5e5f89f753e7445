"""Fractions and percentages: question to numbers of its answer."""

from __future__ import annotations

from fractions import Fraction

from tests.starter_sums.tools import Numbers

SUMS: dict[str, Numbers] = {
    "What is 2/5 + 1/5?": [Fraction(2, 5) + Fraction(1, 5)],
    "Add 3/8 and 1/4.": [Fraction(3, 8) + Fraction(1, 4)],
    "What is 1 minus 3/7?": [1 - Fraction(3, 7)],
    "How much is half of three quarters?": [Fraction(1, 2) * Fraction(3, 4)],
    "Divide 2/3 by 4.": [Fraction(2, 3) / 4],
    "What is 5 divided by 1/3?": [5 / Fraction(1, 3)],
    "Simplify 35/49.": [Fraction(35, 49)],
    "Can 12/30 be shortened?": [Fraction(12, 30)],
    "Write 7/4 with a decimal point.": [Fraction(7, 4)],
    "Turn 0.6 into a fraction.": [Fraction("0.6")],
    "Turn 2.25 into a fraction.": [Fraction("2.25")],
    "Which is bigger, 2/3 or 3/4?": [max(Fraction(2, 3), Fraction(3, 4))],
    "Put 1/2, 2/5 and 3/10 in order.": [Fraction(3, 10), Fraction(2, 5), Fraction(1, 2)],
    "What is 2/3 of 24?": [Fraction(2, 3) * 24],
    "3/4 of my 28 pupils can swim. How many is that?": [Fraction(3, 4) * 28],
    "I ate 3/8 of a pizza and Ben ate 1/2. What is left?": [1 - Fraction(3, 8) - Fraction(1, 2)],
    "What is the reciprocal of 5/2?": [1 / Fraction(5, 2)],
    "Expand 3/5 to twentieths.": [Fraction(12, 20)],
    "What fraction of an hour are 40 minutes?": [Fraction(40, 60)],
    "Which decimal is 1/8?": [Fraction(1, 8)],
    "Half a tank is 24 litres. How much is a full tank?": [24 / Fraction(1, 2)],
    "A third of a number is 9. Which number is it?": [9 / Fraction(1, 3)],
    "What is 20 percent of 45?": [45 * Fraction(20, 100)],
    "How much is 5% of 60?": [60 * Fraction(5, 100)],
    "What is 12 percent of 150?": [150 * Fraction(12, 100)],
    "Find 150 percent of 32.": [32 * Fraction(150, 100)],
    "What percentage is 18 out of 24?": [Fraction(18, 24) * 100],
    "9 of 30 seats are free. How many percent is that?": [Fraction(9, 30) * 100],
    "Write 3/20 as a percentage.": [Fraction(3, 20) * 100],
    "Write 7 percent as a decimal.": [Fraction(7, 100)],
    "8 is 40 percent of what?": [8 / Fraction(40, 100)],
    "A coat costs 68 euros after 15 percent off. What was the old price?": [68 / Fraction(85, 100)],
    "Add 19 percent tax to 200 euros.": [200 * Fraction(119, 100)],
    "How do I work out a tip of 10 percent on 34 euros?": [34 * Fraction(10, 100)],
    "Does 10 percent up and then 10 percent down bring back 100?": [
        100 * Fraction(110, 100) * Fraction(90, 100)
    ],
    "A town shrinks from 8000 to 7600 people. By how many percent?": [
        (1 - Fraction(7600, 8000)) * 100
    ],
    "My pay of 2000 euros rises by 3 percent. What do I get now?": [2000 * Fraction(103, 100)],
    "How much interest do 1200 euros at 2 percent bring in half a year?": [
        1200 * Fraction(2, 100) / 2
    ],
    "What is 1 permille of 5000?": [5000 * Fraction(1, 1000)],
    "From 2 percent to 3 percent: how large is the rise in percent?": [(Fraction(3, 2) - 1) * 100],
}
