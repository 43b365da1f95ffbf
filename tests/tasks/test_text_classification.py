"""The text classification task: one encoded example, one batch, losses and metrics by hand, two steps of learning."""

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import datasets
import numpy as np
import pytest
import torch

from hf_tune.adapter.attach import attach_adapter
from hf_tune.data.encoded import encode_split
from hf_tune.data.splits import DataSource, Split, load_splits
from hf_tune.input_error import InputError
from hf_tune.model.checkpoint_config import ModelSource
from hf_tune.task import MULTI_LABEL, REGRESSION, SINGLE_LABEL, LoadedModel
from hf_tune.tasks.text_classification import TASK, Preprocess


NAMES = ["red", "green", "blue"]
RED, SEA = "the old rose", "a ruby is near the old sea"
LABELS: dict[Any, list] = {
    SINGLE_LABEL: [0, 1, 2, 1],
    MULTI_LABEL: [[1.0, 0.0, 1.0], [0.0, 0.0, 1.0], [1.0, 1.0, 1.0], [0.0, 1.0, 0.0]],
    REGRESSION: [0.5, -1.5, 2.0, 1.0],
}
TEXTS = ["the old rose", "a fern and grass", "the sea is blue by the ocean", "moss on a leaf"]

each_kind = pytest.mark.parametrize("kind", [SINGLE_LABEL, MULTI_LABEL, REGRESSION])


def load(folder: str, kind: Any = SINGLE_LABEL, **options: Any) -> LoadedModel:
    source = ModelSource(pretrained_model_name_or_path=folder, problem_type=kind)
    return TASK.load_model(source, Preprocess(**options), ["score"] if kind == REGRESSION else NAMES)


def build_batch(loaded: LoadedModel, kind: Any) -> dict[str, torch.Tensor]:
    examples = [
        TASK.encode({"text": text, "label": label}, loaded.processor)
        for text, label in zip(TEXTS, LABELS[kind], strict=True)
    ]
    return TASK.collate(examples, loaded.processor)


def split(texts: list[Any], name: str = "train", **columns: Any) -> Split:
    return Split(name=name, rows=datasets.Dataset.from_dict({"text": texts, **columns}), label_role="label")


def test_one_example_is_encoded_and_collated(tiny_text_checkpoints: dict[str, str]) -> None:
    processor = load(tiny_text_checkpoints["bert"]).processor
    examples = [TASK.encode({"text": text, "label": 1}, processor) for text in (RED, SEA)]
    assert set(examples[0]) == {"input_ids", "token_type_ids", "labels"}  # the length before the cut is no input
    assert examples[0]["input_ids"] == processor.plain(RED)["input_ids"]
    batch = TASK.collate(examples, processor)
    assert batch["labels"].tolist() == [1, 1] and batch["labels"].dtype == torch.int64
    inputs = TASK.to_inputs(batch, processor)
    assert set(inputs) == {"input_ids", "token_type_ids", "attention_mask"}
    expected = processor.plain([RED, SEA], padding=True, return_tensors="pt")
    assert all(torch.equal(inputs[name], expected[name]) for name in inputs)


def test_a_pair_is_encoded_as_one_input(tiny_text_checkpoints: dict[str, str]) -> None:
    processor = load(tiny_text_checkpoints["bert"]).processor
    encoded = TASK.encode({"text": RED, "text_pair": SEA}, processor)
    expected = processor.plain(RED, SEA)
    assert encoded == {name: expected[name] for name in ("input_ids", "token_type_ids")}
    assert TASK.encode(TASK.read_input((RED, SEA)), processor) == encoded
    assert TASK.encode(TASK.read_input([RED, SEA]), processor) == encoded
    assert TASK.encode(TASK.read_input(RED), processor) == TASK.encode({"text": RED}, processor)


def test_the_turns_of_a_dialogue_are_joined(tiny_text_checkpoints: dict[str, str]) -> None:
    loaded = load(tiny_text_checkpoints["bert"])
    joined = TASK.encode({"text": f"{RED}\n{SEA}\na fern"}, loaded.processor)
    assert TASK.encode({"text": [RED, SEA, "a fern"]}, loaded.processor) == joined
    mapped = encode_split(split([[RED, SEA, "a fern"]]), TASK, loaded.processor)
    assert mapped[0]["input_ids"].tolist() == joined["input_ids"]


