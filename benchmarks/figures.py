"""The report's pictures, drawn by matplotlib from arrays."""

from __future__ import annotations

import io

import matplotlib as mpl
import numpy as np

mpl.use("Agg")
from matplotlib import pyplot

COLOURS = ("#b8b8b8", "#e8a33d", "#7aa6c2", "#1f6f8b")


def bars(title: str, groups: list[str], series: dict[str, list[float]], low: float = 0.0):
    """One group of bars a name, one bar of it a series."""
    figure, axes = pyplot.subplots(figsize=(max(6, 1.1 * len(groups)), 3.4))
    width = 0.8 / len(series)
    for n, (name, values) in enumerate(series.items()):
        axes.bar(np.arange(len(groups)) + n * width, values, width, label=name,
                 color=COLOURS[n % len(COLOURS)])  # fmt: skip
    axes.set_xticks(np.arange(len(groups)) + 0.4 - width / 2, groups, rotation=25, ha="right")
    axes.set(title=title, ylim=(low, 1))
    axes.legend(loc="lower right", fontsize=8, ncols=len(series))
    return figure


def confusion(title: str, labels: list[str], matrix: np.ndarray):
    """matrix: rows of a true label (down) answered as a label (across), counts (L, L)."""
    share = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    side = 2 + 0.6 * len(labels)
    figure, axes = pyplot.subplots(figsize=(side + 1, side))
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(range(len(labels)), labels, rotation=45, ha="right")
    axes.set_yticks(range(len(labels)), labels)
    axes.set(title=title, xlabel="answered", ylabel="labelled")
    for y, x in np.ndindex(*matrix.shape):
        axes.text(x, y, int(matrix[y, x]), ha="center", va="center", fontsize=8,
                  color="white" if share[y, x] > 0.5 else "black")  # fmt: skip
    return figure


def reliability(title: str, score: np.ndarray, right: np.ndarray, bins: int = 15):
    """How often answers are right (N,) at each score (N,); the diagonal is perfect."""
    bucket = np.minimum((score * bins).astype(int), bins - 1)
    used = np.unique(bucket)
    figure, axes = pyplot.subplots(figsize=(4, 4))
    axes.plot([0, 1], [0, 1], color="#999999", linewidth=1)
    axes.plot([score[bucket == b].mean() for b in used], [right[bucket == b].mean() for b in used],
              "o-", color=COLOURS[3])  # fmt: skip
    for b in used:
        axes.annotate((bucket == b).sum(), (score[bucket == b].mean(), right[bucket == b].mean()),
                      fontsize=7, xytext=(3, -9), textcoords="offset points")  # fmt: skip
    axes.set(title=title, xlabel="score", ylabel="share of right answers", xlim=(0, 1), ylim=(0, 1))
    return figure


def trade(
    title: str, names: list[str], ms: list[float], megabytes: list[float], reached: list[float]
):
    """Milliseconds across, the figure up, the size of the file as the size of the dot."""
    figure, axes = pyplot.subplots(figsize=(6, 3.6))
    axes.scatter(ms, reached, s=[30 * size for size in megabytes], color=COLOURS[3], alpha=0.7)
    for name, x, y, size in zip(names, ms, reached, megabytes, strict=True):
        axes.annotate(f"{name}, {size:.1f} MB", (x, y), xytext=(8, 4), textcoords="offset points")
    axes.set(title=title, xlabel="ms for one text, one thread", xscale="log")
    return figure


def rows(names: list[str], panels: dict[str, dict[str, list[float | None]]]):
    """A panel a quantity, its series as bars from left to right on a scale of powers of ten, with
    their values; no bar where one is None."""
    size = (3.2 * len(panels), 0.5 * len(names) + 1.2)
    figure, all_axes = pyplot.subplots(1, len(panels), figsize=size, sharey=True)
    for axes, (title, series) in zip(all_axes, panels.items(), strict=True):
        height = 0.8 / len(series)
        for n, (name, values) in enumerate(series.items()):
            known = [(y, value) for y, value in enumerate(values) if value is not None]
            if not known:
                continue
            drawn = axes.barh([y + (n - (len(series) - 1) / 2) * height for y, _ in known],
                              [value for _, value in known], height, label=name,
                              color=COLOURS[3 - n])  # fmt: skip
            shown = [f"{value:,.0f}" if value >= 100 else f"{value:.2g}" for _, value in known]
            axes.bar_label(drawn, shown, padding=3, fontsize=8)
        axes.set(title=title, xscale="log")
        axes.margins(x=0.4)
        if len(series) > 1:
            axes.legend(fontsize=7, ncols=len(series), frameon=False, loc="upper center",
                        bbox_to_anchor=(0.5, -0.12))  # fmt: skip
    all_axes[0].set_yticks(range(len(names)), names)
    all_axes[0].invert_yaxis()
    figure.tight_layout()
    return figure


def svg(figure) -> str:
    """The figure as SVG, the same text from the same figures, and closed."""
    content = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": "svg"}):
        figure.savefig(content, format="svg", bbox_inches="tight", metadata={"Date": None})
    pyplot.close(figure)
    return content.getvalue()
