"""The plots of `python -m training gradients`, each as one PNG that fits a slide.

Needs matplotlib, which is loaded when the first plot is drawn. Lines carry their names at their
right end, in their own color. Knows what was found, not how.
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from training.analysis.gradient_flow import Flow
from training.analysis.results import Findings, NetworkFindings
from training.errors import OutputError
from training.reports.plotting import roomy_layout

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLORS = {
    "elman": "#d1495b",
    "gru": "#e08e0b",
    "lstm": "#1d6fa5",
    "additive": "#5a5a5a",
    "none": "#d1495b",
    "norm": "#1d6fa5",
    "value": "#e08e0b",
}
LABELS = {"elman": "Elman", "gru": "GRU", "lstm": "LSTM", "additive": "additive"}
GATE = {"gru": "update gates", "lstm": "forget gates"}
SHADES = ("#1d6fa5", "#d1495b", "#2a9d5c", "#e08e0b", "#7b4ea3", "#5a5a5a")  # of layers
SIZE = (12.8, 7.2)  # inches; a slide of 16:9
LOW_SIZE = (12.8, 5.4)
DOTS = 125  # per inch
STYLE: dict[Any, Any] = {  # matplotlib's own settings
    "font.size": 17,
    "axes.titlesize": 19,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#dddddd",
    "lines.linewidth": 2.6,
}
LABEL_GAP = 0.062  # of the height of a panel, between the names of two lines
FAINTEST, LARGEST = 1e-16, 1e4  # beyond these a line leaves the panel


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a panel and its name."""

    label: str
    values: Sequence[float]
    color: str
    style: str = "-"


def require_matplotlib() -> None:
    """So that nobody waits for plots that cannot be drawn.

    Raises:
        OutputError: it is not installed.
    """
    if find_spec("matplotlib") is None:
        raise OutputError(
            "plots need the optional package `matplotlib`; install it with `pip install matplotlib`"
        )


def draw(findings: Findings) -> dict[str, bytes]:
    """All plots that the findings have something for, as PNG files by name, in telling order.

    Raises:
        OutputError: matplotlib is not installed.
    """
    require_matplotlib()
    from matplotlib import rc_context  # noqa: PLC0415 - only plots need it

    with rc_context(STYLE):
        plots = {"flow": _flow_plot(findings)}
        for network in findings.networks:
            if network.flow[0].theory:
                plots[f"theory-{network.name}"] = _theory_plot(network)
        if findings.clipping:
            plots["clipping"] = _clipping_plot(findings)
        plots["context"] = _context_plot(findings)
        for network in findings.networks:
            if any(network.gates):
                plots[f"gates-{network.name}"] = _gate_plot(network)
    return plots


def _flow_plot(findings: Findings) -> bytes:
    """G(k) of all networks, before and after training, or of the layers of the only one."""
    networks = findings.networks
    panels = []
    if all(network.initial is not None for network in networks):
        panels.append(("at initialization", _flow_lines(networks, initial=True)))
        panels.append(("after training", _flow_lines(networks, initial=False)))
    else:
        panels.append((networks[0].name, _layer_lines(networks[0])))
    return _lag_figure("How much gradient comes back", panels)


def _theory_plot(network: NetworkFindings) -> bytes:
    """The measured flow of one network beside what theory says, layer by layer."""
    if network.initial is not None:
        panels = [
            (title, _theory_lines(network.cell, flows[0]))
            for title, flows in (
                ("at initialization", network.initial),
                ("after training", network.flow),
            )
        ]
    else:
        panels = [
            (f"layer {layer}", _theory_lines(network.cell, flow))
            for layer, flow in enumerate(network.flow, start=1)
        ][-2:]
    return _lag_figure(f"{_label(network.name)}: measured and predicted", panels)


