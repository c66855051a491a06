"""Building, loading and measuring models."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import (
    CONFIG_MAPPING,
    AutoConfig,
    AutoModelForMaskedLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from gridlaw import cli
from gridlaw.models import family


def masked_lm(model: dict, tokenizer: PreTrainedTokenizerBase, dropout: float, attention: str) -> PreTrainedModel:
    """Return a masked language model with random weights, drawn from the global random state.

    Args:
        model: a from-scratch model of the catalogue.
        attention: implementation in transformers (`auto`, `sdpa`, `eager`, `flash_attention_2`).
    """
    ids = {f"{name}_token_id": getattr(tokenizer, f"{name}_token_id") for name in ("pad", "cls", "sep")}
    special = ids | {"bos_token_id": tokenizer.cls_token_id, "eos_token_id": tokenizer.sep_token_id}
    fields = family.configuration(model, len(tokenizer), special)
    config = CONFIG_MAPPING[model["model_type"]](**fields)
    return AutoModelForMaskedLM.from_config(
        set_dropout(config, dropout), attn_implementation=_implementation(attention)
    )


def released_masked_lm(folder: str | Path, dropout: float, attention: str) -> tuple[PreTrainedModel, bool]:
    """Return a released checkpoint as a masked language model in fp32, and whether it contains a masked-LM head.

    Raises:
        Failure: the checkpoint lacks weights of the encoder, or has others than its configuration describes.
    """
    config = set_dropout(AutoConfig.from_pretrained(folder), dropout)
    model, loading = _load(AutoModelForMaskedLM, folder, config, attention)
    # Masked language modelling does not use a pooler.
    missing = {name for name in loading["missing_keys"] if ".pooler." not in name}
    body = sorted(name for name in missing if name.startswith(f"{model.base_model_prefix}."))
    if body:
        raise cli.Failure(
            f"{folder}: no weights for {len(body)} parts of its {config.model_type}, such as {body[0]};"
            " expected those of the whole encoder, under the names that transformers gives them"
        )
    return model, not missing and not loading["mismatched_keys"]


def classifier(folder: str | Path, outputs: int, problem_type: str, dropout: float, attention: str) -> PreTrainedModel:
    """Return a pre-trained encoder in fp32 with a classification head.

    The head, or the part of it that the folder has weights of this shape for, begins with them; the rest is random.

    Args:
        outputs: of the head.
        problem_type: transformers' name of the kind of task.
    """
    config = set_dropout(AutoConfig.from_pretrained(folder, num_labels=outputs), dropout)
    config.problem_type = problem_type
    return _load(AutoModelForSequenceClassification, folder, config, attention)[0]


def _load(head: type, folder: str | Path, config: PretrainedConfig, attention: str) -> tuple[PreTrainedModel, dict]:
    """Return a model, and what transformers says about loading it; a head of another shape is replaced."""
    model, loading = head.from_pretrained(
        folder,
        config=config,
        attn_implementation=_implementation(attention),
        use_safetensors=True,
        ignore_mismatched_sizes=True,
        # Weights in fp16 train badly, whatever the precision of the arithmetic.
        dtype=torch.float32,
        output_loading_info=True,
    )
    wrong = [each for each in loading["mismatched_keys"] if each[0].startswith(f"{model.base_model_prefix}.")]
    if wrong:
        name, stored, expected = min(wrong)
        raise cli.Failure(
            f"{folder}: {name} has the shape {list(stored)}; expected {list(expected)}, as its config.json describes it"
        )
    return model, loading


def tokenizer(folder: str | Path) -> PreTrainedTokenizerBase:
    """Return the tokenizer in a folder."""
    return AutoTokenizer.from_pretrained(folder)


def _implementation(attention: str) -> str | None:
    if attention != "auto":
        return attention
    # On a CPU, the backward pass of the fused kernel is several times slower in bf16, and no faster in fp32.
    return None if torch.cuda.is_available() else "eager"


def set_dropout(config: PretrainedConfig, dropout: float) -> PretrainedConfig:
    """Set all dropouts of a configuration, in place, and return it.

    Raises:
        Failure: it has a dropout field that its family does not list.
    """
    for part in config.__dict__.values():
        if isinstance(part, PretrainedConfig):
            set_dropout(part, dropout)
    kind = config.model_type
    # A checkpoint's configuration may have extra fields, which no model reads.
    known = type(config)().__dict__
    fields = {name: value for name, value in config.__dict__.items() if name in known}
    for name, value in family.unnamed_dropouts(kind, fields).items():
        raise cli.Failure(
            f"config.json: {name} is {value}, but the key dropout does not control it in {kind}; expected 0"
        )
    for name, value in family.dropouts(kind, dropout).items():
        setattr(config, name, value)
    return config


def parameters(model: PreTrainedModel) -> dict[str, int]:
    """Count the parameters of a model, tied ones once, with and without its embedding tables."""
    return {
        "parameters": model.num_parameters(),
        "parameters_without_embeddings": model.num_parameters(exclude_embeddings=True),
    }
