"""classifier --from: a language model's encoder taken over, let go layer by layer, or refused."""

from pathlib import Path

import pytest
import torch

from model.architecture import ClassifierArchitecture
from model.artifact import load_artifact
from model.errors import VocabularyError
from model.networks import Classifier, LanguageModel
from model.tokenization.tokenizer_training import (
    extend_tokenizer,
    train_bpe_tokenizer,
    train_word_tokenizer,
)
from tests.support.training.classifier_command import made_up, same, write
from training.commands.cli import main
from training.optimization.parameter_groups import LayerwiseSchedule, layer_groups

pytestmark = pytest.mark.slow

SMALL = ["--mlp", "12", "--batch", "8"]
TRAINED = ["--epochs", "1", "--batch", "4", "--bptt", "12", "--precision", "float32"]


def language_model(out: Path, *options: str) -> Path:
    """A small language model of the made-up corpus's own sentences."""
    text = out.with_suffix(".txt")
    text.write_text("\n".join(example.text for example in made_up(60, 4)) + "\n")
    command = ["lm", "--train", str(text), "--unit", "line", *TRAINED, *options, "--out", str(out)]
    assert main(command) == 0
    return out


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The artifact of a GRU language model of two layers, words as tokens."""
    size = ["--cell", "gru", "--layers", "2", "--hidden", "12", "--embedding", "10"]
    return language_model(tmp_path_factory.mktemp("trained") / "lm", *size)


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    """Options that name two splits of the made-up corpus."""
    splits = {"train": 240, "valid": 60}
    named = []
    for seed, (split, count) in enumerate(splits.items()):
        named += [f"--{split}", write(tmp_path / f"{split}.jsonl", made_up(count, seed))]
    return [*named, *SMALL]


def begun(out: Path, *options: str) -> tuple[Classifier, LanguageModel]:
    """A classifier after a run that moves nothing but its head, and where it began."""
    # so slow beneath the head that not a bit moves
    assert main(["classifier", *options, "--layer-decay", "1e50", "--out", str(out)]) == 0
    network = load_artifact(out).network
    encoder = load_artifact(Path(options[options.index("--from") + 1])).network
    assert isinstance(network, Classifier)
    assert isinstance(encoder, LanguageModel)
    return network, encoder


def test_the_encoder_is_taken_over_to_the_bit(
    files: list[str], trained: Path, tmp_path: Path
) -> None:
    """Recurrent layers, first state and the vectors of all words that the language model knew."""
    options = [*files, "--from", str(trained), "--epochs", "1"]
    network, encoder = begun(tmp_path / "out", *options)
    taken, own = dict(network.named_parameters()), dict(encoder.named_parameters())
    for name, value in taken.items():
        if name.startswith(("recurrent.", "initial_")):
            assert torch.equal(value, own[name]), name
    known = load_artifact(trained).tokenizer
    tokenizer = load_artifact(tmp_path / "out").tokenizer
    words = known.vocabulary()
    assert tokenizer.vocabulary()[: known.end] == words[:-1]
    assert torch.equal(network.embedding.weight[: known.end], encoder.embedding.weight[:-1])
    assert torch.equal(network.embedding.weight[-1], encoder.embedding.weight[-1])


def test_words_of_the_data_join_the_vocabulary(
    files: list[str], tmp_path: Path, trained: Path
) -> None:
    """A word that is known in another spelling begins as that, another one as the mean of all."""
    rows = "".join(f"a BALL and zyx {i}\tx\nthe soup {i}\ty\n" for i in range(20))
    (tmp_path / "new.tsv").write_text("text\tlabel\n" + rows)
    options = ["--train", str(tmp_path / "new.tsv"), "--minimum-count", "10", *SMALL]
    network, encoder = begun(tmp_path / "out", *options, "--from", str(trained), "--epochs", "1")
    tokenizer, known = load_artifact(tmp_path / "out").tokenizer, load_artifact(trained).tokenizer
    (ball,), (zyx,) = tokenizer.encode(" BALL"), tokenizer.encode(" zyx")
    assert known.encode(" BALL") == known.encode(" zyx") == [known.unknown]
    (spelt,) = known.encode(" ball")
    assert torch.equal(network.embedding.weight[ball], encoder.embedding.weight[spelt])
    assert torch.equal(network.embedding.weight[zyx], encoder.embedding.weight.mean(dim=0))


@pytest.mark.parametrize(
    "options",
    [
        ["--cell", "lstm", "--layers", "1"],
        ["--cell", "elman", "--tokenizer", "char"],
        ["--cell", "gru", "--tokenizer", "bpe", "--vocabulary", "280"],
    ],
)
def test_every_cell_and_tokenizer_can_be_begun_from(
    files: list[str], tmp_path: Path, options: list[str]
) -> None:
    """The classifier has the language model's architecture, one direction, and names its origin."""
    source = language_model(tmp_path / "lm", *options, "--hidden", "12", "--embedding", "10")
    out = tmp_path / "out"
    command = ["classifier", *files, "--from", str(source), "--epochs", "2", "--out", str(out)]
    assert main(command) == 0
    artifact, begin = load_artifact(out), load_artifact(source)
    own, given = artifact.manifest.architecture, begin.manifest.architecture
    for name in ("cell", "layers", "hidden", "embedding"):
        assert getattr(own, name) == getattr(given, name)
    assert artifact.tokenizer.kind == begin.tokenizer.kind
    assert own.bidirectional is False  # type: ignore[union-attr]
    data = artifact.manifest.provenance["data"]
    assert data["from"][0]["sha256"] == begin.manifest.files["weights.safetensors"]  # type: ignore[index]