@each_kind
def test_a_row_of_a_split_is_what_encode_makes_of_it(kind: Any, tiny_text_checkpoints: dict[str, str]) -> None:
    """Training reads the split, `predict` and the proof encode row by row: both must be the same inputs."""
    loaded = load(tiny_text_checkpoints["bert"], kind)
    dtype = np.int64 if kind == SINGLE_LABEL else np.float32
    rows = Split(
        name="train",
        rows=datasets.Dataset.from_dict({"text": TEXTS, "text_pair": TEXTS[::-1]}),
        label_role="label",
        labels=np.asarray(LABELS[kind], dtype=dtype),
    )
    mapped = encode_split(rows, TASK, loaded.processor)
    one = TASK.collate([mapped[row] for row in range(4)], loaded.processor)
    other = TASK.collate([TASK.encode(rows[row], loaded.processor) for row in range(4)], loaded.processor)
    assert one["row"].tolist() == [0, 1, 2, 3] and one["epoch"].tolist() == [0] * 4
    for name, value in other.items():
        assert torch.equal(one[name], value) and one[name].dtype == value.dtype, name


@each_kind
def test_two_steps_lower_the_loss(kind: Any, tiny_text_checkpoints: dict[str, str]) -> None:
    loaded = load(tiny_text_checkpoints["bert"], kind)
    batch = build_batch(loaded, kind)
    optimiser = torch.optim.SGD(loaded.model.parameters(), lr=0.1)
    losses = []
    for _ in range(3):
        loss = TASK.loss(loaded.model.eval()(**TASK.to_inputs(batch, loaded.processor)), batch, 0.0).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[2] < losses[1] < losses[0]


def test_the_loss_of_a_class_is_its_cross_entropy() -> None:
    logits = torch.tensor([[0.0, 0.0, 0.0], [math.log(2), 0.0, 0.0]])
    batch = {"labels": torch.tensor([1, 0])}
    losses = TASK.loss(SimpleNamespace(logits=logits), batch, 0.0)
    assert losses.tolist() == pytest.approx([math.log(3), math.log(2)]) and losses.dtype == torch.float32
    # Target 0.7 + 0.1, 0.1, 0.1; negative log-probabilities ln 2, ln 4, ln 4.
    smoothed = TASK.loss(SimpleNamespace(logits=logits), batch, 0.3)
    assert smoothed.tolist() == pytest.approx([math.log(3), 0.8 * math.log(2) + 0.2 * math.log(4)])


def test_the_loss_of_a_set_is_the_mean_over_its_labels() -> None:
    # Probabilities 1/2 and 3/4 for labels 1 and 0; then 3/4 and 1/4 for labels 1 and 0.
    logits = torch.tensor([[0.0, math.log(3)], [math.log(3), -math.log(3)]])
    batch = {"labels": torch.tensor([[1.0, 0.0], [1.0, 0.0]])}
    losses = TASK.loss(SimpleNamespace(logits=logits), batch, 0.0)
    assert losses.tolist() == pytest.approx([(math.log(2) + math.log(4)) / 2, math.log(4 / 3)])
    # With smoothing 0.2 the targets are 0.9 and 0.1.
    near, far = -math.log(3 / 4), -math.log(1 / 4)
    smoothed = TASK.loss(SimpleNamespace(logits=logits), batch, 0.2)
    expected = [(math.log(2) + 0.1 * near + 0.9 * far) / 2, 0.9 * near + 0.1 * far]
    assert smoothed.tolist() == pytest.approx(expected)


def test_the_loss_of_a_number_is_the_squared_error_whatever_the_smoothing() -> None:
    outputs = SimpleNamespace(logits=torch.tensor([[1.0], [-2.0]], dtype=torch.bfloat16))
    for smoothing in (0.0, 0.3):
        losses = TASK.loss(outputs, {"labels": torch.tensor([1.5, 1.0])}, smoothing)
        assert losses.tolist() == [0.25, 9.0] and losses.dtype == torch.float32


