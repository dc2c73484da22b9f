"""One HTML page that shows all plots, each with a sentence on what is to be seen, in numbers.

The page holds its images and needs nothing else: no script, no other file. Knows what was found,
not how, and not how plots are drawn.
"""

from __future__ import annotations

import base64
import html
from collections.abc import Mapping

from training.analysis.gradient_flow import Flow
from training.analysis.results import Findings, NetworkFindings
from training.reports.gradients_plots import LABELS
from training.reports.plotting import power_of_ten

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
  content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>{title}</title>
<style>
body {{ font: 18px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem;
  color: #222; background: #fff; }}
figure {{ margin: 2.5rem 0; }}
img {{ width: 100%; height: auto; }}
@media (max-width: 40rem) {{
  body {{ font-size: 16px; margin: 1rem auto; }}
  h1 {{ font-size: 1.5rem; line-height: 1.25; }}
}}
</style>
</head>
<body>
<h1>{title}</h1>
<p>{introduction}</p>
{figures}
</body>
</html>
"""
FIGURE = """<figure>
<img src="data:image/png;base64,{image}" alt="{name}">
<figcaption>{sentence}</figcaption>
</figure>"""
NEARLY_ALL = 0.01  # nats: context that brings less is not counted


def page(findings: Findings, plots: Mapping[str, bytes]) -> str:
    """The page of these plots."""
    names = ", ".join(_label(network.name) for network in findings.networks)
    figures = "\n".join(
        FIGURE.format(
            image=base64.b64encode(content).decode(),
            name=html.escape(name),
            sentence=html.escape(sentence(findings, name)),
        )
        for name, content in plots.items()
    )
    return PAGE.format(
        title=html.escape(f"What gradients do in time: {names}"),
        introduction=html.escape(_introduction(findings)),
        figures=figures,
    )


def sentence(findings: Findings, plot: str) -> str:
    """What is to be seen on the plot of that name."""
    kind, _, name = plot.partition("-")
    network = findings.network(name) or findings.networks[-1]
    match kind:
        case "flow":
            return _flow_sentence(findings)
        case "theory":
            return _theory_sentence(network)
        case "clipping":
            return _clipping_sentence(findings)
        case "context":
            return _context_sentence(findings)
    return _gate_sentence(network)


def _introduction(findings: Findings) -> str:
    losses = []
    for network in findings.networks:
        before = "" if network.initial_loss is None else f"{network.initial_loss:.3f} before and "
        after = "" if network.initial_loss is None else " after training"
        losses.append(f"{_label(network.name)} {before}{network.loss:.3f}{after}")
    return f"Read: {findings.text}. Loss in nats for each token: {'; '.join(losses)}."


def _flow_sentence(findings: Findings) -> str:
    parts = []
    for network in findings.networks:
        before = "" if network.initial is None else f"{_back(network.initial[-1])} before and "
        after = "" if network.initial is None else " after training"
        parts.append(f"{_label(network.name)} {before}{_back(network.flow[-1])}{after}")
    return (
        "G(k), the mean norm of the gradient of one token's loss with respect to the state k steps "
        f"before, as a share of G(0). {_lag(findings.networks[0].flow[-1])} steps back it is: "
        f"{'; '.join(parts)}.{_remarks(findings)}"
    )


def _remarks(findings: Findings) -> str:
    """On those networks that need one."""
    told = ""
    if any(network.cell == "lstm" for network in findings.networks):
        told += " Of an LSTM the cell counts: that is where it remembers."
    if findings.network("additive") is not None:
        told += (
            " The additive recurrence adds every input to its state and multiplies by nothing, so "
            "its gradient neither vanishes nor explodes; it stands here as a ruler."
        )
    return told


def _theory_sentence(network: NetworkFindings) -> str:
    flow = network.flow[-1]
    if network.cell == "elman":
        radius, largest = flow.scalars["spectral_radius"], flow.scalars["largest_singular_value"]
        return (
            f"The largest singular value of W_h is {largest:.2f}, its spectral radius "
            f"{radius:.2f}. The powers of the first bound what comes back; the norm of the product "
            "of the Jacobians diag(1 - h²) W_h bounds it far more closely: saturated units, h near "
            "1 or -1, let little through, however large the weights."
        )
    gate = "forget" if network.cell == "lstm" else "update"
    lag, theory = _lag(flow), flow.theory
    return (
        f"What a unit keeps over k steps is the product of its {gate} gates: over {lag} steps the "
        f"mean unit keeps {theory['gate_product'][lag]:.2g}, the best "
        f"{theory['best_gate_product'][lag]:.2g}. What is measured came through the recurrent "
        "weights as well."
    )


def _clipping_sentence(findings: Findings) -> str:
    courses = findings.clipping
    steps = max(len(course.losses) for course in courses.values())
    told = {
        way: f"{course.losses[-1]:.2f}"
        if len(course.losses) == steps > 0
        else f"no number after {len(course.losses)} steps"
        for way, course in courses.items()
    }
    largest = max((max(course.norms, default=0.0) for course in courses.values()), default=0.0)
    highest = {way: max(course.losses, default=0.0) for way, course in courses.items()}
    return (
        "An Elman network whose recurrent weights are too large, trained by plain descent: its "
        f"gradients reach a norm of {largest:.3g}. The loss rises to {highest['none']:.2f} at most "
        f"without clipping, {highest['norm']:.2f} with clipping by norm, {highest['value']:.2f} by "
        f"value; at the end it is {told['none']}, {told['norm']} and {told['value']}."
    )


def _context_sentence(findings: Findings) -> str:
    parts = [
        f"{_label(network.name)} {network.context.needed(NEARLY_ALL)}"
        for network in findings.networks
        if network.name != "additive"
    ]
    return (
        "How much higher the loss of a token is when only the n tokens before it are given. Bands "
        "are one standard error. Context that brings less than a hundredth of a nat set aside, "
        f"the tokens in use are: {'; '.join(parts)}."
    )


def _gate_sentence(network: NetworkFindings) -> str:
    gate, named = ("forget", "a forget") if network.cell == "lstm" else ("update", "an update")
    units = [share for layer in network.gates for share in layer[gate].open]
    keeping = sum(share > 0.9 for share in units)
    return (
        "Every dot is a unit: how often its gate is open (over 0.9) and how often shut (under "
        f"0.1). Units with {named} gate that is open at more than nine steps of ten, which hold on "
        f"to what they have: {keeping} of {len(units)}."
    )


def _lag(flow: Flow) -> int:
    return min(20, len(flow.hidden) - 1)


def _back(flow: Flow) -> str:
    values = flow.cell or flow.hidden
    share = values[_lag(flow)] / values[0] if values[0] > 0 else 0.0
    return power_of_ten(float(f"{share:.2g}"))


def _label(name: str) -> str:
    return LABELS.get(name, name)
