"""Sections on training: gradients by group of parameters, and clipping of exploding gradients."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from training.analysis.results import GradientResults, NetworkResults
from training.analysis.short_training import TrainingCurve
from training.reports.gradients.plots import network_label
from training.reports.html import ReportTable, Section
from training.reports.plotting import (
    AMBER,
    BLUE,
    COLOR_CYCLE,
    GRAY,
    RED,
    Plot,
    draw_plot,
    format_powers,
    power_of_ten,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CLIPPING_COLORS = {"none": RED, "norm": BLUE, "value": AMBER}
CLIPPING_LABELS = {"none": "no clipping", "norm": "clipped by norm", "value": "clipped by value"}
NETWORKS_IN_A_ROW = 3
SMOOTHED_STEPS = 20  # of the lines of parameter groups


def updates_section(networks: Sequence[NetworkResults]) -> Section:
    """The norm of the gradient of each group of parameters during the short training."""
    trained = [(network, network.training) for network in networks if network.training is not None]
    largest = [
        f"{network_label(network.name)} {max(curve.groups, key=lambda n: _mean(curve.groups[n]))}"
        for network, curve in trained
        if curve.groups
    ]
    return Section(
        name="updates",
        title="Parameters that gradient descent changes",
        text="The gradient is that of the loss with respect to every parameter: the word vectors, "
        "W_x, W_h and b of the recurrence, the initial state h_0, and the output layer. Lines are "
        f"the norms by group, each the mean of {SMOOTHED_STEPS} steps. The largest on average: "
        f"{'; '.join(largest)}.",
        plot=_updates_plot(trained),
    )


def clipping_sections(results: GradientResults) -> list[Section]:
    """Training with exploding gradients, and the direction of the clipped gradient."""
    return [_clipping(results.clipping), _direction(results)]


def factors_section(network: NetworkResults) -> Section:
    """The derivation with a one-dimensional state as a table."""
    rows = [
        (
            repr(step.token)[1:-1],
            f"{step.hidden:.4f}",
            f"{step.slope:.4f}",
            f"{step.weight:.4f}",
            f"{step.factor:.4f}",
            f"{step.product:.3e}",
        )
        for step in network.factors
    ]
    return Section(
        name="factors",
        title="The product of derivatives, step by step",
        text="With one unit, dh_t / dh_(t-1) is the number tanh'(a_t) W_h, where a_t = W_h h_(t-1) "
        "+ W_x x_t + b and tanh'(a_t) = 1 - h_t². The product in a row is the derivative of the "
        "last state with respect to the state before this row's word: the factors of this row and "
        "of all rows below it.",
        table=ReportTable(("word", "h_t", "tanh'", "W_h", "factor", "product"), rows),
    )


def _updates_plot(trained: Sequence[tuple[NetworkResults, TrainingCurve]]) -> Plot:
    names = list(dict.fromkeys(name for _, curve in trained for name in curve.groups))
    colors = {name: COLOR_CYCLE[index % len(COLOR_CYCLE)] for index, name in enumerate(names)}

    def paint(figure: Figure) -> None:
        columns = min(NETWORKS_IN_A_ROW, len(trained))
        rows = -(-len(trained) // columns)
        panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).flatten()
        for axes, (network, curve) in zip(panels, trained, strict=False):
            for name, norms in curve.groups.items():
                axes.plot(*_smoothed(norms), color=colors[name], linewidth=1.6, label=name)
            axes.set_title(network_label(network.name))
            axes.set_yscale("log")
            format_powers(axes.yaxis)
            axes.set_xlabel("training step")
        for axes in panels[len(trained) :]:
            axes.set_axis_off()
        panels[0].set_ylabel("norm of the gradient")
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=len(names))

    height = 4.6 if len(trained) <= NETWORKS_IN_A_ROW else 7.4
    return draw_plot("Gradient by group of parameters", paint, size=(10.0, height))


def _smoothed(values: Sequence[float]) -> tuple[list[float], list[float]]:
    """Steps and means of blocks of steps."""
    blocks = [values[at : at + SMOOTHED_STEPS] for at in range(0, len(values), SMOOTHED_STEPS)]
    steps = [index * SMOOTHED_STEPS + (len(block) + 1) / 2 for index, block in enumerate(blocks)]
    return steps, [_mean(block) for block in blocks]


def _clipping(curves: Mapping[str, TrainingCurve]) -> Section:
    steps = max(len(curve.losses) for curve in curves.values())
    final = {
        name: f"{curve.losses[-1]:.2f}"
        if len(curve.losses) == steps > 0
        else f"not finite after {len(curve.losses)} steps"
        for name, curve in curves.items()
    }
    largest = max((max(curve.norms, default=0.0) for curve in curves.values()), default=0.0)
    highest = {name: max(curve.losses, default=0.0) for name, curve in curves.items()}
    return Section(
        name="clipping",
        title="Exploding gradients, with and without clipping",
        text="An Elman network with recurrent weights that are too large is trained by plain "
        f"gradient descent. The gradient norm reaches {largest:.3g}. The highest loss is "
        f"{highest['none']:.2f} without clipping, {highest['norm']:.2f} with clipping by norm and "
        f"{highest['value']:.2f} with clipping by value. The final loss is {final['none']}, "
        f"{final['norm']} and {final['value']}. Thin lines are norms before clipping, thick lines "
        "after it.",
        plot=_clipping_plot(curves),
    )


def _clipping_plot(curves: Mapping[str, TrainingCurve]) -> Plot:
    """Training loss, and the norm of the gradient before and after clipping."""

    def paint(figure: Figure) -> None:
        losses, norms = figure.subplots(1, 2)
        for name, curve in curves.items():
            color, label = CLIPPING_COLORS[name], CLIPPING_LABELS[name]
            steps = range(1, len(curve.losses) + 1)
            losses.plot(steps, curve.losses, color=color, linewidth=1.4, label=label)
            norms.plot(steps, curve.norms, color=color, linewidth=0.8, alpha=0.6)
            norms.plot(steps, curve.clipped, color=color, linewidth=2.2, label=label)
        losses.set_title("training loss")
        losses.set_ylabel("nats per token")
        norms.set_title("norm of the gradient")
        norms.set_ylabel("before clipping (thin), after (thick)")
        norms.set_yscale("log")
        format_powers(norms.yaxis)
        for axes in (losses, norms):
            axes.set_xlabel("training step")
        losses.legend()

    return draw_plot("Exploding gradients, with and without clipping", paint)


def _direction(results: GradientResults) -> Section:
    curves = results.clipping
    lowest = min(curves["value"].cosines, default=1.0)
    return Section(
        name="clipping-direction",
        title="The direction of a clipped gradient",
        text="Clipping by norm multiplies the gradient by a number if its norm is above "
        f"{results.clip_norm:g}, so its direction stays. Clipping by value limits every entry to "
        f"±{results.clip_value:g}: large entries are cut off and small ones stay, so the vector is "
        f"turned, here up to {_degrees(lowest):.0f} degrees. On the right, the gradient with the "
        "largest norm of each run, clipped, in the plane of both vectors: the horizontal axis is "
        "the direction before clipping.",
        plot=_direction_plot(curves),
    )


def _direction_plot(curves: Mapping[str, TrainingCurve]) -> Plot:
    def paint(figure: Figure) -> None:
        cosines, plane = figure.subplots(1, 2)
        for name in ("norm", "value"):
            curve, color, label = curves[name], CLIPPING_COLORS[name], CLIPPING_LABELS[name]
            steps = range(1, len(curve.cosines) + 1)
            angles = [_degrees(cosine) for cosine in curve.cosines]
            cosines.plot(steps, angles, color=color, linewidth=1.4, label=label)
        cosines.set_title("angle between gradient and clipped gradient")
        cosines.set_ylabel("degrees")
        cosines.set_xlabel("training step")
        cosines.set_ylim(-3, 93)
        cosines.legend()
        _paint_plane(plane, curves)

    return draw_plot("The direction of a clipped gradient", paint)


def _paint_plane(axes: Axes, curves: Mapping[str, TrainingCurve]) -> None:
    """The clipped gradient at the step with the largest norm, as an arrow in its plane."""
    extent = 1e-9
    for name in ("norm", "value"):
        curve = curves[name]
        if not curve.norms:
            continue
        step = max(range(len(curve.norms)), key=curve.norms.__getitem__)
        cosine, length = curve.cosines[step], curve.clipped[step]
        tip = (length * cosine, length * max(0.0, 1 - cosine**2) ** 0.5)
        extent = max(extent, length)
        axes.annotate(
            "",
            tip,
            (0.0, 0.0),
            arrowprops={"arrowstyle": "-|>", "color": CLIPPING_COLORS[name], "linewidth": 2.5},
        )
        label = f"norm {power_of_ten(float(f'{curve.norms[step]:.2g}'))} → {length:.2g}"
        axes.plot([], [], color=CLIPPING_COLORS[name], label=f"{CLIPPING_LABELS[name]}: {label}")
    axes.axhline(0, color=GRAY, linewidth=1.2, linestyle="--")
    axes.set_xlim(-0.05 * extent, 1.1 * extent)
    axes.set_ylim(-0.1 * extent, 1.1 * extent)
    axes.set_aspect("equal")
    axes.set_title("largest gradient, after clipping")
    axes.set_xlabel("along the gradient before clipping")
    axes.set_ylabel("across it")
    axes.legend(loc="upper center", fontsize=10)


def _degrees(cosine: float) -> float:
    return math.degrees(math.acos(min(1.0, max(-1.0, cosine))))


def _mean(values: Sequence[float]) -> float:
    return sum(values) / max(1, len(values))
