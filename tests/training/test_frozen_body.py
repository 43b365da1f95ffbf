"""The part of a network below all that trains."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import transformers

from hf_tune.training.frozen_body import TOLERANCE, choose_body, is_still, list_bodies


Build = Callable[..., Any]
TOKENS = torch.tensor([[5, 6, 7, 8, 9], [7, 6, 2, 0, 0], [9, 3, 4, 1, 0]])
BATCH = {"input_ids": TOKENS, "attention_mask": (TOKENS != 0).long()}
SMALL = {"vocab_size": 20, "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}


@pytest.fixture
def bert() -> Build:
    """Return a function that builds a BERT whose head alone trains."""

    def build(dropout: float = 0.0, **trains: bool) -> Any:
        torch.manual_seed(0)
        config = transformers.BertConfig(
            **SMALL, hidden_dropout_prob=dropout, attention_probs_dropout_prob=dropout, num_labels=3
        )
        model = transformers.BertForSequenceClassification(config)
        for name, weight in model.named_parameters():
            weight.requires_grad = name.startswith(("classifier", *trains))
        return model

    return build


def test_vectors_give_the_logits_of_the_whole_network_through_its_own_head(bert: Build) -> None:
    model = bert()
    body = choose_body(model, list_bodies(model), BATCH, BATCH)
    assert body is not None and body.name == "inputs_embeds"
    whole = model(**BATCH).logits
    with body.reading() as read:
        model(**BATCH)
        vectors = read(BATCH)
    assert vectors.shape == (3, 8) and vectors.dtype == torch.float32
    with body.replaced():
        assert torch.allclose(model(**body.build_inputs(vectors)).logits, whole, atol=TOLERANCE)
        assert not torch.allclose(model(**body.build_inputs(vectors.flip(0))).logits, whole, atol=1e-3)
    assert torch.equal(model(**BATCH).logits, whole)  # the body is itself again


def test_a_body_with_a_weight_that_trains_is_none(bert: Build) -> None:
    model = bert()
    assert list_bodies(model)
    model.bert.encoder.layer[0].output.dense.bias.requires_grad = True
    assert not list_bodies(model)


def test_a_pooler_that_trains_belongs_to_the_head(bert: Build) -> None:
    model = bert()
    pooler = model.bert.pooler.requires_grad_(True)
    body = choose_body(model, list_bodies(model), BATCH, BATCH)
    assert body is not None
    assert not {id(weight) for weight in pooler.parameters()} & {id(value) for _, value in body.list_weights()}
    assert len(body.list_weights()) == len(list(model.bert.parameters())) - 2 + len(list(model.bert.buffers()))


def test_a_network_that_is_no_library_model_has_none() -> None:
    assert not list_bodies(torch.nn.Linear(2, 2))


def test_a_head_that_reads_every_token_gets_none() -> None:
    """DINOv2's judges by its first token and by the mean over the others."""
    torch.manual_seed(0)
    config = transformers.Dinov2Config(
        hidden_size=8, num_hidden_layers=1, num_attention_heads=2, image_size=28, patch_size=14, num_labels=3
    )
    model = transformers.Dinov2ForImageClassification(config)
    model.dinov2.requires_grad_(False)
    pixels = {"pixel_values": torch.randn(2, 3, 28, 28)}
    bodies = list_bodies(model)
    assert len(bodies) == 3
    assert choose_body(model, bodies, pixels, pixels) is None


@pytest.mark.parametrize(("dropout", "still"), [(0.0, True), (0.1, False)])
def test_dropout_in_the_body_is_noticed(dropout: float, still: bool, bert: Build) -> None:
    model = bert(dropout)
    body = choose_body(model, list_bodies(model), BATCH, BATCH)
    assert body is not None
    with torch.no_grad():
        assert is_still(model, body, BATCH, BATCH) is still
    assert not model.training


def test_statistics_that_would_move_are_noticed() -> None:
    torch.manual_seed(0)
    config = transformers.ResNetConfig(embedding_size=4, hidden_sizes=[4, 8], depths=[1, 1], num_labels=3)
    model = transformers.ResNetForImageClassification(config)
    model.resnet.requires_grad_(False)
    pixels = {"pixel_values": torch.randn(4, 3, 32, 32)}
    body = choose_body(model, list_bodies(model), pixels, pixels)
    assert body is not None
    with torch.no_grad():
        assert not is_still(model, body, pixels, pixels)