def test_a_run_from_an_encoder_resumes_and_repeats(
    files: list[str], trained: Path, tmp_path: Path
) -> None:
    """A run that ends early and goes on, and one from the written recipe, give the same bits."""
    begin = ["--from", str(trained), "--patience", "0", "--evaluations", "2"]
    command = ["classifier", *files, *begin, "--epochs", "3"]
    assert main([*command, "--out", str(tmp_path / "a")]) == 0
    recipe = str(tmp_path / "a.run" / "recipe.toml")
    assert "from = " in Path(recipe).read_text()
    assert main(["classifier", "--recipe", recipe, "--out", str(tmp_path / "b")]) == 0
    assert same(tmp_path / "a", tmp_path / "b")
    assert main(["classifier", "--resume", "--out", str(tmp_path / "b")]) == 0
    assert same(tmp_path / "a", tmp_path / "b")


def test_layers_begin_from_the_head_down_and_learn_slower() -> None:
    """Rates fall by the factor from layer to layer; the embedding comes last."""
    shape = ClassifierArchitecture(
        cell="lstm", vocabulary=9, embedding=3, hidden=4, layers=2, mlp=5, labels=2
    )
    groups = [{name for name, _ in group} for group in layer_groups(Classifier(shape))]
    assert groups[0] == {"mlp.weight", "mlp.bias", "output.weight", "output.bias"}
    assert "recurrent.weight_hh_l1" in groups[1]
    assert "initial_hidden_L1H" in groups[1]
    assert "recurrent.weight_hh_l0" in groups[2]
    assert groups[3] == {"embedding.weight"}
    pace = LayerwiseSchedule(decay=2.0, unfreezing=0.3)
    assert [pace.rate(depth) for depth in range(4)] == [1.0, 0.5, 0.25, 0.125]
    begins = [pace.begins(depth, 3) for depth in range(4)]
    assert begins == pytest.approx([0.0, 0.1, 0.2, 0.3])


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--bidirectional"], "--bidirectional: {lm} reads from left to right only"),
        (["--cell", "lstm"], "--cell lstm: the encoder of {lm} has cell gru; leave it out"),
        (["--hidden", "20"], "--hidden 20: the encoder of {lm} has hidden 12; leave it out"),
        (["--layers", "1"], "--layers 1: the encoder of {lm} has layers 2; leave it out"),
        (["--embedding", "9"], "--embedding 9: the encoder of {lm} has embedding 10"),
        (["--tokenizer", "char"], "--tokenizer char: the encoder of {lm} has tokenizer word"),
        (["--vocabulary", "5"], "vocabulary of 5: the tokenizer that it extends has"),
        (["--vectors", "v.txt"], "--vectors: the embedding begins from --from; leave one out"),
        (["--layer-decay", "0"], "--layer-decay: expected more than 0"),
        (["--unfreezing", "1"], "--unfreezing: expected less than 1"),
    ],
)
def test_options_that_conflict_with_the_encoder_are_refused(
    files: list[str],
    trained: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    options: list[str],
    expected: str,
) -> None:
    """One line that names the option and what the artifact has; nothing is left behind."""
    out = tmp_path / "out"
    command = ["classifier", *files, "--from", str(trained), *options, "--out", str(out)]
    assert main(command) == 2
    (line,) = capfd.readouterr().err.strip().split("\n")
    assert expected.format(lm=trained) in line
    assert not out.exists()


def test_only_language_models_can_be_begun_from(
    files: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A classifier, and what is no artifact at all, are refused by name."""
    out = str(tmp_path / "out")
    assert main(["classifier", *files, "--hidden", "8", "--epochs", "1", "--out", out]) == 0
    capfd.readouterr()
    command = ["classifier", *files, "--out", str(tmp_path / "other"), "--from"]
    assert main([*command, out]) == 2
    assert "is a classifier; give the artifact of a language model" in capfd.readouterr().err
    assert main([*command, str(tmp_path / "none")]) == 2
    assert "manifest.json: missing" in capfd.readouterr().err


def test_an_extended_tokenizer_keeps_what_it_knew() -> None:
    """Old ids stay, [END] stays last, reserved words and rare ones stay out; bpe needs nothing."""
    tokenizer = train_word_tokenizer(["a b a"], vocabulary=None, pretokenized=True)
    longer = extend_tokenizer(
        tokenizer, ["[END] c c <unk> <unk>", "[END] d"], vocabulary=None, minimum_count=2
    )
    assert longer.vocabulary()[: tokenizer.end] == tokenizer.vocabulary()[:-1]
    assert longer.vocabulary()[tokenizer.end :] == [" c", ""]
    assert longer.end == longer.size - 1
    bounded = extend_tokenizer(tokenizer, ["x y z"], vocabulary=tokenizer.size + 1, minimum_count=1)
    assert bounded.size == tokenizer.size + 1
    with pytest.raises(VocabularyError, match=f"has {tokenizer.size} tokens"):
        extend_tokenizer(tokenizer, ["x"], vocabulary=3, minimum_count=1)
    bpe = train_bpe_tokenizer(["a b a b"], vocabulary=258)
    assert extend_tokenizer(bpe, ["x"], vocabulary=None, minimum_count=1) is bpe
