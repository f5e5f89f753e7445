"""Own the pictures of a report: SVG drawn from numbers. Know nothing of builds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

WIDTH, HEIGHT = 640, 220
LEFT, RIGHT, TOP, BOTTOM = 56, 12, 12, 34
BOX_WIDTH, BOX_HEIGHT, GAP_X, GAP_Y = 112, 40, 26, 14
TICKS = 4


@dataclass(frozen=True, kw_only=True)
class Box:
    """A node of a plan's picture."""

    name: str
    note: str
    kind: str
    """CSS class that colours it."""
    needs: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Dot:
    """A point of a scatter plot."""

    x: float
    y: float
    label: str
    good: bool = True


def plan_picture(boxes: Sequence[Box]) -> Markup:
    """Draw boxes from left to right by how many stages lie before them, and what they need."""
    columns = _columns(boxes)
    rows: dict[int, int] = {}
    place: dict[str, tuple[int, int]] = {}
    for box in boxes:
        column = columns[box.name]
        row = rows.get(column, 0)
        rows[column] = row + 1
        place[box.name] = (
            column * (BOX_WIDTH + GAP_X) + 2,
            row * (BOX_HEIGHT + GAP_Y) + 2,
        )
    width = (max(columns.values()) + 1) * (BOX_WIDTH + GAP_X) - GAP_X + 4
    height = max(rows.values()) * (BOX_HEIGHT + GAP_Y) - GAP_Y + 4
    parts = [_edge(place[need], place[box.name]) for box in boxes for need in box.needs]
    parts += [_box(box, *place[box.name]) for box in boxes]
    return svg(width, height, parts, "The stages and what each one reads")


def curve(points: Sequence[tuple[float, float]], *, x: str, y: str) -> Markup:
    """Draw one line.

    Args:
        points: (x, y), at least one; values that are not finite are left out.
        x: What the horizontal axis counts.
        y: What the vertical axis measures.
    """
    kept = [point for point in points if all(math.isfinite(value) for value in point)]
    if not kept:
        return Markup("")
    area = _Frame([p[0] for p in kept], [0.0, *(p[1] for p in kept)])
    line = " ".join(f"{area.x(px):.1f},{area.y(py):.1f}" for px, py in kept)
    parts = [*area.axes(x, y), Markup('<polyline class="line" points="{}"/>').format(line)]
    return svg(WIDTH, HEIGHT, parts, f"{y} over {x}")


def scatter(dots: Sequence[Dot], *, x: str, y: str) -> Markup:
    """Draw labelled points; the axes start at zero."""
    if not dots:
        return Markup("")
    area = _Frame([0.0, *(d.x for d in dots)], [0.0, *(d.y for d in dots)])
    parts = area.axes(x, y)
    for index, dot in enumerate(dots):
        px, py = area.x(dot.x), area.y(dot.y)
        # Neighbours often share a place: alternate sides keeps their names readable.
        above = index % 2 == 0
        parts.append(
            Markup('<circle class="{}" cx="{:.1f}" cy="{:.1f}" r="5"/>').format(
                "good" if dot.good else "bad", px, py
            )
        )
        parts.append(
            Markup('<text class="dot" x="{:.1f}" y="{:.1f}" text-anchor="{}">{}</text>').format(
                px, py + (-10 if above else 18), _anchor(px), dot.label
            )
        )
    return svg(WIDTH, HEIGHT, parts, f"{y} against {x}")


