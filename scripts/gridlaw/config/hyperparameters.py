"""Hyper-parameters and tokenizer of each model, after the overrides of the configuration."""

from __future__ import annotations

from pathlib import Path

from gridlaw import io
from gridlaw.config import grid, user_files
from gridlaw.models import family

# Keys of sections that are no hyper-parameters of a single training.
NOT_PRETRAIN = {"per_model", "scaling", "evaluations"}
NOT_FINETUNE = {"per_model", "per_task", "gpus"}


def is_released(config: dict, model: str) -> bool:
    """Return whether a model is a released checkpoint, which brings its tokenizer."""
    return "pretrained" in config["catalogue"]["models"].get(model, {})


def kind_of(config: dict, model: str) -> str:
    """Kind of a model, which some hyper-parameters depend on: `from_scratch` or `released`."""
    return "released" if is_released(config, model) else "from_scratch"


def tokenizer_of(config: dict, model: str) -> str | None:
    """Name of a model's tokenizer: a released model's own, the one it asks for, else the first of its family's kind."""
    entry = config["catalogue"]["models"][model]
    if "pretrained" in entry:
        return model
    if "tokenizer" in entry:
        return entry["tokenizer"]
    wanted = family.find(entry["model_type"]).tokenizer
    tokenizers = config["catalogue"]["tokenizers"]
    return next((name for name, tokenizer in tokenizers.items() if tokenizer["algorithm"] == wanted), None)


def family_of(config: dict, model: str) -> str | None:
    """transformers' name of a model's family; None for a checkpoint of the hub whose entry does not name it."""
    entry = config["catalogue"]["models"][model]
    if "model_type" in entry:
        return entry["model_type"]
    if user_files.is_local(entry["pretrained"]):
        return (io.find_json(Path(entry["pretrained"], "config.json")) or {}).get("model_type")
    return None


def pretrain_parameters(config: dict, model: str) -> dict:
    """Hyper-parameters of a model's pre-training."""
    parameters = _overridden(config["pretrain"], NOT_PRETRAIN, kind_of(config, model), per_model=model)
    return parameters | {"warmup_tokens": grid.parse_size(parameters["warmup_tokens"])}


def pretrain_keys(config: dict, model: str) -> dict[str, str]:
    """The configuration key that each hyper-parameter of a model's pre-training comes from."""
    return _keys("pretrain", config["pretrain"], NOT_PRETRAIN, kind_of(config, model), per_model=model)


def finetune_parameters(config: dict, model: str, task: str) -> dict:
    """Hyper-parameters of a model's fine-tuning on a task; a task's overrides win over a model's."""
    return _overridden(config["finetune"], NOT_FINETUNE, kind_of(config, model), per_model=model, per_task=task)


def finetune_keys(config: dict, model: str, task: str) -> dict[str, str]:
    """The configuration key that each hyper-parameter of a model's fine-tuning on a task comes from."""
    return _keys("finetune", config["finetune"], NOT_FINETUNE, kind_of(config, model), per_model=model, per_task=task)


def longest_sequences(config: dict, model: str) -> dict[str, int]:
    """Tokens of the longest sequences that a model is to read, by the configuration key that they come from."""
    packed = {"data.row_length": config["data"]["row_length"]} if config["corpus"] else {}
    return packed | {
        f"finetune.max_length ({task})": finetune_parameters(config, model, task)["max_length"]
        for task in config["tasks"]
    }


def _overridden(section: dict, others: set[str], kind: str, **overrides: str) -> dict:
    parameters = {name: value for name, value in section.items() if name not in others}
    for override, name in overrides.items():
        parameters |= section[override].get(name, {})
    return {name: value[kind] if isinstance(value, dict) else value for name, value in parameters.items()}


def _keys(path: str, section: dict, others: set[str], kind: str, **overrides: str) -> dict[str, str]:
    places = {path: {name: value for name, value in section.items() if name not in others}}
    places |= {f"{path}.{override}.{name}": section[override].get(name, {}) for override, name in overrides.items()}
    return {
        name: f"{place}.{name}.{kind}" if isinstance(value, dict) else f"{place}.{name}"
        for place, parameters in places.items()
        for name, value in parameters.items()
    }
