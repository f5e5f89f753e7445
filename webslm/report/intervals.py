"""Own the plot of values with intervals over a few named steps. Know nothing of builds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from webslm.report.pictures import BOTTOM, HEIGHT, WIDTH, frame, svg

SPREAD = 0.035
"""How far series stand beside each other, in steps, so that their intervals do not hide."""


@dataclass(frozen=True, kw_only=True)
class Series:
    """One line of the plot."""

    label: str
    points: list[tuple[float, float, float]]
    """(value, low, high) for every step."""


def steps_plot(steps: Sequence[str], series: Sequence[Series], *, title: str) -> Markup:
    """Draw each series over the steps, with its intervals; the vertical axis starts at zero."""
    tops = [high for item in series for _, _, high in item.points]
    area = frame([0.0, float(len(steps))], [0.0, *tops])
    parts = area.axes("", "", ticks_x=False)
    for index, name in enumerate(steps):
        parts.append(
            Markup('<text x="{:.1f}" y="{}" text-anchor="middle">{}</text>').format(
                area.x(index + 0.5), HEIGHT - BOTTOM + 15, name
            )
        )
    for number, item in enumerate(series):
        shift = (number - (len(series) - 1) / 2) * SPREAD
        xs = [area.x(index + 0.5 + shift) for index in range(len(steps))]
        ys = [area.y(value) for value, _, _ in item.points]
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in zip(xs, ys, strict=True))
        style = f"series-{number}"
        parts.append(Markup('<polyline class="{}" points="{}"/>').format(style, line))
        for x, y, (_, low, high) in zip(xs, ys, item.points, strict=True):
            parts.append(
                Markup(
                    '<line class="{}" x1="{:.1f}" x2="{:.1f}" y1="{:.1f}" y2="{:.1f}"/>'
                    '<circle class="{}" cx="{:.1f}" cy="{:.1f}" r="4"/>'
                ).format(style, x, x, area.y(low), area.y(high), style, x, y)
            )
        parts.append(
            Markup('<text class="{}" x="{}" y="{}">{}</text>').format(
                style, 64 + 110 * number, HEIGHT - 4, f"\u25cf {item.label}"
            )
        )
    return svg(WIDTH, HEIGHT, parts, title)
