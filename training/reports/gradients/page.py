"""Report of `gradients`: for each plot a section with its main numbers in sentences."""

from __future__ import annotations

from collections.abc import Sequence

from training.analysis.gradient_flow import GradientFlow
from training.analysis.results import GradientResults, NetworkResults
from training.config.gradients import ADDITIVE, SUM
from training.reports.gradients.initial_flow import initialization_section, radius_section
from training.reports.gradients.plots import (
    context_plot,
    flow_plot,
    gate_plot,
    network_label,
    theory_plot,
)
from training.reports.gradients.training import (
    clipping_sections,
    factors_section,
    updates_section,
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
    stopped = "" if results.complete else "The analysis was stopped before its end. "
    return f"{stopped}Text: {results.text}. Loss in nats per token: {'; '.join(losses)}."


def gradients_sections(results: GradientResults) -> list[Section]:
    """One section for each plot of the parts that were analyzed, at least one network."""
    networks = results.networks
    sections = [_flow(results)]
    if results.radii:
        sections.append(radius_section(results.radii))
    if results.initializations:
        sections.append(initialization_section(results.initializations))
    sections += [_theory(network) for network in networks if network.flow[0].theory]
    sections += [factors_section(network) for network in networks if network.factors]
    if not results.of_artifacts:
        sections.append(updates_section(networks))
    if results.clipping:
        sections += clipping_sections(results)
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
    if results.network(ADDITIVE) is not None:
        remarks += (
            " The additive recurrence h + g(h, x) with g = tanh(W_h h + W_x x + b) has the "
            "derivative 1 + dg/dh: the gradient is also added, so it does not have to vanish. W_h "
            "starts at 0, which makes the derivative 1 before training. Training may make dg/dh "
            "negative, which forgets."
        )
    if results.network(SUM) is not None:
        remarks += (
            " h + f(x) with f = tanh(W_x x + b) has the derivative 1: its gradient neither "
            "vanishes nor explodes, whatever the weights. It is shown for comparison."
        )
    if results.tokens_differ:
        remarks += (
            " The models cut the text into different tokens, so a step is not the same length of "
            "text in each of them."
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
    elif network.cell == ADDITIVE:
        text = (
            "The norm of the product of the Jacobians 1 + dg/dh = 1 + diag(1 - g²) W_h is a bound "
            f"of the gradient. {_lag(flow)} steps back it is "
            f"{_two_digits(flow.theory['jacobian_product'][_lag(flow)])}."
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


def _context(networks: Sequence[NetworkResults]) -> Section:
    lengths = [
        f"{network_label(network.name)} {network.context.needed(NEGLIGIBLE_NATS)}"
        for network in networks
        if network.context.best is None
    ]
    text = (
        "The loss of a token when only the n preceding tokens are given, and its increase over the "
        "loss given the longest context. Bands are one standard error."
    )
    if lengths:
        text += (
            " The context length from which on the increase is below "
            f"{NEGLIGIBLE_NATS} nats: {'; '.join(lengths)} tokens."
        )
    harmed = " ".join(_harm(network) for network in networks if network.context.best is not None)
    return Section(
        name="context",
        title="Effective context",
        text=f"{text} {harmed}".rstrip(),
        plot=context_plot(networks),
    )


def _harm(network: NetworkResults) -> str:
    """The sentence on a network that more context makes worse."""
    context, best = network.context, network.context.best
    assert best is not None
    reason = ""
    if network.cell in (ADDITIVE, SUM):
        reason = (
            " It adds to its state at every step and does not forget: old words are as strong in "
            "the sum as new ones."
        )
    return (
        f"More context makes {network_label(network.name)} worse: its loss is "
        f"{context.losses[best]:.2f} given {context.tokens[best]} tokens and "
        f"{context.losses[-1]:.2f} given {context.tokens[-1]}.{reason}"
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
