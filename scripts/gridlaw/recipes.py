"""Recipes: for each step exactly the configuration values that its result depends on, as canonical JSON.

A recipe is what Snakemake compares (the rule's only parameter beside `code`), what the step's program is given, and
what its record repeats. It holds nothing of other steps, those are inputs, and nothing that a result does not depend
on: what is written in different ways and means the same is the same recipe, and lists whose order means nothing are
sorted. Local files, whose age says nothing, stand in it with a digest of their content.
"""

from __future__ import annotations

import json

from gridlaw import families, files, grid


def canonical(recipe: object) -> str:
    """JSON with sorted keys and normal numbers: `1.0` is `1`, and the order of keys does not matter."""
    return json.dumps(normal(recipe), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def normal(value: object) -> object:
    """A value with its whole numbers as such, whether they were written `1` or `1.0`."""
    if isinstance(value, dict):
        return {key: normal(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [normal(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def tokenizer_of(config: dict, model: str) -> str | None:
    """Name of a model's tokenizer: a released model's own, the one it asks for, else the first of its family's kind."""
    entry = config["catalogue"]["models"][model]
    if "pretrained" in entry:
        return model
    if "tokenizer" in entry:
        return entry["tokenizer"]
    wanted = families.tokenizer(entry["model_type"])
    tokenizers = config["catalogue"]["tokenizers"]
    return next((name for name, one in tokenizers.items() if one["algorithm"] == wanted), None)


def pretrain_parameters(config: dict, model: str) -> dict:
    """Hyper-parameters of a model's pre-training, its overrides applied."""
    section = config["pretrain"]
    parameters = _without(section, "per_model", "scaling", "evaluations") | section["per_model"].get(model, {})
    return parameters | {"warmup_tokens": grid.parse_size(parameters["warmup_tokens"])}


def finetune_parameters(config: dict, model: str, task: str) -> dict:
    """Hyper-parameters of a model's fine-tuning on a task; a task's overrides win over a model's."""
    section = config["finetune"]
    shared = _without(section, "per_model", "per_task", "gpus")
    return shared | section["per_model"].get(model, {}) | section["per_task"].get(task, {})


def _without(mapping: dict, *names: str) -> dict:
    return {name: value for name, value in mapping.items() if name not in names}


def corpus(config: dict, corpus: str) -> dict:
    entry = config["catalogue"]["corpora"][corpus]
    keys = {"files", "held_out_files"} & entry.keys()
    local = {key: files.digest(files.find_corpus_files(config, corpus, key)) for key in keys}
    words = {"words": grid.parse_size(entry["words"])} if "words" in entry else {}
    return entry | words | local


def segments(config: dict) -> dict:
    return {name: config["data"][name] for name in ("segment_words", "held_out_words", "seed")}


def tokenizer(config: dict, tokenizer: str) -> dict:
    return config["catalogue"]["tokenizers"][tokenizer]


def checkpoint(config: dict, model: str) -> dict:
    entry = config["catalogue"]["models"][model]
    if not files.is_local(entry["pretrained"]):
        return entry
    return {"pretrained": entry["pretrained"], "files": files.digest(files.find_checkpoint_files(entry["pretrained"]))}


def pack(config: dict) -> dict:
    return {name: config["data"][name] for name in ("row_length", "packing")}


def slice(config: dict, size: str) -> dict:
    return {"size_tokens": grid.parse_size(size)}


def task(config: dict, task: str) -> dict:
    entry = config["catalogue"]["tasks"][task]
    generator = {"generator_seed": entry["seed"]} if "seed" in entry else {}
    local = {"files": files.digest(files.find_task_files(config, task).values())} if "files" in entry else {}
    same = {"validation": sorted(entry["validation"]), "seed": config["data"]["seed"]}
    return _without(entry, "metrics", "glue") | generator | local | same


def pretrain(config: dict, model: str, size: str, gpus: int | str, seed: int | str) -> dict:
    """Size 0 trains nothing, so of the hyper-parameters it keeps what shapes the model and its evaluation."""
    parameters = pretrain_parameters(config, model)
    if config["pretrain"]["scaling"] == "weak":
        parameters["batch_size"] *= int(gpus)
    if grid.parse_size(size) == 0:
        kept = ("dropout", "attention", "held_out_mask_rate", "device_batch_size", "precision")
        parameters = {name: parameters[name] for name in kept}
    entry = config["catalogue"]["models"][model]
    return {
        "model": {} if "pretrained" in entry else _network(entry),
        "gpus": int(gpus),
        "seed": int(seed),
        **parameters,
    }


def trunk(config: dict, model: str, gpus: int | str, seed: int | str) -> dict:
    """The shape of its decay is a branch's own, and so is the measure of its loss."""
    return _without(pretrain(config, model, grid.ALL, gpus, seed), "decay_shape", "held_out_mask_rate")


def _network(entry: dict) -> dict:
    """A from-scratch model, with the width that its feed-forward layers have where the shape names none."""
    shape = entry["shape"]
    return _without(entry, "tokenizer") | {"shape": {"intermediate_size": families.feed_forward(shape)} | shape}


def ranks(config: dict, model: str, size: str) -> dict:
    return {"gpus": grid.compared(config, model, size), "seeds": sorted(config["seeds"]["pretrain"])}


def finetune(config: dict, model: str, task: str) -> dict:
    entry = config["catalogue"]["tasks"][task]
    parameters = finetune_parameters(config, model, task)
    return {
        **{name: entry[name] for name in ("text", "label", "kind", "train")},
        **parameters,
        "validation": sorted(entry["validation"]),
        "seeds": sorted(config["seeds"]["finetune"]),
        "train_examples": sorted(parameters["train_examples"], key=lambda size: grid.size_order(str(size))),
    }


def score(config: dict) -> dict:
    tasks = config["catalogue"]["tasks"]
    return {task: {"metrics": sorted(tasks[task]["metrics"]), "kind": tasks[task]["kind"]} for task in config["tasks"]}


def baseline(config: dict, task: str) -> dict:
    entry = config["catalogue"]["tasks"][task]
    sets = {name: sorted(entry[name]) for name in ("validation", "metrics")}
    return {"train": entry["train"], "kind": entry["kind"], **sets}


def aggregate(config: dict) -> dict:
    """The grid: of each model, size and gpus value the one whose scores it has; the models and sizes whose runs are
    compared with that of a single rank; tokenizers, seeds and tasks."""
    cells: dict[str, dict[str, dict[str, int]]] = {}
    for cell, scored_at in grid.scored(config).items():
        cells.setdefault(cell.model, {}).setdefault(cell.size, {})[str(cell.gpus)] = scored_at
    runs = [[model, size] for model, sizes in cells.items() for size in sizes]
    return {
        "models": config["models"],
        "cells": cells,
        "compared": sorted(run for run in runs if grid.compared(config, *run)),
        "tokenizers": {model: tokenizer_of(config, model) for model in config["models"]},
        "seeds": sorted(config["seeds"]["pretrain"]),
        "tasks": {task: {"glue": config["catalogue"]["tasks"][task]["glue"]} for task in config["tasks"]},
    }


def laws(config: dict) -> dict:
    """Of every task its first metric on its first validation split, after the most training examples."""
    first = config["models"][0]
    tasks = []
    for task in config["tasks"]:
        entry, sets = config["catalogue"]["tasks"][task], finetune(config, first, task)["train_examples"]
        what = {"metric": entry["metrics"][0], "split": entry["validation"][0], "train_set": str(sets[-1])}
        tasks.append({"task": task, **what})
    return {"scaling": config["pretrain"]["scaling"], "tasks": tasks}


def forecasts(config: dict) -> dict:
    sizes = {grid.size_name(size) for size in config["analysis"]["forecast_sizes"]}
    return {"scaling": config["pretrain"]["scaling"], "forecast_sizes": sorted(sizes, key=grid.size_order)}


def decisions(config: dict) -> dict:
    prices = config["cost"]
    return {
        "scaling": config["pretrain"]["scaling"],
        "models": config["models"],
        "sizes": sorted(map(grid.size_name, config["sizes"]), key=grid.size_order),
        "gpus": sorted(config["gpus"]),
        "exclude": grid.exclusions(config),
        "budget_rank_hours": config["analysis"]["budget_rank_hours"],
        "smallest_difference": config["analysis"]["smallest_difference"],
        "finetune_gpus": config["finetune"]["gpus"],
        "price_per_gpu_hour": prices.get("price_per_gpu_hour", 0),
        "currency": prices["currency"],
    }


def figure_scores(config: dict) -> dict:
    """What each panel shows: of every task its first metric on its first validation split."""
    tasks = {task: config["catalogue"]["tasks"][task] for task in config["tasks"]}
    return {
        "models": config["models"],
        "tasks": [[task, entry["metrics"][0], entry["validation"][0]] for task, entry in tasks.items()],
    }


def figure_loss(config: dict) -> dict:
    """Of most figures: colours stand in the order of the models."""
    return {"models": config["models"]}


figure_laws = figure_curves = figure_transfer = figure_budget = figure_throughput = figure_pairs = figure_loss
figure_holdout = figure_residuals = figure_estimates = figure_costs = figure_loss


def figure_parameters(config: dict) -> dict:
    """Of figures that ask which runs compare."""
    return figure_loss(config) | {"scaling": config["pretrain"]["scaling"]}


figure_front = figure_parameters
figure_seeds = latex = figure_scores


def report(config: dict) -> dict:
    """What its paragraphs on methods tell, and prices."""
    told = {
        "pretrain": ("passes", "mask_rate", "held_out_mask_rate", "batch_size", "learning_rate", "weight_decay",
                     "adam_beta2", "decay_shape", "decay_ratio"),
        "finetune": ("epochs", "batch_size", "learning_rate"),
        "data": ("segment_words", "row_length", "held_out_words"),
    }  # fmt: skip
    sections = {name: {key: config[name][key] for key in keys} for name, keys in told.items()}
    sections["pretrain"]["warmup_tokens"] = grid.parse_size(config["pretrain"]["warmup_tokens"])
    seeds = {name: sorted(values) for name, values in config["seeds"].items()}
    known = ("price_per_gpu_hour", "price_per_kwh", "watts_per_gpu")
    prices = {name: config["cost"].get(name, 0) for name in known} | {"currency": config["cost"]["currency"]}
    whole = {name: config[name] for name in ("models", "tasks", "corpus")}
    return whole | {"seeds": seeds, "cost": prices} | sections
