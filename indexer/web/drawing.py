"""Numbers -> small pictures as SVG, drawn here: no script, and readable without colours."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup, escape

_WIDTH = 320
_HEIGHT = 64
_GAP = 2
_WIDEST = 54


def bars(values: Sequence[tuple[str, float, str]], label: str) -> Markup:
    """A bar for each (name, value, value in words); `label` says what they are."""
    most = max((value for _, value, _ in values), default=0) or 1
    width = min(_WIDEST, _WIDTH / max(1, len(values)))
    left = _WIDTH - width * len(values)
    parts = [_head(label, values)]
    for place, (name, value, words) in enumerate(values):
        height = max(1.0 if value else 0.0, (_HEIGHT - 4) * value / most)
        kind = "bar" if value else "bar none"
        height = height or 1.0
        parts.append(
            Markup(
                '<rect class="{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}" rx="1.5">'
                "<title>{}: {}</title></rect>"
            ).format(
                kind,
                left + place * width,
                _HEIGHT - height,
                max(1.0, width - _GAP),
                height,
                name,
                words,
            )
        )
    parts.append(Markup("</svg>"))
    return Markup("").join(parts)


def _head(label: str, values: Sequence[tuple[str, float, str]]) -> Markup:
    told = "; ".join(f"{name}: {words}" for name, value, words in values if value) or "nothing"
    return Markup(
        '<svg class="chart" viewBox="0 0 {} {}" preserveAspectRatio="none" role="img"'
        ' aria-label="{}">'
    ).format(_WIDTH, _HEIGHT, escape(f"{label}. {told}"))
