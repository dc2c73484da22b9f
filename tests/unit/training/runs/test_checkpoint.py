"""Checkpoints: exact, atomic, and refused when damaged."""

import resource
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from training.errors import CheckpointError
from training.runs import checkpoint
from training.runs.checkpoint import (
    Checkpoint,
    load_checkpoint,
    optimizer_tensors,
    restore_optimizer,
    save_checkpoint,
    under_prefix,
    with_prefix,
)

TENSORS = {
    "a.weight": torch.randn(3, 4),
    "a.step": torch.tensor(7.0),
    "b.half": torch.randn(5).to(torch.bfloat16),
    "random": torch.arange(9, dtype=torch.uint8),
    "empty": torch.empty(0),
}
SAMPLE = Checkpoint(TENSORS, {"state": {"steps": 3}, "name": "ü", "none": None})


def test_a_checkpoint_is_read_as_it_was_written(tmp_path: Path) -> None:
    """Tensors of every type are read to the bit, and so are the values."""
    save_checkpoint(tmp_path / "c", SAMPLE)
    checkpoint = load_checkpoint(tmp_path / "c")
    assert checkpoint.values == SAMPLE.values
    assert checkpoint.tensors.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        assert checkpoint.tensors[name].dtype == tensor.dtype
        assert torch.equal(checkpoint.tensors[name], tensor)


@given(data=st.data())
def test_damage_anywhere_is_refused(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """A flipped byte or a lost end never yields a checkpoint that differs from what was saved."""
    path = tmp_path_factory.mktemp("damage") / "c"
    save_checkpoint(path, SAMPLE)
    content = bytearray(path.read_bytes())
    if data.draw(st.booleans()):
        content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    else:
        del content[data.draw(st.integers(0, len(content) - 1)) :]
    path.write_bytes(content)
    try:
        checkpoint = load_checkpoint(path)
    except CheckpointError as error:
        assert str(path) in str(error)  # noqa: PT017 - both outcomes are allowed
    else:
        assert checkpoint.values == SAMPLE.values
        assert all(torch.equal(checkpoint.tensors[name], TENSORS[name]) for name in TENSORS)


def test_a_missing_checkpoint_is_reported(tmp_path: Path) -> None:
    """The error names the file."""
    with pytest.raises(CheckpointError, match="there is no checkpoint"):
        load_checkpoint(tmp_path / "none")


def test_another_format_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names both formats."""
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "CHECKPOINT_FORMAT", "6")
        save_checkpoint(tmp_path / "c", SAMPLE)
    with pytest.raises(CheckpointError, match="written in format 6; this version reads 7"):
        load_checkpoint(tmp_path / "c")


FILL = """
import sys, torch
from pathlib import Path
from tests.support.training.forked import limited_files
from training.runs.checkpoint import Checkpoint, CheckpointError, save_checkpoint
path = Path(sys.argv[1])
save_checkpoint(path, Checkpoint({"x": torch.ones(10)}, {}))
try:
    with limited_files(10_000):
        save_checkpoint(path, Checkpoint({"x": torch.ones(100_000)}, {}))
except CheckpointError as error:
    print(error)
"""


@pytest.mark.skipif(not hasattr(resource, "RLIMIT_FSIZE"), reason="needs a limit on file sizes")
def test_a_disk_that_takes_no_more_leaves_the_last_good_checkpoint(tmp_path: Path) -> None:
    """A failed save has a remedy and leaves the earlier checkpoint and no other file."""
    path = tmp_path / "c"
    child = subprocess.run(
        [sys.executable, "-c", FILL, str(path)], capture_output=True, text=True, check=True
    )
    assert "cannot be written" in child.stdout
    assert "--resume" in child.stdout
    assert torch.equal(load_checkpoint(path).tensors["x"], torch.ones(10))
    assert list(tmp_path.iterdir()) == [path]


def test_an_optimizer_goes_on_as_it_would_have() -> None:
    """The moments and the step count of AdamW are restored."""

    def fresh() -> tuple[torch.nn.Linear, torch.optim.AdamW]:
        torch.manual_seed(0)
        layer = torch.nn.Linear(3, 2)
        return layer, torch.optim.AdamW(layer.parameters(), lr=0.1, fused=True)

    def step(layer: torch.nn.Linear, optimizer: torch.optim.AdamW, value: float) -> None:
        optimizer.zero_grad()
        layer(torch.full((1, 3), value)).square().sum().backward()
        optimizer.step()

    unbroken, its_optimizer = fresh()
    step(unbroken, its_optimizer, 1.0)
    saved = {name: t.clone() for name, t in optimizer_tensors(its_optimizer).items()}
    weights = {name: t.clone() for name, t in unbroken.state_dict().items()}
    step(unbroken, its_optimizer, 2.0)

    resumed, other = fresh()
    resumed.load_state_dict(weights)
    restore_optimizer(other, saved)
    step(resumed, other, 2.0)
    assert torch.equal(resumed.weight, unbroken.weight)


def test_prefixes_are_undone() -> None:
    """A prefix ends at a dot, so `net` does not match `network`."""
    tensors = {"x": torch.ones(1)}
    joined = with_prefix("net", tensors) | with_prefix("network", {"y": torch.ones(2)})
    assert under_prefix("net", joined) == tensors
