"""Sections on untrained networks: by spectral radius, and by initialization."""

from __future__ import annotations

from collections.abc import Sequence

from training.analysis.initial_flow import InitialFlow
from training.reports.gradients.lag_plot import LaggedLine, lag_plot, relative
from training.reports.gradients.plots import NETWORK_COLORS, network_label
from training.reports.html import Section
from training.reports.plotting import AMBER, BLUE, DARK_GRAY, GREEN, PURPLE, RED, power_of_ten

RADIUS_COLORS = (BLUE, GREEN, DARK_GRAY, PURPLE, AMBER, RED)  # from small to large
LARGEST_EXPLOSION = 1e12  # beyond it a line leaves the plot
PANEL_TITLES = {
    "torch": "torch: uniform, biases random",
    "orthogonal": "orthogonal W_h, forget bias 1",
}
PRINTED_LAG = 20


def radius_section(flows: Sequence[InitialFlow]) -> Section:
    """G(k) of an untrained Elman network, one line for each spectral radius."""
    radii = [flow.radius or 0.0 for flow in flows]
    lines = [
        LaggedLine(f"ρ = {radius:g}", relative(flow.flow.hidden), _radius_color(index, len(flows)))
        for index, (radius, flow) in enumerate(zip(radii, flows, strict=True))
    ]
    lines += [
        LaggedLine("", [radius**lag for lag in range(len(line.values))], line.color, ":")
        for radius, line in zip(radii, lines, strict=True)
    ]
    values = "; ".join(
        f"ρ = {radius:g}: {_at_lag(flow)}" for radius, flow in zip(radii, flows, strict=True)
    )
    return Section(
        name="radii",
        title="Vanishing and exploding by the spectral radius ρ of W_h",
        text="An Elman network before training, with W_h scaled to several spectral radii. Each "
        "step back multiplies the gradient by tanh' W_h, so it falls or grows as a power: below 1 "
        "it vanishes, above 1 it explodes. Dotted lines are ρ to the power of k. A line is below "
        "its dotted one where tanh' is smaller than 1: the more the units are saturated, the "
        f"larger ρ must be. {_lag(flows)} steps back G(k) / G(0) is: {values}.",
        plot=lag_plot(
            "Gradient flow by spectral radius",
            [("Elman network before training", lines)],
            largest=LARGEST_EXPLOSION,
        ),
    )


def initialization_section(flows: Sequence[InitialFlow]) -> Section:
    """G(k) of untrained networks, one panel for each initialization."""
    names = list(dict.fromkeys(flow.initialization for flow in flows))
    panels = [
        (PANEL_TITLES[name], [_line(flow) for flow in flows if flow.initialization == name])
        for name in names
    ]
    values = "; ".join(
        f"{network_label(flow.cell)} "
        + " and ".join(
            f"{_at_lag(other)} ({other.initialization})"
            for other in flows
            if other.cell == flow.cell
        )
        for flow in flows
        if flow.initialization == names[0]
    )
    return Section(
        name="initializations",
        title="Two initializations",
        text="Before training, gates do not preserve the gradient by themselves. torch draws all "
        "weights from ±1/√H, so W_h has a spectral radius of about 0.6, and a gate is half open: "
        "0.5 to the power of 20 is 10⁻⁶. Orthogonal W_h preserves the length of a vector, and a "
        "forget bias of 1 opens the forget gate of an LSTM to σ(1) = 0.73. "
        f"{_lag(flows)} steps back G(k) / G(0) is: {values}. For an LSTM it is that of the cell "
        "state.",
        plot=lag_plot("Gradient flow before training", panels),
    )


def _line(flow: InitialFlow) -> LaggedLine:
    values = relative(flow.flow.cell or flow.flow.hidden)
    return LaggedLine(network_label(flow.cell), values, NETWORK_COLORS[flow.cell])


def _radius_color(index: int, count: int) -> str:
    return RADIUS_COLORS[round(index * (len(RADIUS_COLORS) - 1) / max(1, count - 1))]


def _lag(flows: Sequence[InitialFlow]) -> int:
    return min(PRINTED_LAG, len(flows[0].flow.hidden) - 1)


def _at_lag(flow: InitialFlow) -> str:
    values = relative(flow.flow.cell or flow.flow.hidden)
    return power_of_ten(float(f"{values[_lag([flow])]:.2g}"))