@each_kind
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_the_mean_loss_is_torchs_own(kind: Any, smoothing: float) -> None:
    torch.manual_seed(0)
    labels = torch.tensor(LABELS[kind])
    logits = torch.randn(4, 1 if kind == REGRESSION else 3)
    if kind == SINGLE_LABEL:
        expected = torch.nn.CrossEntropyLoss(label_smoothing=smoothing)(logits, labels)
    elif kind == MULTI_LABEL:
        expected = torch.nn.BCEWithLogitsLoss()(logits, labels * (1 - smoothing) + smoothing / 2)
    else:
        expected = torch.nn.MSELoss()(logits[:, 0], labels)
    losses = TASK.loss(SimpleNamespace(logits=logits), {"labels": labels}, smoothing)
    assert losses.shape == (4,) and losses.mean().item() == pytest.approx(expected.item(), rel=1e-6)


def test_a_single_label_among_any_number_is_no_regression() -> None:
    """One column of labels has the shape (rows, 1), numbers have (rows,)."""
    losses = TASK.loss(SimpleNamespace(logits=torch.zeros(2, 1)), {"labels": torch.tensor([[1.0], [0.0]])}, 0.0)
    assert losses.tolist() == pytest.approx([math.log(2)] * 2)


def test_what_is_kept_of_a_row_says_its_kind() -> None:
    outputs = SimpleNamespace(logits=torch.tensor([[0.0, math.log(3)]]))
    kept = TASK.keep_per_row(outputs, {}, SINGLE_LABEL)
    assert kept["top_labels"].tolist() == [[1, 0]] and "label_log_probability" not in kept
    assert kept["top_log_probabilities"].exp()[0].tolist() == pytest.approx([0.75, 0.25])
    labelled = TASK.keep_per_row(outputs, {"labels": torch.tensor([0])}, SINGLE_LABEL)
    assert labelled["label_log_probability"].exp().tolist() == pytest.approx([0.25])
    assert TASK.keep_per_row(outputs, {}, MULTI_LABEL)["log_odds"][0].tolist() == pytest.approx([0, math.log(3)])
    assert TASK.keep_per_row(SimpleNamespace(logits=torch.tensor([[2.5]])), {}, REGRESSION)["values"].tolist() == [2.5]


def test_row_scores_by_hand() -> None:
    logits = torch.tensor([[2.0, 1.0], [-1.0, 0.0]])
    score = TASK.row_scores(SimpleNamespace(logits=logits), {"labels": torch.tensor([1, 1])})
    assert score["accuracy"].tolist() == [0, 1]
    sets = {"labels": torch.tensor([[1.0, 1.0], [1.0, 1.0]])}
    assert TASK.row_scores(SimpleNamespace(logits=logits), sets)["subset_accuracy"].tolist() == [1, 0]
    numbers = {"labels": torch.tensor([1.5, -3.0])}
    assert TASK.row_scores(SimpleNamespace(logits=logits[:, :1]), numbers)["mae"].tolist() == [0.5, 2.0]