def bars(counts: Sequence[tuple[str, float]], *, x: str, y: str) -> Markup:
    """Draw a bar for each (label, value), from left to right; values are not negative."""
    if not counts:
        return Markup("")
    area = _Frame([0.0, float(len(counts))], [0.0, *(value for _, value in counts)])
    parts = area.axes("", y, ticks_x=False)
    every = -(-len(counts) // 8)
    for index, (label, value) in enumerate(counts):
        left, right = area.x(index + 0.1), area.x(index + 0.9)
        top = area.y(value)
        parts.append(
            Markup(
                '<rect class="column" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"/>'
            ).format(left, top, right - left, HEIGHT - BOTTOM - top)
        )
        if index % every == 0:
            parts.append(
                Markup('<text x="{:.1f}" y="{}" text-anchor="middle">{}</text>').format(
                    (left + right) / 2, HEIGHT - BOTTOM + 14, label
                )
            )
    parts.append(
        Markup('<text class="axis" x="{}" y="{}" text-anchor="end">{}</text>').format(
            WIDTH - RIGHT, HEIGHT - 4, x
        )
    )
    return svg(WIDTH, HEIGHT, parts, f"{y} by {x}")


def frame(xs: Sequence[float], ys: Sequence[float]) -> _Frame:
    """Return a drawing area that holds these values."""
    return _Frame(xs, ys)


class _Frame:
    """Maps values to the drawing and draws the axes."""

    def __init__(self, xs: Sequence[float], ys: Sequence[float]) -> None:
        self._x = (min(xs), max(xs) if max(xs) > min(xs) else min(xs) + 1)
        self._y = (min(ys), max(ys) * 1.05 if max(ys) > min(ys) else min(ys) + 1)

    def x(self, value: float) -> float:
        low, high = self._x
        return LEFT + (value - low) / (high - low) * (WIDTH - LEFT - RIGHT)

    def y(self, value: float) -> float:
        low, high = self._y
        return HEIGHT - BOTTOM - (value - low) / (high - low) * (HEIGHT - TOP - BOTTOM)

    def axes(self, x: str, y: str, *, ticks_x: bool = True) -> list[Markup]:
        """Return grid lines, tick labels and what the axes are."""
        parts = [
            Markup(
                '<line class="grid" x1="{}" x2="{}" y1="{:.1f}" y2="{:.1f}"/>'
                '<text x="{}" y="{:.1f}" text-anchor="end">{}</text>'
            ).format(
                *(LEFT, WIDTH - RIGHT, self.y(value), self.y(value)),
                *(LEFT - 6, self.y(value) + 4, _short(value)),
            )
            for value in ticks(*self._y)
        ]
        parts += [
            Markup('<text x="{:.1f}" y="{}" text-anchor="middle">{}</text>').format(
                self.x(value), HEIGHT - BOTTOM + 14, _short(value)
            )
            for value in (ticks(*self._x) if ticks_x else ())
        ]
        parts.append(
            Markup(
                '<text class="axis" x="{}" y="{}" text-anchor="end">{}</text>'
                '<text class="axis" x="{}" y="{}">{}</text>'
            ).format(WIDTH - RIGHT, HEIGHT - 4, x, LEFT + 6, TOP + 10, y)
        )
        return parts


def ticks(low: float, high: float) -> list[float]:
    """Return the round values (1, 2 or 5 times a power of ten apart) from ``low`` to ``high``."""
    rough = (high - low) / TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    # Rounded: three steps of 0.1 should be called 0.3.
    return [round(count * step, 12) for count in range(first, last + 1)]


def _columns(boxes: Sequence[Box]) -> Mapping[str, int]:
    columns: dict[str, int] = {}
    for box in boxes:
        columns[box.name] = 1 + max((columns[need] for need in box.needs), default=-1)
    return columns


def _edge(start: tuple[int, int], end: tuple[int, int]) -> Markup:
    x1, y1 = start[0] + BOX_WIDTH, start[1] + BOX_HEIGHT / 2
    x2, y2 = end[0], end[1] + BOX_HEIGHT / 2
    middle = x2 - GAP_X / 2
    path = f"M{x1},{y1} C{middle},{y1} {middle},{y2} {x2},{y2}"
    return Markup('<path class="edge" d="{}"/>').format(path)


def _box(box: Box, x: int, y: int) -> Markup:
    return Markup(
        '<g class="{}"><rect x="{}" y="{}" width="{}" height="{}" rx="8"/>'
        '<text class="name" x="{}" y="{}">{}</text><text class="note" x="{}" y="{}">{}</text></g>'
    ).format(
        *(box.kind, x, y, BOX_WIDTH, BOX_HEIGHT),
        *(x + 9, y + 17, box.name, x + 9, y + 32, box.note),
    )


def svg(width: float, height: float, parts: Sequence[Markup], title: str) -> Markup:
    """Return a picture of parts; the title is read to those who cannot see it."""
    return Markup(
        '<svg viewBox="0 0 {} {}" role="img" aria-label="{}" data-width="{}">{}</svg>'
    ).format(width, height, escape(title), width, Markup("").join(parts))


def _anchor(x: float) -> str:
    return "start" if x < WIDTH * 0.2 else "end" if x > WIDTH * 0.8 else "middle"


def _short(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"
