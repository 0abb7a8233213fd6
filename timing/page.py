"""The report as one HTML page that needs nothing else: tables, and plots as inline SVG."""

from __future__ import annotations

from html import escape

from timing import report
from timing.histogram import buckets
from timing.recorder import Recorder

WIDTH, HEIGHT, ROW = 720, 150, 24  # pixels: of plots, of a histogram, of a cold start
STYLE = """body{font:16px/1.5 system-ui,sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem;
color:#222}table{border-collapse:collapse;margin:1rem 0}td,th{padding:.2rem .7rem;text-align:right;
border-bottom:1px solid #ddd;font-variant-numeric:tabular-nums}td:first-child,th:first-child{
text-align:left}svg{max-width:100%;height:auto;font:12px system-ui,sans-serif}
i{display:inline-block;width:.8em;height:.8em;margin:0 .3em 0 1em}"""


def render(spans: Recorder, starts: list[dict]) -> str:
    page = ["<h1>Timing</h1>", table(["span", *report.HEAD], report.cells(spans))]
    if starts:
        rows = [row[:-1] for row in report.cells(report.stages(starts), by_time=False)]
        page += [f"<h2>Cold starts: {len(starts)}</h2>", timelines(starts),
                 table(["stage", *report.HEAD[:-1]], rows)]  # fmt: skip
    for name in report.ranked(spans):
        page += [f"<h2>{escape(name)}</h2>", histogram(name, spans.durations(name))]
    return (f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Timing</title>'
            f"<style>{STYLE}</style>\n" + "\n".join(page) + "\n</html>\n")  # fmt: skip


def table(head: list[str], rows: list[list[str]]) -> str:
    lines = ["".join(f"<th>{escape(cell)}</th>" for cell in head)]
    lines += ["".join(f"<td>{escape(cell)}</td>" for cell in row) for row in rows]
    return "<table>" + "".join(f"<tr>{line}</tr>" for line in lines) + "</table>"


def histogram(name: str, durations: list[float]) -> str:
    """Columns of equal ratio of duration, so the axis is logarithmic."""
    found = buckets(durations)
    most, width = max(count for *_, count in found), WIDTH / len(found)
    parts = []
    for n, (low, high, count) in enumerate(found):
        x, height = n * width, (HEIGHT - 40) * count / most
        y = HEIGHT - 20 - height
        parts.append(
            f'<rect x="{x + 1:.1f}" y="{y:.1f}" width="{width - 2:.1f}" height="{height:.1f}" '
            f'fill="#47a"><title>{low:.3f} to {high:.3f} ms: {count}</title></rect>'
            f'<text x="{x + width / 2:.1f}" y="{y - 4:.1f}" text-anchor="middle">'
            f"{count or ''}</text>"
            f'<text x="{x:.1f}" y="{HEIGHT - 6}">{low:.3g}</text>'
        )
    end = f'<text x="{WIDTH}" y="{HEIGHT - 6}" text-anchor="end">{found[-1][1]:.3g} ms</text>'
    return svg(f"how often {name} took how long", HEIGHT, "".join(parts) + end)


def timelines(starts: list[dict]) -> str:
    """One bar a cold start, the latest below, all to one scale, without the wait for a request."""
    starts = starts[-report.SHOWN :]
    bars = list(map(report.working, starts))
    names = dict.fromkeys(stage for stages in bars for stage in stages)
    # Steps of the golden angle keep neighbours apart, however many there are.
    colours = {name: f"hsl({n * 137.5 % 360:.0f} 55% 60%)" for n, name in enumerate(names)}
    scale = (WIDTH - 90) / (max(sum(stages.values()) for stages in bars) or 1)
    parts = []
    for n, (start, stages) in enumerate(zip(starts, bars, strict=True)):
        x, y = 0.0, n * ROW
        for stage, ms in stages.items():
            parts.append(
                f'<rect x="{x:.1f}" y="{y + 2}" width="{ms * scale:.1f}" height="{ROW - 4}" '
                f'fill="{colours[stage]}"><title>{escape(stage)}: {ms:.3f} ms</title></rect>'
            )
            x += ms * scale
        parts.append(
            f'<text x="{x + 6:.1f}" y="{y + ROW - 8}">{sum(stages.values()):.0f} ms'
            f"<title>{escape(report.title(start))}</title></text>"
        )
    legend = "".join(
        f'<i style="background:{colour}"></i>{escape(name)}' for name, colour in colours.items()
    )
    return svg("stages of each cold start", len(starts) * ROW, "".join(parts)) + f"<p>{legend}</p>"


def svg(label: str, height: int, content: str) -> str:
    return (f'<svg role="img" aria-label="{escape(label)}" viewBox="0 0 {WIDTH} {height}" '
            f'width="{WIDTH}" height="{height}">{content}</svg>')  # fmt: skip