@pytest.mark.parametrize(
    ("kept", "expected", "guess"),
    [
        # Three of four right; train's commonest class is 1, which two of the four are.
        (
            {
                "labels": np.asarray([0, 1, 1, 0]),
                "top_labels": np.asarray([[0, 1], [1, 0], [0, 1], [0, 1]]),
                "label_log_probability": np.log([0.9, 0.8, 0.4, 0.7]),
            },
            {"accuracy": 0.75, "log_loss": -np.log([0.9, 0.8, 0.4, 0.7]).mean()},
            ("accuracy", 0.5),
        ),
        # 2 hits, 3 predicted, 3 true; both labels guessed: 3 hits of 4 with 3 true.
        (
            {"labels": np.asarray([[1.0, 0.0], [1.0, 1.0]]), "log_odds": np.asarray([[1.0, 2.0], [3.0, -1.0]])},
            {"f1_micro": 2 / 3, "subset_accuracy": 0.0},
            ("f1_micro", 6 / 7),
        ),
        # Errors 1 and -1; the mean of train is 1.
        (
            {"labels": np.asarray([1.0, 4.0]), "values": np.asarray([2.0, 3.0])},
            {"mae": 1.0, "rmse": 1.0, "pearson": 1.0},
            ("rmse", (9 / 2) ** 0.5),
        ),
    ],
    ids=["classes", "sets", "numbers"],
)
def test_the_metrics_of_each_kind_by_hand(kept: dict, expected: dict, guess: tuple[str, float]) -> None:
    scores = TASK.metrics(kept, ["a", "b"])
    assert {name: scores[name].value for name in expected} == pytest.approx(expected)
    kind = {"top_labels": SINGLE_LABEL, "log_odds": MULTI_LABEL, "values": REGRESSION}[list(kept)[1]]
    assert tuple(scores) == tuple(TASK.metric_names[kind])[: len(scores)]  # type: ignore[index]
    train = {SINGLE_LABEL: np.asarray([1, 1, 0]), MULTI_LABEL: np.ones((2, 2)), REGRESSION: np.asarray([0.5, 1.5])}
    baseline = TASK.baseline({"labels": train[kind]}, kept, ["a", "b"])  # type: ignore[index]
    assert (baseline["metric"], baseline["value"]) == (guess[0], pytest.approx(guess[1]))
    assert isinstance(baseline["name"], str)


@pytest.mark.parametrize("role", ["text", "text_pair"])
@pytest.mark.parametrize(("bad", "words"), [(" ", "is empty"), (None, "holds nothing, not a text")])
def test_a_text_that_is_not_there_is_told_with_its_row_and_split(
    role: str, bad: Any, words: str, tiny_text_checkpoints: dict[str, str]
) -> None:
    columns = {"text": [*TEXTS], "text_pair": [*TEXTS]}
    columns[role][2] = bad
    rows = split(columns["text"], "test", text_pair=columns["text_pair"])
    with pytest.raises(InputError, match=f"row 2 of split 'test': `{role}` {words}"):
        encode_split(rows, TASK, load(tiny_text_checkpoints["bert"]).processor)


def write(folder: Path, **columns: list) -> DataSource:
    folder.mkdir(exist_ok=True)
    for name in ("train", "validation"):
        datasets.Dataset.from_dict(columns).to_json(folder / f"{name}.jsonl")
    return DataSource(load={"path": "json", "data_dir": str(folder)})


def test_a_missing_column_is_told_and_the_second_text_may_be_missing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="split 'train' has no column 'text' for the role `text`; its columns are: "):
        load_splits(write(tmp_path / "a", sentence=TEXTS, label=["a", "b", "a", "b"]), TASK)
    splits = load_splits(write(tmp_path / "b", text=TEXTS, label=["a", "b", "a", "b"]), TASK)
    assert splits.train.rows.column_names == ["text"]
    both = write(tmp_path / "c", text=TEXTS, other=TEXTS, label=["a", "b", "a", "b"])
    pairs = load_splits(DataSource(load=both.load, columns={"text_pair": "other"}), TASK)
    assert set(pairs.train.rows.column_names) == {"text", "text_pair"}


@each_kind
def test_the_kind_of_label_is_found_in_the_data(kind: Any, tmp_path: Path) -> None:
    labels = {SINGLE_LABEL: ["a", "b"] * 2, MULTI_LABEL: [["a"], ["b"], [], ["a"]], REGRESSION: [0.5, 1, 2, 3.25]}[
        kind
    ]
    splits = load_splits(write(tmp_path / "rows", text=TEXTS, label=labels), TASK)
    assert splits.problem_type == kind
    assert splits.label_names == (("label",) if kind == REGRESSION else ("a", "b"))
    assert splits.train[3]["label"] == {SINGLE_LABEL: 1, MULTI_LABEL: [1.0, 0.0], REGRESSION: 3.25}[kind]


