"""Plots of gradient flow, context and gates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from training.analysis.gradient_flow import GradientFlow
from training.analysis.results import GradientResults, NetworkResults
from training.reports.gradients.lag_plot import LaggedLine, lag_plot, relative
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
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NETWORK_COLORS = {
    "elman": RED,
    "gru": AMBER,
    "lstm": BLUE,
    "additive": GREEN,
    "sum": DARK_GRAY,
}
NETWORK_LABELS = {
    "elman": "Elman",
    "gru": "GRU",
    "lstm": "LSTM",
    "additive": "h + g(h, x)",
    "sum": "h + f(x)",
}
GATE_LABELS = {"gru": "update gates", "lstm": "forget gates"}
GATE_PLOT_SIZE = (10.0, 4.2)  # inches


def network_label(name: str) -> str:
    """The display name of a cell; artifacts keep their name."""
    return NETWORK_LABELS.get(name, name)


def flow_plot(results: GradientResults) -> Plot:
    """G(k) of all networks before and after training; of artifacts the layers of each."""
    networks = results.networks
    if not results.of_artifacts:
        panels = [
            ("at initialization", _flow_lines(networks, initial=True)),
            ("after training", _flow_lines(networks, initial=False)),
        ]
    elif len(networks) == 1:
        panels = [(networks[0].name, _layer_lines(networks[0]))]
    else:
        panels = [("last layer", _artifact_lines(networks))]
    return lag_plot("Gradient flow", panels)


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
    return lag_plot(f"{network_label(network.name)}: measured gradient and theory", panels)


def context_plot(networks: Sequence[NetworkResults]) -> Plot:
    """The loss given n tokens, and its increase over the loss given the longest context."""
    longest = networks[0].context.tokens[-1]

    def paint(figure: Figure) -> None:
        losses, increases = figure.subplots(1, 2)
        for index, network in enumerate(networks):
            context = network.context
            color = NETWORK_COLORS.get(network.name, COLOR_CYCLE[index % len(COLOR_CYCLE)])
            label = network_label(network.name)
            losses.plot(context.tokens, context.losses, "o-", color=color, label=label)
            if context.best is not None:  # the increase would be negative
                continue
            bands = list(zip(context.excesses, context.errors, strict=True))
            low, high = [value - error for value, error in bands], [sum(band) for band in bands]
            increases.fill_between(context.tokens, low, high, color=color, alpha=0.18, linewidth=0)
            increases.plot(context.tokens, context.excesses, "o-", color=color)
        increases.axhline(0, color=GRAY, linewidth=1.2)
        losses.set_title("loss given n tokens")
        losses.set_ylabel("nats per token")
        increases.set_title(f"minus the loss given {longest} tokens")
        for axes in (losses, increases):
            _scale_context(axes, longest)
        if len(networks) > 1:
            losses.legend()

    return draw_plot("Effective context", paint)


def _scale_context(axes: Axes, longest: int) -> None:
    axes.set_xscale("log")
    ticks = [tick for tick in (1, 2, 5, 10, 20, 50, 100, 200, 500) if tick < 0.6 * longest]
    ticks.append(longest)
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.minorticks_off()
    axes.set_xlabel("context length n in tokens (logarithmic)")


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


def _artifact_lines(networks: Sequence[NetworkResults]) -> list[LaggedLine]:
    """The last layer of each artifact; of an LSTM its cell state, which is its memory."""
    return [
        LaggedLine(
            network.name,
            relative(network.flow[-1].cell or network.flow[-1].hidden),
            COLOR_CYCLE[index % len(COLOR_CYCLE)],
        )
        for index, network in enumerate(networks)
    ]


def _measured_lines(
    flow: GradientFlow, label: str, color: str, *, hidden_style: str = "--"
) -> list[LaggedLine]:
    """The gradient of the hidden state; for an LSTM that of the cell state as well."""
    if flow.cell is None:
        return [LaggedLine(label, relative(flow.hidden), color)]
    return [
        LaggedLine(f"{label}, cell", relative(flow.cell), color),
        LaggedLine(f"{label}, hidden", relative(flow.hidden), color, hidden_style),
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
