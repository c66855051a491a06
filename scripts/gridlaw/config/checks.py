"""Mistakes in a configuration that no schema can find, because a key contradicts another, or a file."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from gridlaw import io, plugins
from gridlaw.config import file_checks, grid, hyperparameters, user_files
from gridlaw.config.file_checks import MissingFile
from gridlaw.config.messages import suggest
from gridlaw.data import formats
from gridlaw.models import family as model_family
from gridlaw.models import released
from gridlaw.tasks import metric as task_metric

# Returns the training tokens of a configuration's corpus, or None where they are not known.
Packed = Callable[[dict], int | None]


def unknown(config: dict) -> None:
    """Return nothing: no corpus is known to have been packed."""


def contradictions(config: dict, packed: Packed) -> Iterator[str]:
    """Yield a line for each contradiction in a configuration with its defaults.

    Args:
        packed: returns the training tokens of the corpus if they are known.
    """
    catalogue = config["catalogue"]
    trained = list(catalogue["tokenizers"])
    released = [name for name, model in catalogue["models"].items() if "pretrained" in model]
    named = [
        *_unknown_names("models", config["models"], catalogue["models"]),
        *_unknown_names("tasks", config["tasks"], catalogue["tasks"]),
        *_unknown_names("corpus", [config["corpus"]] if config["corpus"] else [], catalogue["corpora"]),
        *_unknown_names("data.tokenizer", [config["data"]["tokenizer"]], trained + released),
        *_unknown_names("pretrain.per_model", config["pretrain"]["per_model"], catalogue["models"]),
        *_unknown_names("finetune.per_model", config["finetune"]["per_model"], catalogue["models"]),
        *_unknown_names("finetune.per_task", config["finetune"]["per_task"], catalogue["tasks"]),
    ]
    yield from named
    yield from (
        f"catalogue.tokenizers.{name}: also the name of a released model, which has its own tokenizer; choose another"
        for name in trained
        if name in released
    )
    if config["corpus"] in catalogue["corpora"]:
        yield from file_checks.find_corpus_mistakes(config, config["corpus"])
    sizes = list(_sizes(config, packed))
    yield from sizes
    if named or sizes:
        return
    for name in config["models"]:
        yield from _model(config, name)
        yield from _attention(config, name)
    for name in config["tasks"]:
        yield from _task(config, name)
    yield from _cells(config)


def _unknown_names(key: str, names: Iterable[str], known: Iterable[str]) -> Iterator[str]:
    for name in names:
        if name not in known:
            expected = f"expected one of {', '.join(known)}{suggest(name, known)}"
            yield f"{key}: {name} is not in the catalogue; {expected}"


def _sizes(config: dict, packed: Packed) -> Iterator[str]:
    names = {}
    for size in config["sizes"]:
        try:
            name = grid.size_name(size)
        except ValueError as error:
            yield f"sizes: {error}"
            continue
        if name in names:
            yield f"sizes: {names[name]} and {size} are the same size; list it once"
        names[name] = size
    for entry in config["exclude"]:
        listed = entry.get("size", [])
        for size in listed if isinstance(listed, list) else [listed]:
            try:
                grid.size_name(size)
            except ValueError as error:
                yield f"exclude: {error}"
        listed = entry.get("model", [])
        yield from _unknown_names(
            "exclude.model", listed if isinstance(listed, list) else [listed], config["catalogue"]["models"]
        )
    warmups = {"pretrain": config["pretrain"]}
    warmups |= {f"pretrain.per_model.{model}": section for model, section in config["pretrain"]["per_model"].items()}
    for key, section in warmups.items():
        try:
            grid.parse_size(section.get("warmup_tokens", 0))
        except ValueError as error:
            yield f"{key}.warmup_tokens: {error}"
    yield from _larger_than_corpus(config, names, packed)


def _larger_than_corpus(config: dict, names: dict[str, str | int], packed: Packed) -> Iterator[str]:
    """Find sizes that the corpus cannot fill, as far as this is known before the corpus is fetched and tokenized."""
    name = config["corpus"]
    corpus = config["catalogue"]["corpora"].get(name)
    if corpus is None:
        return
    try:
        capacity, remedy = _capacity(config, corpus, packed(config))
    except ValueError as error:
        yield f"catalogue.corpora.{name}.words: {error}"
        return
    for size, spelling in names.items():
        if (grid.parse_size(size) or 0) > capacity:
            yield (
                f"sizes: {spelling} is more than the corpus {name} holds, at most {capacity} tokens after the held-out"
                f" text; use all, a smaller size, or more {remedy}"
            )


def _capacity(config: dict, corpus: dict, packed: int | None) -> tuple[float, str]:
    """Return an upper bound on the tokens of a corpus, and what the user could add to raise it.

    The bound is exact if the corpus has been packed. Otherwise each word or punctuation mark of the embedded language
    counts as one token, and each byte of other text. That is several times too much; `gridlaw.cost.capacity` estimates.
    """
    if packed is not None:
        return packed, "text"
    if corpus["source"] == "generator":
        words = grid.parse_size(corpus["words"])
        held_out = config["data"]["held_out_words"]
        if not words or words <= held_out:
            raise ValueError(f"{corpus['words']} leaves nothing after data.held_out_words: {held_out}; use more words")
        # The last document may exceed the number of words.
        return words + 200 - held_out, "words of it"
    texts = user_files.find_corpus_files(config, config["corpus"], "files")
    if not texts or any(map(formats.is_compressed, texts)):
        return float("inf"), ""
    try:
        return sum(Path(file).stat().st_size for file in texts), "files"
    except OSError:
        # Missing files have a line of their own.
        return float("inf"), ""


def _model(config: dict, name: str) -> Iterator[str]:
    model, key = config["catalogue"]["models"][name], f"catalogue.models.{name}"
    if "pretrained" in model:
        yield from (_released(config, name) if user_files.is_local(model["pretrained"]) else _repository(config, name))
        return
    yield from (f"{key}.{line}" for line in model_family.problems(model))
    tokenizers = config["catalogue"]["tokenizers"]
    if "tokenizer" in model and model["tokenizer"] not in tokenizers:
        yield from _unknown_names(f"{key}.tokenizer", [model["tokenizer"]], tokenizers)
    elif hyperparameters.tokenizer_of(config, name) is None:
        yield (
            f"{key}: {model['model_type']} needs a {model_family.find(model['model_type']).tokenizer} tokenizer, and"
            " catalogue.tokenizers has none; add one, or choose another with tokenizer:"
        )
    if config["corpus"] is None:
        yield f"corpus: null, but {name} is trained from scratch and needs a corpus for its vocabulary"
    positions = model["shape"]["max_position_embeddings"]
    for source, length in hyperparameters.longest_sequences(config, name).items():
        if length > positions:
            yield (
                f"{key}.shape.max_position_embeddings: {positions} is less than {source}: {length};"
                f" use {length} or more"
            )
            break


def _released(config: dict, name: str) -> Iterator[str]:
    """Check the files of a checkpoint in a local folder."""
    folder, key = config["catalogue"]["models"][name]["pretrained"], f"catalogue.models.{name}.pretrained"
    faults = [MissingFile(f"{key}: {line}") for line in released.problems(folder, folder)]
    yield from faults
    if not faults:
        lengths = hyperparameters.longest_sequences(config, name)
        if fault := released.too_long(io.read_json(Path(folder, released.CONFIG)), lengths):
            yield f"{key}: {folder} {fault}"


def _repository(config: dict, name: str) -> Iterator[str]:
    """Check the name of a checkpoint on the hub."""
    repository = config["catalogue"]["models"][name]["pretrained"]
    if not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", repository):
        yield (
            f"catalogue.models.{name}.pretrained: {repository} is no folder here, and no name of a repository on the"
            " hub; expected owner/name, or ./FOLDER"
        )
    # Its size is known once it has been fetched.
    folder = Path("resources/checkpoint", name)
    fetched = (io.find_json(folder / "record.json") or {}).get("recipe", {}).get("pretrained") == repository
    fields = io.find_json(folder / released.CONFIG) if fetched else None
    if fields and (fault := released.too_long(fields, hyperparameters.longest_sequences(config, name))):
        yield f"catalogue.models.{name}.pretrained: {repository} {fault}"


def _attention(config: dict, name: str) -> Iterator[str]:
    """Check that the implementation of attention exists for the family and for the precision."""
    family = config["catalogue"]["models"][name].get("model_type")
    uses = [("pretrain", hyperparameters.pretrain_parameters(config, name))]
    uses += [("finetune", hyperparameters.finetune_parameters(config, name, task)) for task in config["tasks"]]
    for section, parameters in uses:
        key, attention, precision = f"{section}.attention ({name})", parameters["attention"], parameters["precision"]
        if not model_family.find(family).has_fused_attention and attention in ("sdpa", "flash_attention_2"):
            yield f"{key}: transformers has no {attention} for {family}; use auto or eager"
        elif attention == "flash_attention_2" and precision not in ("auto", "bf16"):
            yield f"{key}: flash_attention_2 computes in bf16, not {precision}; use precision: bf16 or auto"


def _task(config: dict, name: str) -> Iterator[str]:
    task, key = config["catalogue"]["tasks"][name], f"catalogue.tasks.{name}"
    if task["source"] == "generator":
        sizes = [size for model in config["models"] for size in _train_examples(config, model, name)]
        if max(sizes, default=0) > task["train_size"]:
            yield f"{key}.train_size: {task['train_size']} is less than finetune.train_examples: {max(sizes)}"
    for metric in task["metrics"]:
        if task["kind"] not in task_metric.find(metric).kinds:
            yield f"{key}.metrics: {metric} does not fit kind: {task['kind']}"
    if "positive" in task and not any(task_metric.find(metric).has_positive for metric in task["metrics"]):
        of_a_class = [name for name in plugins.names("metric") if task_metric.find(name).has_positive]
        yield f"{key}.positive: no metric of the task is of one class; expected one of {', '.join(of_a_class)}"
    if task["label"] in task["text"]:
        yield f"{key}.label: {task['label']} is a text column too; expected the column with the label"
    # The examples of every task have columns of these names.
    yield from (
        f"{key}.text: {column} is the name of another column of the examples; expected another name in the data"
        for column in task["text"]
        if column in ("split", "label") and column != task["label"]
    )
    yield from file_checks.find_task_mistakes(config, name)


def _train_examples(config: dict, model: str, task: str) -> list[int]:
    sizes = hyperparameters.finetune_parameters(config, model, task)["train_examples"]
    return [size for size in sizes if size != "all"]


def _cells(config: dict) -> Iterator[str]:
    cells = list(grid.cells(config))
    if not cells:
        yield "exclude: removes every cell of the grid; exclude fewer"
    node = config["gpus_per_node"]
    for gpus in sorted({cell.gpus for cell in cells if node and cell.gpus > node and cell.gpus % node}):
        yield f"gpus: {gpus} ranks do not fill nodes of {node} GPUs (gpus_per_node); use a multiple of {node}"
    trained = [cell for cell in cells if grid.is_trained(cell.size)]
    if trained and config["corpus"] is None:
        yield f"corpus: null, but size {trained[0].size} needs text; name a corpus, or list only size 0"
    if config["pretrain"]["scaling"] == "strong":
        for model, gpus in sorted({(cell.model, cell.gpus) for cell in trained}):
            batch = hyperparameters.pretrain_parameters(config, model)["batch_size"]
            if batch % gpus:
                key = hyperparameters.pretrain_keys(config, model)["batch_size"]
                yield f"{key}: {gpus} ranks cannot share {batch} sequences equally; use a multiple of {gpus}"
    yield from _schedules(config, trained)
    yield from _scores(config, cells)


def _schedules(config: dict, trained: list[grid.Cell]) -> Iterator[str]:
    """Check that a trunk reads its slice once, and that the warm-up is shorter than the smallest training."""
    for model in dict.fromkeys(cell.model for cell in trained):
        parameters = hyperparameters.pretrain_parameters(config, model)
        trunk = parameters["schedule"] == "trunk"
        key = hyperparameters.pretrain_keys(config, model)
        if trunk and parameters["passes"] > 1:
            yield (
                f"{key['passes']}: sizes can share a trunk only with 1 pass over the slice, not {parameters['passes']};"
                " use 1, or schedule: independent"
            )
        warmup = parameters["warmup_tokens"]
        if warmup is None:
            yield f"{key['warmup_tokens']}: all is not a number of tokens; expected a number such as 64k"
            continue
        sizes = [grid.parse_size(cell.size) for cell in trained if cell.model == model and cell.size != grid.ALL]
        smallest = min(sizes, default=float("inf"))
        before_decay = smallest * (1 - parameters["decay_ratio"] if trunk else parameters["passes"])
        if warmup >= before_decay:
            yield (
                f"{key['warmup_tokens']}: {grid.size_name(warmup)} is not less than the"
                f" {grid.size_name(int(before_decay))} tokens that size {grid.size_name(smallest)} is trained on"
                f"{' before its decay' if trunk else ''}; use fewer, or larger sizes"
            )


def _scores(config: dict, cells: list[grid.Cell]) -> Iterator[str]:
    chosen = config["finetune"]["gpus"]
    if chosen == "all":
        return
    scored = {cell[:2] for cell in cells if cell.gpus in chosen}
    for cell in cells:
        if cell[:2] not in scored:
            available = sorted({other.gpus for other in cells if other[:2] == cell[:2]})
            yield (
                f"finetune.gpus: {chosen} includes no cell of {cell.model} at size {cell.size}, which is trained with"
                f" gpus {available}; add one of these, or use all"
            )
            return
    if config["pretrain"]["scaling"] == "weak" and set(chosen) != {cell.gpus for cell in cells}:
        yield "finetune.gpus: with weak scaling, each gpus value trains a different model; use all"