def _context_plot(findings: Findings) -> bytes:
    """The loss given the last n tokens, less that given the most."""
    figure = _figure("How much context is used")
    axes = figure.subplots()
    longest = findings.networks[0].context.tokens[-1]
    shown = [network for network in findings.networks if network.name != "additive"]
    for place, network in enumerate(shown):
        context, color = network.context, COLORS.get(network.name, SHADES[place])
        bands = list(zip(context.excesses, context.errors, strict=True))
        low, high = [value - error for value, error in bands], [sum(band) for band in bands]
        axes.fill_between(context.tokens, low, high, color=color, alpha=0.18, linewidth=0)
        axes.plot(context.tokens, context.excesses, "o-", color=color, label=_label(network.name))
    axes.axhline(0, color="#888888", linewidth=1.2)
    axes.set_xscale("log")
    ticks = [tick for tick in (1, 2, 5, 10, 20, 50, 100, 200, 500) if tick < 0.8 * longest]
    ticks.append(longest)
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.minorticks_off()
    axes.set_xlabel("tokens given, n (logarithmic)")
    axes.set_ylabel(f"loss given n tokens, less loss given {longest} (nats)")
    if len(shown) > 1:
        axes.legend(frameon=False)
    return _png(figure)


def _clipping_plot(findings: Findings) -> bytes:
    """Loss and gradient norm over the steps of an Elman network that explodes."""
    names = {"none": "no clipping", "norm": "clipped by norm", "value": "clipped by value"}
    figure = _figure("Exploding gradients, with and without clipping")
    for axes, what in zip(figure.subplots(1, 2), ("losses", "norms"), strict=True):
        lines = [
            Line(names[way], getattr(course, what), COLORS[way])
            for way, course in findings.clipping.items()
        ]
        for line in lines:
            axes.plot(range(1, len(line.values) + 1), line.values, color=line.color, linewidth=1.8)
        axes.set_xlabel("training step")
        axes.set_title("training loss" if what == "losses" else "gradient")
        axes.set_ylabel("nats per token" if what == "losses" else "norm before clipping")
        axes.set_yscale("linear" if what == "losses" else "log")
        axes.legend([line.label for line in lines], frameon=False)
    return _png(figure)


def _gate_plot(network: NetworkFindings) -> bytes:
    """For every unit how often its gates are shut and how often open, one panel for each gate."""
    figure = _figure(f"{_label(network.name)}: how often gates are shut or open", LOW_SIZE)
    names = list(network.gates[0])
    panels = figure.subplots(1, len(names), sharex=True, sharey=True, squeeze=False)[0]
    for axes, name in zip(panels, names, strict=True):
        axes.plot([0, 1], [1, 0], color="#888888", linewidth=1.2)
        for layer, gates in enumerate(network.gates):
            axes.scatter(
                gates[name].open,
                gates[name].shut,
                s=70 if len(gates[name].open) <= 100 else 30,
                color=SHADES[layer % len(SHADES)],
                alpha=0.55,
                linewidths=0,
                label=f"layer {layer + 1}",
                clip_on=False,
            )
        axes.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
        axes.set_yticks([0, 0.5, 1], ["0", "0.5", "1"])
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1)
        axes.set_aspect("equal")
        axes.set_title(f"{name} gate")
        axes.set_xlabel("open: share of steps over 0.9")
    panels[0].set_ylabel("shut: share of steps under 0.1")
    if len(network.gates) > 1:
        panels[-1].legend(frameon=False, loc="upper right")
    return _png(figure)


def _flow_lines(networks: Sequence[NetworkFindings], *, initial: bool) -> list[Line]:
    lines = []
    for network in networks:
        flow = (network.initial or network.flow)[-1] if initial else network.flow[-1]
        name, color = _label(network.name), COLORS[network.name]
        if flow.cell is not None:
            lines.append(Line(f"{name}, cell", _relative(flow.cell), color))
            lines.append(Line(f"{name}, hidden", _relative(flow.hidden), color, "--"))
        else:
            lines.append(Line(name, _relative(flow.hidden), color))
    return lines


def _layer_lines(network: NetworkFindings) -> list[Line]:
    lines = []
    for layer, flow in enumerate(network.flow):
        color = SHADES[layer % len(SHADES)]
        if flow.cell is not None:
            lines.append(Line(f"layer {layer + 1}, cell", _relative(flow.cell), color))
        style = "-" if flow.cell is None else "--"
        lines.append(Line(f"layer {layer + 1}, hidden", _relative(flow.hidden), color, style))
    return lines


