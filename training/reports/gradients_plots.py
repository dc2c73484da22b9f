"""Plots of `gradients`. Lines of the flow plots have their names at the right end."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from training.analysis.gradient_flow import GradientFlow
from training.analysis.results import GradientResults, NetworkResults
from training.reports.plotting import (
    AMBER,
    BLUE,
    COLOR_CYCLE,
    DARK_GRAY,
    GRAY,
    GREEN,
    PURPLE,
    RED,
    Plot,
    draw_plot,
    format_powers,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NETWORK_COLORS = {"elman": RED, "gru": AMBER, "lstm": BLUE, "additive": DARK_GRAY}
NETWORK_LABELS = {"elman": "Elman", "gru": "GRU", "lstm": "LSTM", "additive": "additive"}
GATE_LABELS = {"gru": "update gates", "lstm": "forget gates"}
CLIPPING_COLORS = {"none": RED, "norm": BLUE, "value": AMBER}
CLIPPING_LABELS = {"none": "no clipping", "norm": "clipped by norm", "value": "clipped by value"}
GATE_PLOT_SIZE = (10.0, 4.2)  # inches
LABEL_GAP = 0.055  # minimum distance of the names of two lines, as a share of the panel's height
SMALLEST_RATIO, LARGEST_RATIO = 1e-16, 1e4  # beyond these a line leaves the panel


@dataclass(frozen=True, slots=True)
class LaggedLine:
    """One line of a panel over the lag, with its name."""

    label: str
    values: Sequence[float]
    color: str
    style: str = "-"


def network_label(name: str) -> str:
    """The display name of a cell; artifacts keep their name."""
    return NETWORK_LABELS.get(name, name)


def flow_plot(results: GradientResults) -> Plot:
    """G(k) of all networks before and after training, or of all layers of an artifact."""
    networks = results.networks
    if all(network.initial is not None for network in networks):
        panels = [
            ("at initialization", _flow_lines(networks, initial=True)),
            ("after training", _flow_lines(networks, initial=False)),
        ]
    else:
        panels = [(networks[0].name, _layer_lines(networks[0]))]
    return _lag_plot("Gradient flow", panels)


def theory_plot(network: NetworkResults) -> Plot:
    """The measured flow and the theory: before and after training, or of the last two layers."""
    if network.initial is not None:
        panels = [
            ("at initialization", _theory_lines(network.cell, network.initial[0])),
            ("after training", _theory_lines(network.cell, network.flow[0])),
        ]
    else:
        panels = [
            (f"layer {layer}", _theory_lines(network.cell, flow))
            for layer, flow in enumerate(network.flow, start=1)
        ][-2:]
    return _lag_plot(f"{network_label(network.name)}: measured gradient and theory", panels)


def context_plot(networks: Sequence[NetworkResults]) -> Plot:
    """The loss given n tokens minus the loss given the longest context."""
    longest = networks[0].context.tokens[-1]
    shown = [network for network in networks if network.name != "additive"]

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        for index, network in enumerate(shown):
            context = network.context
            color = NETWORK_COLORS.get(network.name, COLOR_CYCLE[index % len(COLOR_CYCLE)])
            label = network_label(network.name)
            bands = list(zip(context.excesses, context.errors, strict=True))
            low, high = [value - error for value, error in bands], [sum(band) for band in bands]
            axes.fill_between(context.tokens, low, high, color=color, alpha=0.18, linewidth=0)
            axes.plot(context.tokens, context.excesses, "o-", color=color, label=label)
        axes.axhline(0, color=GRAY, linewidth=1.2)
        axes.set_xscale("log")
        ticks = [tick for tick in (1, 2, 5, 10, 20, 50, 100, 200, 500) if tick < 0.8 * longest]
        ticks.append(longest)
        axes.set_xticks(ticks, [str(tick) for tick in ticks])
        axes.minorticks_off()
        axes.set_xlabel("context length n in tokens (logarithmic)")
        axes.set_ylabel(f"loss given n tokens − loss given {longest} (nats)")
        if len(shown) > 1:
            axes.legend()

    return draw_plot("Effective context", paint)


def clipping_plot(results: GradientResults) -> Plot:
    """Training loss and gradient norm of the Elman network with exploding gradients."""

    def paint(figure: Figure) -> None:
        losses, norms = figure.subplots(1, 2)
        for name, curve in results.clipping.items():
            color, label = CLIPPING_COLORS[name], CLIPPING_LABELS[name]
            for axes, values in ((losses, curve.losses), (norms, curve.norms)):
                steps = range(1, len(values) + 1)
                axes.plot(steps, values, color=color, linewidth=1.4, label=label)
        losses.set_title("training loss")
        losses.set_ylabel("nats per token")
        norms.set_title("gradient")
        norms.set_ylabel("norm before clipping")
        norms.set_yscale("log")
        format_powers(norms.yaxis)
        for axes in (losses, norms):
            axes.set_xlabel("training step")
            axes.legend()

    return draw_plot("Exploding gradients, with and without clipping", paint)


def gate_plot(network: NetworkResults) -> Plot:
    """For every unit the share of steps with its gate open and shut, one panel per gate."""
    names = list(network.gates[0])

    def paint(figure: Figure) -> None:
        panels = figure.subplots(1, len(names), sharex=True, sharey=True, squeeze=False)[0]
        for axes, name in zip(panels, names, strict=True):
            _paint_gate(axes, network, name)
        panels[0].set_ylabel("shut: share of steps under 0.1")
        if len(network.gates) > 1:
            panels[-1].legend(loc="upper right")

    return draw_plot(f"{network_label(network.name)}: gate saturation", paint, size=GATE_PLOT_SIZE)


def _paint_gate(axes: Axes, network: NetworkResults, name: str) -> None:
    axes.plot([0, 1], [1, 0], color=GRAY, linewidth=1.2)
    for layer, gates in enumerate(network.gates):
        axes.scatter(
            gates[name].open,
            gates[name].shut,
            s=45 if len(gates[name].open) <= 100 else 20,
            color=COLOR_CYCLE[layer % len(COLOR_CYCLE)],
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


def _flow_lines(networks: Sequence[NetworkResults], *, initial: bool) -> list[LaggedLine]:
    lines = []
    for network in networks:
        flows = network.initial if initial and network.initial is not None else network.flow
        label, color = network_label(network.name), NETWORK_COLORS[network.name]
        lines += _measured_lines(flows[-1], label, color)
    return lines


def _layer_lines(network: NetworkResults) -> list[LaggedLine]:
    lines = []
    for layer, flow in enumerate(network.flow):
        color = COLOR_CYCLE[layer % len(COLOR_CYCLE)]
        lines += _measured_lines(flow, f"layer {layer + 1}", color)
    return lines


def _measured_lines(
    flow: GradientFlow, label: str, color: str, *, hidden_style: str = "--"
) -> list[LaggedLine]:
    """The gradient of the hidden state; for an LSTM that of the cell state as well."""
    if flow.cell is None:
        return [LaggedLine(label, _relative(flow.hidden), color)]
    return [
        LaggedLine(f"{label}, cell", _relative(flow.cell), color),
        LaggedLine(f"{label}, hidden", _relative(flow.hidden), color, hidden_style),
    ]


def _theory_lines(cell: str, flow: GradientFlow) -> list[LaggedLine]:
    lines = _measured_lines(flow, "measured", NETWORK_COLORS[cell], hidden_style="-.")
    return lines + [_theory_line(cell, name, values) for name, values in flow.theory.items()]


def _theory_line(cell: str, name: str, values: Sequence[float]) -> LaggedLine:
    match name:
        case "singular_value_power":
            label = rf"$\sigma_{{max}}^k$ = {values[1]:.2f}$^k$"
            return LaggedLine(label, values, GREEN, ":")
        case "spectral_radius_power":
            return LaggedLine(rf"$\rho^k$ = {values[1]:.2f}$^k$", values, PURPLE, ":")
        case "jacobian_product":
            return LaggedLine("Jacobian product", values, BLUE, "--")
        case "gate_product":
            return LaggedLine(f"{GATE_LABELS[cell]}, mean", values, GREEN, "--")
    return LaggedLine(f"{GATE_LABELS[cell]}, maximum", values, PURPLE, "--")


def _lag_plot(title: str, panels: Sequence[tuple[str, Sequence[LaggedLine]]]) -> Plot:
    """Panels side by side over the lag, with one logarithmic scale."""
    values = [value for _, lines in panels for line in lines for value in line.values]
    bottom = max(SMALLEST_RATIO, min(values)) / 2
    top = min(LARGEST_RATIO, max(values)) * 2

    def paint(figure: Figure) -> None:
        row = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
        for axes, (name, lines) in zip(row, panels, strict=True):
            for line in lines:
                positive = [value if value > 0 else math.nan for value in line.values]
                axes.plot(positive, color=line.color, linestyle=line.style)
            axes.set_yscale("log")
            format_powers(axes.yaxis)
            axes.set_ylim(bottom, top)
            axes.set_xlim(0, len(lines[0].values) - 1)
            axes.set_title(name)
            axes.set_xlabel("lag $k$ in steps", parse_math=True)
            _label_ends(axes, lines)
        row[0].set_ylabel(r"gradient at lag $k$, $G(k)\,/\,G(0)$", parse_math=True)

    return draw_plot(title, paint)


def _label_ends(axes: Axes, lines: Sequence[LaggedLine]) -> None:
    """Writes each line's name beside its right end; names that would overlap are moved apart."""
    low, high = (math.log(limit) for limit in axes.get_ylim())
    by_height = sorted(lines, key=lambda line: line.values[-1])
    heights = [
        min(1.0, max(0.0, (math.log(max(line.values[-1], SMALLEST_RATIO)) - low) / (high - low)))
        for line in by_height
    ]
    for line, height in zip(by_height, spread_apart(heights, LABEL_GAP), strict=True):
        axes.annotate(
            line.label if line.values[-1] <= LARGEST_RATIO else f"{line.label} ↑",
            (1.02, height),
            xycoords="axes fraction",
            color=line.color,
            fontsize=11,
            va="center",
            annotation_clip=False,
            parse_math=True,
        )


def spread_apart(heights: Sequence[float], gap: float) -> list[float]:
    """Moves heights so that neighbors are at least ``gap`` apart, all between 0 and 1.

    The sum of the squared moves is minimal (isotonic regression by pooling adjacent violators).

    Args:
        heights: in ascending order.
        gap: is reduced where the heights would not fit.
    """
    gap = min(gap, 1.0 / max(1, len(heights) - 1))
    blocks = list[tuple[float, int]]()  # mean of height − rank × gap, and number of heights
    for rank, height in enumerate(heights):
        mean, count = height - rank * gap, 1
        while blocks and blocks[-1][0] > mean:
            previous_mean, previous_count = blocks.pop()
            total = count + previous_count
            mean, count = (mean * count + previous_mean * previous_count) / total, total
        blocks.append((mean, count))
    highest = 1.0 - (len(heights) - 1) * gap
    offsets = [min(highest, max(0.0, mean)) for mean, count in blocks for _ in range(count)]
    return [offset + rank * gap for rank, offset in enumerate(offsets)]


def _relative(values: Sequence[float]) -> list[float]:
    return [value / values[0] if values[0] > 0 else 0.0 for value in values]
