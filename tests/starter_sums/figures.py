"""Geometry and units: question to numbers of its answer."""

from __future__ import annotations

import math
from fractions import Fraction

from tests.starter_sums.tools import Numbers

SUMS: dict[str, Numbers] = {
    "What is the area of a square with side 12?": [12**2],
    "A garden is 15 m by 8 m. How much fence goes around it?": [15 + 8 + 15 + 8],
    "A square has an area of 64 square metres. How long is a side?": [math.isqrt(64)],
    "A rectangle has area 54 and width 6. What is its length?": [Fraction(54, 6)],
    "Area of a triangle, base 7 cm, height 4 cm?": [Fraction(7 * 4, 2)],
    "Find the area of a parallelogram with base 9 and height 5.": [9 * 5],
    "What is the area of a trapezium with parallel sides 4 and 6 and height 3?": [
        Fraction((4 + 6) * 3, 2)
    ],
    "How large is each angle of an equilateral triangle?": [Fraction(180, 3)],
    "One angle of a right triangle is 35 degrees. What is the other?": [180 - 90 - 35],
    "What is the sum of the angles in a pentagon?": [(5 - 2) * 180],
    "Three angles of a quadrilateral are 80, 90 and 110. What is the fourth?": [
        360 - 80 - 90 - 110
    ],
    "An angle of 130 degrees lies beside another on a straight line. How big is the second?": [
        180 - 130
    ],
    "A right triangle has legs 5 and 12. How long is the hypotenuse?": [math.hypot(5, 12)],
    "Hypotenuse 10, one leg 8. What is the other leg?": [
        b for b in range(20) if 8 * 8 + b * b == 100
    ],
    "A ladder of 5 m stands 3 m from the wall. How high does it reach?": [
        h for h in range(9) if 3 * 3 + h * h == 25
    ],
    "Is a triangle with sides 7, 24 and 25 right-angled?": [7**2 + 24**2],
    "What is the volume of a cube with edge 5?": [5**3],
    "How much water fits into a tank 50 cm by 40 cm by 30 cm, in litres?": [
        Fraction(50 * 40 * 30, 1000)
    ],
    "What is the surface of a cube with edge 3?": [6 * 3**2],
    "With pi as 3.14, what is the area of a circle of radius 10?": [Fraction("3.14") * 10**2],
    "With pi as 3.14, how long is a circle of diameter 5?": [Fraction("3.14") * 5],
    "What is the diameter of a circle with radius 4.5?": [2 * Fraction("4.5")],
    "How many edges does a cube have?": [4 * 3],
    "How many diagonals has a hexagon?": [math.comb(6, 2) - 6],
    "A map has the scale 1 to 50000. How many km are 4 cm?": [Fraction(4 * 50000, 100000)],
    "A tree casts 6 m of shadow, a 1 m stick casts 0.5 m. How tall is the tree?": [
        6 / Fraction("0.5")
    ],
    "Doubling all sides of a square makes its area how many times as large?": [2**2],
    "How many centimetres are 1.75 metres?": [Fraction("1.75") * 100],
    "How many grams are 2.4 kg?": [Fraction("2.4") * 1000],
    "Convert 750 ml to litres.": [Fraction(750, 1000)],
    "How many hours are 210 minutes?": [Fraction(210, 60)],
    "How many hours does a week have?": [7 * 24],
    "Convert 72 km per hour to metres per second.": [Fraction(72000, 3600)],
    "Convert 50 degrees Fahrenheit to Celsius.": [(50 - 32) * Fraction(5, 9)],
    "How many square metres has a hectare of 100 m by 100 m?": [100**2],
    "How many cubic centimetres make a litre, if it is a cube of 10 cm?": [10**3],
    "How many hours and minutes does a film of 135 minutes last?": divmod(135, 60),
}