def test_rows_that_were_cut_are_said(tiny_text_checkpoints: dict[str, str]) -> None:
    loaded = load(tiny_text_checkpoints["bert"], max_length=6)
    rows = encode_split(split([RED, SEA, "a leaf", f"{SEA} {SEA}"], "validation"), TASK, loaded.processor)
    longest = len(loaded.processor.plain(f"{SEA} {SEA}", verbose=False)["input_ids"])
    told = TASK.describe_encoded(rows, loaded.model)
    assert [len(loaded.processor.plain(each)["input_ids"]) <= 6 for each in (RED, "a leaf")] == [False, True]
    assert told == [f"3 of 4 validation rows exceed 6 tokens and were cut; the longest has {longest}."]
    whole = encode_split(split([RED, SEA]), TASK, load(tiny_text_checkpoints["bert"]).processor)
    assert TASK.describe_encoded(whole, loaded.model) == []


def test_a_prompt_that_leaves_too_few_positions_is_told_before_training(tiny_text_checkpoints: dict[str, str]) -> None:
    loaded = load(tiny_text_checkpoints["bert"])
    rows = encode_split(split([RED, "sea " * 90]), TASK, loaded.processor)
    assert rows.lengths.max() == 64
    block = {"peft_type": "PREFIX_TUNING", "num_virtual_tokens": 4}
    model = attach_adapter(loaded, block, None, TASK.peft_task_type)
    with pytest.raises(InputError, match="row 1 of split 'train' has 64 tokens, and with 4 virtual ones") as caught:
        TASK.describe_encoded(rows, model)
    assert caught.value.hint == "write `max_length: 60`" and caught.value.at == ("preprocess", "max_length")
    shorter = encode_split(
        split([RED, "sea " * 90]), TASK, load(tiny_text_checkpoints["bert"], max_length=60).processor
    )
    assert "1 of 2 train rows exceed 60 tokens" in TASK.describe_encoded(shorter, model)[0]


def test_augmentation_changes_nothing() -> None:
    batch = {"input_ids": torch.zeros(1, 2)}
    assert TASK.augment(batch, Preprocess(), None) is batch


def test_input_statistics_by_hand() -> None:
    assert TASK.input_statistics({"text": "two words"}, None) == {"characters": 9.0, "words": 2.0}
    assert TASK.input_statistics({"text": ["a", "bc"], "text_pair": "d"}, None) == {"characters": 6.0, "words": 3.0}


def test_details_of_each_kind_and_the_card_of_them() -> None:
    classes = {"labels": np.asarray([0, 1, 1]), "top_labels": np.asarray([[0, 1], [0, 1], [1, 0]])}
    assert TASK.details(classes, ["a", "b"])["confusion_matrix"] == [[1, 0], [1, 1]]
    assert "| b | 1.000 | 0.500 | 0.667 | 2 |" in TASK.card_section({"details": TASK.details(classes, ["a", "b"])})
    sets = {"labels": np.asarray([[1.0, 0.0], [1.0, 1.0]]), "log_odds": np.asarray([[1.0, 2.0], [-3.0, 1.0]])}
    assert "| a | 1.000 | 0.500 | 0.667 | 2 |" in TASK.card_section({"details": TASK.details(sets, ["a", "b"])})
    numbers = {"labels": np.asarray([1.0, 3.0]), "values": np.asarray([1.0, 1.0])}
    section = TASK.card_section({"details": TASK.details(numbers, ["score"])})
    assert section == "The true values have mean 2.000 and standard deviation 1.000."


@pytest.mark.parametrize("family", ["bert", "distilbert", "roberta", "gpt2", "llama", "t5"])
@pytest.mark.parametrize("method", ["full", "lora"])
def test_features_are_cut_before_the_last_layer_also_under_an_adapter(
    family: str, method: str, tiny_text_checkpoints: dict[str, str]
) -> None:
    model = attach_adapter(load(tiny_text_checkpoints[family]), method, None, TASK.peft_task_type)
    layer = model.get_submodule(TASK.feature_cut(model, 3))
    assert (layer.in_features, layer.out_features) == (16, 3)
