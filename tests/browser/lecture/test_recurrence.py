"""The view Recurrence: its numbers against torch, its controls, its links."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.browser.playground import Playground

pytestmark = pytest.mark.slow

MODULE = "playground/scripts/recurrence/cells.js"
LETTERS = {"gated": "g", "gru": "gzr", "lstm": "gfio"}
TORCH_ORDER = {"gru": "rzg", "lstm": "ifgo"}
STEPS = 12
NETWORKS = [
    (cell, keep, size)
    for cell, keep in (("gated", 0.0), ("gated", 1.0), ("gated", 0.4), ("gru", 0.0), ("lstm", 0.0))
    for size in (1, 2)
]

Weights = dict[str, dict[str, Tensor]]
StepFunction = Callable[[Tensor, Tensor], Tensor]


def random_weights(cell: str, size: int, generator: torch.Generator) -> Weights:
    """Weights of every part of a cell, in float64."""

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    return {
        letter: {"W_h": normal(size, size), "W_x": normal(size), "b": normal(size)}
        for letter in LETTERS[cell]
    }


def torch_step(cell: str, keep: float, size: int, weights: Weights) -> StepFunction:
    """The step of torch's own cell on a state (hidden, then cell) and an input (1,)."""
    if cell == "gated":
        linear = weights["g"]

        def gated(state: Tensor, x: Tensor) -> Tensor:
            pre = linear["W_h"] @ state + linear["W_x"] * x + linear["b"]
            return keep * state + pre.tanh()

        return gated
    module = {"gru": nn.GRUCell, "lstm": nn.LSTMCell}[cell](1, size, dtype=torch.float64)
    order = TORCH_ORDER[cell]
    with torch.no_grad():
        module.weight_hh.copy_(torch.cat([weights[letter]["W_h"] for letter in order]))
        module.weight_ih.copy_(torch.cat([weights[letter]["W_x"] for letter in order])[:, None])
        module.bias_ih.copy_(torch.cat([weights[letter]["b"] for letter in order]))
        module.bias_hh.zero_()

    def of_torch(state: Tensor, x: Tensor) -> Tensor:
        if cell == "gru":
            after: Tensor = module(x[None], state[None])[0]
            return after
        hidden, memory = module(x[None], (state[None, :size], state[None, size:]))
        return torch.cat([hidden[0], memory[0]])

    return of_torch


def gradients_of_torch(
    step: StepFunction, states: list[Tensor], inputs: Tensor, size: int
) -> tuple[list[float], list[float]]:
    """The relative Frobenius norms of dh_T/dh_(T-k) and dc_T/dc_(T-k), by autograd."""
    hidden, memory = [], []
    for lag in range(STEPS + 1):

        def rest(state: Tensor, lag: int = lag) -> Tensor:
            for x in inputs[STEPS - lag :]:
                state = step(state, x[None])
            return state

        jacobian = torch.autograd.functional.jacobian(rest, states[STEPS - lag])
        hidden.append(float(jacobian[:size, :size].norm()) / size**0.5)
        if len(jacobian) > size:
            memory.append(float(jacobian[size:, size:].norm()) / size**0.5)
    return hidden, memory


def computed_by_page(playground: Playground, network: dict[str, Any], inputs: Tensor) -> Any:
    """The states and gradients of the page's own module."""
    arguments = [playground.address + MODULE, network, inputs.tolist()]
    return playground.page.evaluate(
        """async ([address, network, inputs]) => {
          const cells = await import(address);
          const size = network.weights.g.b.length;
          const steps = cells.run(network, cells.zeroState(network.cell, size), inputs);
          const states = steps.map(({ state }) => [...state.hidden, ...state.cell]);
          return { states, ...cells.gradientOverLag(steps) };
        }""",
        arguments,
    )


