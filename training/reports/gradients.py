"""Report of `gradients`: for each plot a section with its main numbers in sentences."""

from __future__ import annotations

from collections.abc import Sequence

from training.analysis.gradient_flow import GradientFlow
from training.analysis.results import GradientResults, NetworkResults
from training.reports.gradients_plots import (
    clipping_plot,
    context_plot,
    flow_plot,
    gate_plot,
    network_label,
    theory_plot,
)
from training.reports.html import Section
from training.reports.plotting import power_of_ten

NEGLIGIBLE_NATS = 0.01  # context that lowers the loss by less is not counted
REPORTED_LAG = 20  # steps


def page_title(results: GradientResults) -> str:
    """The title of the page."""
    names = ", ".join(network_label(network.name) for network in results.networks)
    return f"Gradients through time: {names}"


def page_introduction(results: GradientResults) -> str:
    """The first paragraph of the page: the text and the losses on it."""
    losses = [
        f"{network_label(network.name)} "
        + _before_and_after(
            None if network.initial_loss is None else f"{network.initial_loss:.3f}",
            f"{network.loss:.3f}",
        )
        for network in results.networks
    ]
    return f"Text: {results.text}. Loss in nats per token: {'; '.join(losses)}."


def gradients_sections(results: GradientResults) -> list[Section]:
    """One section for each plot."""
    networks = results.networks
    sections = [_flow(results)]
    sections += [_theory(network) for network in networks if network.flow[0].theory]
    if results.clipping:
        sections.append(_clipping(results))
    sections.append(_context(networks))
    return sections + [_gates(network) for network in networks if any(network.gates)]


def _before_and_after(before: str | None, after: str) -> str:
    """Values before and after training; an artifact has one value."""
    return after if before is None else f"{before} before and {after} after training"


def _flow(results: GradientResults) -> Section:
    ratios = [
        f"{network_label(network.name)} "
        + _before_and_after(
            None if network.initial is None else _relative_gradient(network.initial[-1]),
            _relative_gradient(network.flow[-1]),
        )
        for network in results.networks
    ]
    remarks = ""
    if any(network.cell == "lstm" for network in results.networks):
        remarks += " For an LSTM the gradient is that of the cell state, which is its memory."
    if results.network("additive") is not None:
        remarks += (
            " The additive recurrence adds every input to its state and multiplies it by nothing, "
            "so its gradient neither vanishes nor explodes. It is shown for comparison."
        )
    return Section(
        name="flow",
        title="Gradient flow",
        text="G(k) is the mean norm of the gradient of one token's loss with respect to the state "
        f"k steps before, relative to G(0). {_lag(results.networks[0].flow[-1])} steps back it is: "
        f"{'; '.join(ratios)}.{remarks}",
        plot=flow_plot(results),
    )


def _theory(network: NetworkResults) -> Section:
    flow = network.flow[-1]
    if network.cell == "elman":
        radius, largest = flow.scalars["spectral_radius"], flow.scalars["largest_singular_value"]
        text = (
            f"The largest singular value of W_h is {largest:.2f}; its spectral radius is "
            f"{radius:.2f}. The powers of the singular value are an upper bound of the gradient. "
            "The norm of the product of the Jacobians diag(1 - h²) W_h is a much closer one: "
            "saturated units (h near 1 or -1) have a small derivative, however large the weights."
        )
    else:
        gate = "forget" if network.cell == "lstm" else "update"
        lag = _lag(flow)
        mean, maximum = (flow.theory[name][lag] for name in ("gate_product", "best_gate_product"))
        text = (
            f"The product of its {gate} gates over k steps is the share of its value that a unit "
            f"keeps. Over {lag} steps the mean of all units is {_two_digits(mean)}, "
            f"the maximum {_two_digits(maximum)}. The measured gradient also flows "
            "through the recurrent weights."
        )
    return Section(
        name=f"theory-{network.name}",
        title=f"{network_label(network.name)}: measured gradient and theory",
        text=text,
        plot=theory_plot(network),
    )


def _clipping(results: GradientResults) -> Section:
    curves = results.clipping
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
        f"{final['norm']} and {final['value']}.",
        plot=clipping_plot(results),
    )


def _context(networks: Sequence[NetworkResults]) -> Section:
    lengths = [
        f"{network_label(network.name)} {network.context.needed(NEGLIGIBLE_NATS)}"
        for network in networks
        if network.name != "additive"
    ]
    return Section(
        name="context",
        title="Effective context",
        text="The increase of a token's loss when only the n preceding tokens are given. Bands are "
        f"one standard error. The context length from which on the increase is below "
        f"{NEGLIGIBLE_NATS} nats: {'; '.join(lengths)} tokens.",
        plot=context_plot(networks),
    )


def _gates(network: NetworkResults) -> Section:
    gate = "forget" if network.cell == "lstm" else "update"
    open_shares = [share for layer in network.gates for share in layer[gate].open]
    keeping = sum(share > 0.9 for share in open_shares)
    return Section(
        name=f"gates-{network.name}",
        title=f"{network_label(network.name)}: gate saturation",
        text="Each dot is a unit: the share of steps with its gate open (over 0.9) and shut (under "
        f"0.1). {keeping} of {len(open_shares)} units have their {gate} gate open at more than 90% "
        "of the steps; these units keep their value.",
        plot=gate_plot(network),
    )


def _lag(flow: GradientFlow) -> int:
    return min(REPORTED_LAG, len(flow.hidden) - 1)


def _relative_gradient(flow: GradientFlow) -> str:
    """The gradient at the reported lag, relative to that at lag 0."""
    norms = flow.cell or flow.hidden
    ratio = norms[_lag(flow)] / norms[0] if norms[0] > 0 else 0.0
    return _two_digits(ratio)


def _two_digits(value: float) -> str:
    return power_of_ten(float(f"{value:.2g}"))
