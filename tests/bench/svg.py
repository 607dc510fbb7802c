"""Shapes -> the text of an SVG picture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

Point = tuple[float, float]
FONT = "-apple-system, 'Segoe UI', 'Noto Sans', 'DejaVu Sans', Helvetica, Arial, sans-serif"


def picture(width: int, height: int, title: str, shapes: Iterator[str]) -> str:
    """All shapes in order, later ones on top; `title` is for screen readers."""
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" role="img" font-family="{FONT}">'
    )
    return "\n".join((head, f"<title>{escape(title)}</title>", *shapes, "</svg>", ""))


def text(
    at: Point,
    words: str,
    colour: str,
    *,
    size: float = 13,
    anchor: str = "start",
    bold: bool = False,
) -> str:
    """Text with its baseline at a point; `anchor` is start, middle or end."""
    weight = ' font-weight="600"' if bold else ""
    return (
        f'<text x="{at[0]:.1f}" y="{at[1]:.1f}" fill="{colour}" font-size="{size:g}" '
        f'text-anchor="{anchor}"{weight}>{escape(words)}</text>'
    )


def bar(at: Point, width: float, height: float, colour: str, edge: str = "none") -> str:
    """A rectangle from its upper left corner."""
    return (
        f'<rect x="{at[0]:.1f}" y="{at[1]:.1f}" width="{width:.1f}" height="{height:.1f}" rx="2" '
        f'fill="{colour}" stroke="{edge}"/>'
    )


def line(points: Sequence[Point], colour: str, *, width: float = 1) -> str:
    where = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return (
        f'<polyline points="{where}" fill="none" stroke="{colour}" stroke-width="{width:g}" '
        'stroke-linejoin="round"/>'
    )


def dot(at: Point, colour: str) -> str:
    """A small disc."""
    return f'<circle cx="{at[0]:.1f}" cy="{at[1]:.1f}" r="3.5" fill="{colour}"/>'