def test_states_and_gradients_are_those_of_torch(playground: Playground) -> None:
    """Elman, additive, between the two, GRU and LSTM with one and two units: every state, and the
    gradient over k, as torch's cells and autograd compute them in float64.
    """
    playground.open("recurrence")
    generator = torch.Generator().manual_seed(1)
    for cell, keep, size in NETWORKS:
        weights = random_weights(cell, size, generator)
        inputs = torch.randn(STEPS, generator=generator, dtype=torch.float64)
        network = {
            "cell": cell,
            "keep": keep,
            "tanhSlope": True,
            "weights": {
                letter: {name: values.tolist() for name, values in linear.items()}
                for letter, linear in weights.items()
            },
        }
        found = computed_by_page(playground, network, inputs)
        step = torch_step(cell, keep, size, weights)
        width = 2 * size if cell == "lstm" else size
        states = [torch.zeros(width, dtype=torch.float64)]
        for x in inputs:
            states.append(step(states[-1], x[None]).detach())
        expected = torch.stack(states[1:]).flatten().tolist()
        assert [value for state in found["states"] for value in state] == pytest.approx(expected)
        hidden, memory = gradients_of_torch(step, states, inputs, size)
        assert found["hidden"] == pytest.approx(hidden), (cell, keep, size)
        assert found["cell"] == pytest.approx(memory), (cell, size)


def test_without_the_slope_the_gradient_is_a_power(playground: Playground) -> None:
    """With tanh' taken as 1 the gradient of an Elman unit is W_h to the power of k."""
    section = playground.open(
        "recurrence", cell="gated", size="1", weights="1.5,1,0", inputs="constant", steps="10"
    )
    verdict = section.locator(".verdict")
    assert "It vanishes." in verdict.inner_text()
    section.locator("#recurrence-slope").uncheck()
    verdict.locator("text=57.7").wait_for()
    section.locator("details.numbers summary").click()
    last = section.locator("tbody tr").first.locator("td").last.inner_text()
    assert last == "57.7"
    assert playground.link["slope"] == "0"


def test_a_slider_changes_the_gradient(playground: Playground) -> None:
    """By keyboard: a larger W_h, another line, another link; the link shows the same again."""
    section = playground.open("recurrence")
    before = section.locator(".gradient-flow polyline").get_attribute("points")
    section.get_by_label("W_h of g").focus()
    for _ in range(4):
        playground.page.keyboard.press("ArrowRight")
    playground.wait_until("location.hash.includes('weights=1%2C1%2C0')")
    assert section.locator(".gradient-flow polyline").get_attribute("points") != before
    verdict = section.locator(".verdict").inner_text()
    section = playground.open("recurrence", **playground.link)
    assert section.locator(".verdict").inner_text() == verdict


def test_the_gate_goes_from_elman_to_additive(playground: Playground) -> None:
    """With f = 1 and W_h = 0 nothing of the gradient is lost, whatever the inputs."""
    section = playground.open("recurrence", weights="0,1,0", inputs="random")
    assert "It vanishes." in section.locator(".verdict").inner_text()
    section.locator("#recurrence-keep").press("End")
    section.locator(".verdict", has_text="is 1.00 times as large. It lasts.").wait_for()


def test_every_cell_and_size_has_its_sliders(playground: Playground) -> None:
    """A slider for each weight: three for one Elman unit, 32 for two of an LSTM."""
    section = playground.open("recurrence")
    for cell, parts in (("gated", 1), ("gru", 3), ("lstm", 4)):
        for size, weights in (("1", 3), ("2", 8)):
            section.locator("#recurrence-cell").select_option(cell)
            section.locator("#recurrence-size").select_option(size)
            assert section.locator(".weight input").count() == parts * weights


def test_a_bad_link_shows_the_defaults(playground: Playground) -> None:
    """Weights that do not fit the cell, unknown names and numbers out of range are left out."""
    playground.open("recurrence", cell="rnn", weights="1,2", steps="1e9", inputs="toString")
    assert playground.link["cell"] == "gated"
    assert playground.link["weights"] == "0.8,1,0"
    assert playground.link["steps"] == "60"
    assert playground.link["inputs"] == "pulse"
