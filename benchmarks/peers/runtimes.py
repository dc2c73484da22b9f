"""Other runtimes for the weights of a language model: a step at a time, with and without a sampler.

onnxruntime runs the exported network with dynamic int8 quantization (LSTM and products), OpenVINO
runs the same export in float32 (its int8 needs calibrated activations), and torch its own dynamic
int8 quantization. The sampler draws a token for each row from the whole vocabulary with NumPy,
which is several times faster than softmax and multinomial of torch. Without one the next tokens are
fixed, and the logits are left unread.
"""

import importlib
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmarks.peers.network import PlainNetwork

OPSET = 17
INPUTS = ("tokens", "hidden", "cell")
OUTPUTS = ("logits", "hidden_after", "cell_after")
Step = Callable[[Any, Any, Any], tuple[Any, Any, Any]]


class PeerMissingError(Exception):
    """A peer is not installed, or does not support the network."""


class ExportedStep(nn.Module):
    """One step of the network with an explicit state, in the form for an export."""

    def __init__(self, plain: PlainNetwork) -> None:
        super().__init__()
        self.plain = plain

    def forward(
        self, tokens_B: Tensor, hidden_LBH: Tensor, cell_LBH: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        embedded_1BE = self.plain.embedding(tokens_B).unsqueeze(0)
        output_1BH, after = self.plain.recurrent(embedded_1BE, (hidden_LBH, cell_LBH))
        return self.plain.output(output_1BH[0]), *after


class RuntimeStepper:
    """Steps of a runtime: implements :class:`benchmarks.measurements.stepping.Stepper`."""

    def __init__(self, step: Step, state: tuple[Any, Any], rows: int, *, samples: bool) -> None:
        self._step = step
        self._tokens_B: Any = np.arange(rows, dtype=np.int64) % 7
        self._state = state
        self._samples = samples
        self._random = np.random.default_rng(0)

    def burst(self) -> int:
        """Runs one step."""
        logits_BV, hidden, cell = self._step(self._tokens_B, *self._state)
        self._state = hidden, cell
        if self._samples:
            self._tokens_B = sample(np.asarray(logits_BV), self._random)
        return 1


def sample(logits_BV: NDArray[np.float32], random: np.random.Generator) -> NDArray[np.int64]:
    """A token for each row, by its probability at temperature 1."""
    weights_BV = np.exp(logits_BV - logits_BV.max(axis=1, keepdims=True))
    sums_BV = np.cumsum(weights_BV, axis=1)
    drawn_B = random.random(len(sums_BV), dtype=np.float32) * sums_BV[:, -1]
    pairs = zip(sums_BV, drawn_B, strict=True)
    tokens = [int(np.searchsorted(sums_V, drawn, side="right")) for sums_V, drawn in pairs]
    return np.array([min(token, logits_BV.shape[1] - 1) for token in tokens], np.int64)


def export(plain: PlainNetwork, directory: Path) -> Path:
    """Writes the step as an ONNX file with a free number of rows. Raises PeerMissingError."""
    _module("onnx")
    architecture = plain.recurrent
    state = torch.zeros(architecture.num_layers, 2, architecture.hidden_size)
    tokens_B = torch.zeros(2, dtype=torch.int64)
    axes = {name: {0 if name in ("tokens", "logits") else 1: "rows"} for name in INPUTS + OUTPUTS}
    file = directory / "step.onnx"
    with warnings.catch_warnings():  # the exporter that needs no further package is deprecated
        warnings.simplefilter("ignore")
        torch.onnx.export(
            ExportedStep(plain),
            (tokens_B, state, state),
            str(file),
            input_names=list(INPUTS),
            output_names=list(OUTPUTS),
            dynamic_axes=axes,
            opset_version=OPSET,
            dynamo=False,
        )
    return file


def onnxruntime_int8(file: Path, threads: int) -> Step:
    """The exported step, quantized dynamically by onnxruntime. Raises PeerMissingError."""
    runtime = _module("onnxruntime")
    quantization = _module("onnxruntime.quantization")
    quantized = file.with_name("step-int8.onnx")
    if not quantized.exists():
        quantization.quantize_dynamic(
            str(file), str(quantized), weight_type=quantization.QuantType.QInt8
        )
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    session = runtime.InferenceSession(str(quantized), options, ["CPUExecutionProvider"])

    def step(tokens_B: Any, hidden: Any, cell: Any) -> tuple[Any, Any, Any]:
        outputs = session.run(OUTPUTS, {"tokens": tokens_B, "hidden": hidden, "cell": cell})
        return outputs[0], outputs[1], outputs[2]

    return step


def openvino_float32(file: Path, threads: int) -> Step:
    """The exported step in OpenVINO. Raises PeerMissingError."""
    os.environ.setdefault("OPENVINO_TELEMETRY_DISABLED", "1")
    openvino = _module("openvino")
    core = openvino.Core()
    compiled = core.compile_model(
        str(file), "CPU", {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY"}
    )
    request = compiled.create_infer_request()

    def step(tokens_B: Any, hidden: Any, cell: Any) -> tuple[Any, Any, Any]:
        outputs = request.infer({"tokens": tokens_B, "hidden": hidden, "cell": cell})
        values = list(outputs.values())
        return values[0], values[1], values[2]

    return step


def torch_int8(plain: PlainNetwork, threads: int) -> Step:
    """The network with torch's dynamic int8 quantization. Raises PeerMissingError."""
    torch.set_num_threads(threads)
    quantization = _module("torch.ao.quantization")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            quantized = quantization.quantize_dynamic(
                ExportedStep(plain), {nn.LSTM, nn.Linear}, dtype=torch.qint8
            )
    except (AttributeError, RuntimeError, NotImplementedError) as error:
        raise PeerMissingError(f"torch int8: {error}") from error

    @torch.inference_mode()
    def step(tokens_B: Any, hidden: Any, cell: Any) -> tuple[Any, Any, Any]:
        outputs = quantized(torch.as_tensor(tokens_B), hidden, cell)
        return outputs[0], outputs[1], outputs[2]

    return step


def _module(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise PeerMissingError(f"{name} is not installed") from error