def _theory_lines(cell: str, flow: Flow) -> list[Line]:
    own = COLORS[cell]
    lines = [Line("measured, hidden" if flow.cell else "measured", _relative(flow.hidden), own)]
    if flow.cell is not None:
        lines = [
            Line("measured, cell", _relative(flow.cell), own),
            Line("measured, hidden", _relative(flow.hidden), own, "-."),
        ]
    lines += [_theory_line(cell, name, values) for name, values in flow.theory.items()]
    return lines


def _theory_line(cell: str, name: str, values: Sequence[float]) -> Line:
    match name:
        case "singular_value_power":
            return Line(rf"$\sigma_{{max}}^k$ = {values[1]:.2f}$^k$", values, "#2a9d5c", ":")
        case "spectral_radius_power":
            return Line(rf"$\rho^k$ = {values[1]:.2f}$^k$", values, "#7b4ea3", ":")
        case "jacobian_product":
            return Line("Jacobian product", values, "#1d6fa5", "--")
        case "gate_product":
            return Line(f"{GATE[cell]}, mean unit", values, "#2a9d5c", "--")
    return Line(f"{GATE[cell]}, best unit", values, "#7b4ea3", "--")


def _lag_figure(title: str, panels: Sequence[tuple[str, Sequence[Line]]]) -> bytes:
    """Panels side by side over the lag, with one logarithmic scale."""
    figure = _figure(title)
    rows = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    values = [v for _, lines in panels for line in lines for v in line.values]
    bottom, top = max(FAINTEST, min(values)) / 2, min(LARGEST, max(values)) * 2
    for axes, (name, lines) in zip(rows, panels, strict=True):
        for line in lines:
            seen = [value if value > 0 else math.nan for value in line.values]
            axes.plot(range(len(seen)), seen, color=line.color, linestyle=line.style)
        axes.set_yscale("log")
        axes.set_ylim(bottom, top)
        axes.set_xlim(0, len(lines[0].values) - 1)
        axes.set_title(name)
        axes.set_xlabel("steps back, $k$")
        _name_ends(axes, lines)
    rows[0].set_ylabel(r"gradient $k$ steps back, $G(k)\,/\,G(0)$")
    return _png(figure)


def _name_ends(axes: Axes, lines: Sequence[Line]) -> None:
    """Writes each line's name beside its right end, moved apart where ends lie close together."""
    low, high = (math.log(limit) for limit in axes.get_ylim())
    ends = sorted(lines, key=lambda line: line.values[-1])
    heights = [
        min(1.0, max(0.0, (math.log(max(line.values[-1], FAINTEST)) - low) / (high - low)))
        for line in ends
    ]
    for line, height in zip(ends, spread(heights, LABEL_GAP), strict=True):
        axes.annotate(
            line.label if line.values[-1] <= LARGEST else f"{line.label} ↑",
            (1.02, height),
            xycoords="axes fraction",
            color=line.color,
            fontsize=14,
            va="center",
            annotation_clip=False,
        )


def spread(heights: Sequence[float], gap: float) -> list[float]:
    """Ascending heights, moved as little as can be to lie ``gap`` apart between 0 and 1.

    The least squares of the moves: neighbors that would overlap are moved as one block.
    """
    gap = min(gap, 1.0 / max(1, len(heights) - 1))
    blocks = list[tuple[float, int]]()  # mean of height less rank times gap, and how many
    for rank, height in enumerate(heights):
        mean, count = height - rank * gap, 1
        while blocks and blocks[-1][0] > mean:
            before, others = blocks.pop()
            mean, count = (mean * count + before * others) / (count + others), count + others
        blocks.append((mean, count))
    highest = 1.0 - (len(heights) - 1) * gap
    flat = [min(highest, max(0.0, mean)) for mean, count in blocks for _ in range(count)]
    return [height + rank * gap for rank, height in enumerate(flat)]


def _relative(values: Sequence[float]) -> list[float]:
    return [value / values[0] if values[0] > 0 else 0.0 for value in values]


def _label(name: str) -> str:
    return LABELS.get(name, name)


def _figure(title: str, size: tuple[float, float] = SIZE) -> Figure:
    from matplotlib.figure import Figure  # noqa: PLC0415 - as above

    figure = Figure(figsize=size, dpi=DOTS, layout=roomy_layout())
    figure.suptitle(title, fontsize=23)
    return figure


def _png(figure: Figure) -> bytes:
    content = io.BytesIO()
    figure.savefig(content, format="png")
    return content.getvalue()
