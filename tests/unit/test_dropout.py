"""Dropout is what the configuration says in every family, and a field that would keep its own is an error."""

import pytest
import torch
from conftest import configuration
from torch.nn.modules.dropout import _DropoutNd
from transformers import (
    CONFIG_MAPPING,
    MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING,
    AutoModelForMaskedLM,
    AutoModelForSequenceClassification,
    BertConfig,
)
from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES

from gridlaw import cli
from gridlaw.models import family, modeling
from gridlaw.models.families import _other

KINDS = sorted(MODEL_FOR_MASKED_LM_MAPPING_NAMES)
# Weights are not made, only their shapes.
META = torch.device("meta")
# Two layers, in the words of those that do not count them.
FEW_LAYERS = {
    "funnel": {"block_sizes": [1, 1]},
    "reformer": {"attn_layers": ["local", "lsh"]},
    "modernvbert": {},
    "ultravbert": {},
}
# What a default configuration lacks.
NEEDED = {"esm": {"vocab_size": 33, "pad_token_id": 1}}


def config_of(kind):
    return CONFIG_MAPPING[kind](**FEW_LAYERS.get(kind, {"num_hidden_layers": 2}), **NEEDED.get(kind, {}))


def dropped(model):
    """Whatever drops something out in training."""
    for name, module in model.named_modules():
        if isinstance(module, _DropoutNd) and module.p:
            yield name
        values = {key: value for key, value in vars(module).items() if "drop" in key and not isinstance(value, bool)}
        yield from (f"{name}.{key}" for key, value in values.items() if isinstance(value, (int, float)) and value)


@pytest.mark.parametrize("kind", KINDS)
def test_a_family_names_all_of_its_dropouts(kind):
    fields = {name: value for name, value in vars(CONFIG_MAPPING[kind]()).items() if "drop" in name}
    assert set(family.find(kind).dropouts) == {name for name, value in fields.items() if not isinstance(value, bool)}


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_dropped_out_at_0(kind):
    heads = [AutoModelForMaskedLM]
    if CONFIG_MAPPING[kind] in MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING:
        heads.append(AutoModelForSequenceClassification)
    for head in heads:
        with META:
            model = head.from_config(modeling.set_dropout(config_of(kind), 0.0), attn_implementation="eager")
        assert list(dropped(model)) == []


def test_layers_are_not_dropped():
    config = modeling.set_dropout(CONFIG_MAPPING["flaubert"](layerdrop=0.3), 0.2)
    assert (config.dropout, config.attention_dropout, config.layerdrop) == (0.2, 0.2, 0.0)


class Novel(BertConfig):
    gate_dropout: float = 0.1


def test_a_dropout_of_a_checkpoint_that_no_family_names():
    with pytest.raises(
        cli.Failure, match=r"config.json: gate_dropout is 0.1, but the key dropout does not control it in bert; exp"
    ):
        modeling.set_dropout(Novel(), 0.0)
    assert modeling.set_dropout(Novel(gate_dropout=0.0), 0.0).hidden_dropout_prob == 0


@pytest.mark.parametrize(
    ("config", "line"),
    [
        ("{gate_dropout: 0.1}", "config.gate_dropout: BertConfig has no such field"),
        (
            "{hidden_dropout_prob: 0.1}",
            "config.hidden_dropout_prob: expected pretrain.dropout and finetune.dropout instead",
        ),
    ],
)
def test_a_dropout_in_the_catalogue(config, line):
    with pytest.raises(ValueError, match=f"catalogue.models.tiny.{line}"):
        configuration(f"catalogue: {{models: {{tiny: {{config: {config}}}}}}}")


def test_a_family_that_does_not_name_a_dropout(monkeypatch):
    monkeypatch.setitem(_other.DROPOUTS, "albert", ("hidden_dropout_prob", "attention_probs_dropout_prob"))
    family.find.cache_clear()
    with pytest.raises(
        ValueError, match=r"tiny.config.classifier_dropout_prob: 0.1, but the key dropout does not control it in albe"
    ):
        configuration("catalogue: {models: {tiny: {model_type: albert}}}")
    configuration("catalogue: {models: {tiny: {model_type: albert, config: {classifier_dropout_prob: 0}}}}")
    family.find.cache_clear()
