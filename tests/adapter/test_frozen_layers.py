"""Layers that stay in evaluation mode."""

import torch

from hf_tune.adapter.attach import attach_adapter
from hf_tune.adapter.frozen_layers import rest_frozen_layers, stay_in_evaluation
from hf_tune.model.checkpoint_config import ModelSource
from hf_tune.model.text_checkpoint import load_text_classifier
from hf_tune.model.text_processor import TextOptions


def test_a_layer_stays_whatever_the_network_is_put_into() -> None:
    network = torch.nn.Sequential(torch.nn.Dropout(), torch.nn.Dropout())
    stay_in_evaluation(network[0])
    network.train()
    assert [layer.training for layer in network] == [False, True]
    assert network.train(False) is network and network.train() is network


def test_frozen_layers_rest_with_all_inside_and_dropout_beside_the_head_does_not() -> None:
    body = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Dropout())
    network = torch.nn.Sequential(body, torch.nn.Dropout(), torch.nn.Linear(2, 2))
    body.requires_grad_(False)
    rest_frozen_layers(network)
    network.train()
    assert [layer.training for layer in (body, body[0], body[1], network[1], network[2])] == [0, 0, 0, 1, 1]


def test_a_probe_of_bert_draws_dropout_above_its_body_alone(tiny_text_checkpoints: dict[str, str]) -> None:
    source = ModelSource(pretrained_model_name_or_path=tiny_text_checkpoints["bert"])
    loaded = load_text_classifier(source, TextOptions(), ["a", "b"])
    model = attach_adapter(loaded, "probe", None, "SEQ_CLS").train()
    assert not model.bert.encoder.training and not model.bert.embeddings.dropout.training
    assert model.dropout.training and model.classifier.training
    tokens = torch.tensor([[2, 9, 8, 3]])
    assert torch.equal(model.bert(tokens).pooler_output, model.bert(tokens).pooler_output)
    assert not torch.equal(model(tokens).logits, model(tokens).logits)
