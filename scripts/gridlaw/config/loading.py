"""Validation of the configuration: each mistake is one line with the key, what is wrong, and what was expected."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Iterator
from copy import deepcopy
from pathlib import Path

import yaml
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from gridlaw.config import grid, hyperparameters, user_files
from gridlaw.models import families
from gridlaw.workflow import recipe

# The loader written in C is ten times as fast, where PyYAML was built with it.
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
SCHEMA = Path(__file__).resolve().parents[3] / "schemas" / "config.schema.yaml"


class MissingFile(str):
    """A mistake: a file of the user is missing."""

    __slots__ = ()


def load(overlays: Iterable[str | Path], absent: bool = False) -> dict:
    """Return the completed configuration, as Snakemake would read it in the working directory.

    Args:
        overlays: files given with `--configfile`.
        absent: see `complete`.

    Raises:
        ValueError: the configuration is wrong; one line for each mistake.
    """
    base = Path("config.yaml")
    files = [base if base.exists() else SCHEMA.parents[1] / base, *map(Path, overlays)]
    config: dict = {}
    for file in files:
        try:
            _merge(config, yaml.safe_load(file.read_text()) or {})
        except (OSError, yaml.YAMLError, AttributeError) as error:
            raise ValueError(f"config: {file} cannot be read: {' '.join(str(error).split())}") from error
    return complete(config, files, absent)


def _merge(config: dict, overlay: dict) -> None:
    """Merge an overlay into a configuration, in place: mappings are merged, everything else is replaced."""
    for key, value in overlay.items():
        if isinstance(value, dict) and isinstance(config.get(key), dict):
            _merge(config[key], value)
        else:
            config[key] = deepcopy(value)


def complete(config: dict, files: Iterable[str | Path] = (), absent: bool = False) -> dict:
    """Return the configuration with the schema's defaults filled in and numbers in their normal form.

    Args:
        config: what Snakemake read from the files and `--config`.
        files: the configuration files, to find duplicate keys in (YAML silently keeps the last one).
        absent: allow the user's files to be missing, as they are in an archive of results.

    Raises:
        ValueError: the configuration is wrong; one line for each mistake.
    """
    schema = yaml.load(SCHEMA.read_text(), LOADER)
    lines = [line for file in files for line in repeated_keys(Path(file))]
    lines += mistakes(schema, config)
    if not lines:
        config = recipe.normal(config)
        fill(schema, schema, config)
        lines = [line for line in _contradictions(config) if not (absent and isinstance(line, MissingFile))]
    if lines:
        raise ValueError("\n".join(f"config: {line}" for line in dict.fromkeys(lines)))
    return config


# Mistakes that the schema finds ---------------------------------------------------------------------------------------


def mistakes(schema: dict, content: object) -> list[str]:
    """Return a line for each mistake that a schema finds in the content of a file."""
    return [line for error in _innermost(Draft202012Validator(schema).iter_errors(content)) for line in _lines(error)]


def _innermost(errors: Iterable[ValidationError]) -> Iterator[ValidationError]:
    """Yield the leaf errors; within a oneOf, only those of the branch that fits best."""
    for error in errors:
        if error.validator in ("oneOf", "anyOf") and error.context:
            typed = [leaf for leaf in error.context if leaf.validator not in ("type", "const")]
            if typed:
                yield from _innermost(typed)
                continue
        yield error


def _lines(error: ValidationError) -> list[str]:
    if error.validator in ("additionalProperties", "unevaluatedProperties"):
        return _unknown_keys(error)
    return [_line(error)]


def _line(error: ValidationError) -> str:
    key = ".".join(str(part) for part in error.absolute_path) or "the configuration"
    value, rule = json.dumps(error.instance, default=str), error.validator_value
    description = error.schema.get("description", "")
    expected = f"; expected {description}" if description else ""
    match error.validator:
        case "required":
            missing = next(name for name in rule if name not in error.instance)
            return f"{key}.{missing}: missing; this key is required".removeprefix("the configuration.")
        case "type" if isinstance(error.instance, str) and _number(error.instance) and rule in ("number", "integer"):
            return f"{key}: {value} is text, not a number; {_as_number(error.instance)}"
        case "type" if error.instance is None:
            return f"{key}: empty; it must be {_either(rule)}{expected}"
        case "type":
            return f"{key}: {value} is not {_either(rule)}{expected}"
        case "enum":
            known = ", ".join(map(str, rule))
            return f"{key}: {value} is unknown; expected one of {known}{_suggest(error.instance, rule)}"
        case "minItems":
            return f"{key}: empty; list at least {'one' if rule == 1 else rule}{expected}"
        case "uniqueItems":
            duplicate = next(item for item in error.instance if error.instance.count(item) > 1)
            return f"{key}: {duplicate} is listed twice; list it once"
        case "pattern" if "propertyNames" in error.absolute_schema_path:
            return f"{key}.{error.instance}: not safe as a name; expected {description}"
        case "minimum":
            return f"{key}: {value} is too small; the minimum is {rule}{expected}"
        case "exclusiveMinimum":
            return f"{key}: {value} is too small; it must be above {rule}{expected}"
        case "maximum":
            return f"{key}: {value} is too large; the maximum is {rule}{expected}"
        case "exclusiveMaximum":
            return f"{key}: {value} is too large; it must be below {rule}{expected}"
        case _:
            return f"{key}: {value} is not allowed{expected}"


def _unknown_keys(error: ValidationError) -> list[str]:
    """Return a line for each key that the schema does not name; wrong values of known keys have their own errors."""
    known = _properties(error.schema)
    paths = {name: ".".join(map(str, [*error.absolute_path, name])) for name in error.instance if name not in known}
    names = ", ".join(sorted(known))
    return [f"{path}: unknown key; expected one of {names}{_suggest(name, known)}" for name, path in paths.items()]


def _properties(schema: dict) -> list[str]:
    """Return the keys that a schema allows, including those of the schemas it is composed of."""
    schema = _resolve(schema)
    names = list(schema.get("properties", {}))
    for part in schema.get("allOf", []):
        names += _properties(part)
    return names + (_properties({"$ref": schema["$ref"]}) if "$ref" in schema else [])


def _resolve(schema: dict) -> dict:
    if set(schema) != {"$ref"}:
        return schema
    return yaml.load(SCHEMA.read_text(), LOADER)["$defs"][schema["$ref"].rsplit("/", 1)[-1]]


def _number(text: str) -> str | None:
    """Return a number as YAML 1.1 needs it written, for text that looks like one (`1e-4`); None for other text."""
    match = re.fullmatch(r"([+-]?\d+)(\.\d*)?[eE]([+-]?)(\d+)", text)
    if match:
        whole, decimals, sign, exponent = match.groups()
        return f"{whole}{decimals if decimals and decimals != '.' else '.0'}e{sign or '+'}{exponent}"
    return text if re.fullmatch(r"[+-]?\d+(\.\d*)?", text) else None


def _as_number(text: str) -> str:
    """Return the advice for a number that was read as text."""
    if _number(text) == text:
        return "write it without quotes, in a file for --configfile; inside brackets, --config reads everything as text"
    return f"YAML reads a number as {_number(text)}"


def _either(types: str | list[str]) -> str:
    words = {
        "array": "a list",
        "object": "a mapping",
        "string": "text",
        "integer": "a whole number",
        "number": "a number",
        "boolean": "true or false",
        "null": "null",
    }
    return " or ".join(words[name] for name in ([types] if isinstance(types, str) else types))


def _suggest(name: object, known: Iterable[object]) -> str:
    close = difflib.get_close_matches(str(name), list(map(str, known)), n=1)
    return f" (did you mean {close[0]}?)" if close else ""


def fill(root: dict, schema: dict, value: object) -> None:
    """Fill the defaults of `schema` into `value`, in place, along the branches that `value` takes."""
    if "$ref" in schema:
        fill(root, root["$defs"][schema["$ref"].rsplit("/", 1)[-1]], value)
    for part in schema.get("allOf", []):
        fill(root, part, value)
    if "if" in schema:
        fits = Draft202012Validator({**schema["if"], "$defs": root["$defs"]}).is_valid(value)
        fill(root, schema.get("then" if fits else "else", {}), value)
    if isinstance(value, dict):
        for name, property_schema in schema.get("properties", {}).items():
            if "default" in property_schema:
                value.setdefault(name, deepcopy(property_schema["default"]))
            if name in value:
                fill(root, property_schema, value[name])
        rest = schema.get("additionalProperties")
        if isinstance(rest, dict):
            for name in value.keys() - schema.get("properties", {}).keys():
                fill(root, rest, value[name])


def repeated_keys(file: Path) -> list[str]:
    """Return a line for each key that appears twice in one mapping of a YAML file."""
    repeated = []

    def mapping(loader: LOADER, node: yaml.MappingNode) -> dict:
        seen = set()
        for key, _ in node.value:
            if key.tag == "tag:yaml.org,2002:str" and key.value in seen:
                repeated.append(
                    f"{key.value}: appears twice in one mapping of {file} (line {key.start_mark.line + 1}); keep one"
                )
            seen.add(key.value)
        return LOADER.construct_mapping(loader, node, deep=True)

    loader = type("StrictLoader", (LOADER,), {})
    loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, mapping)
    yaml.load(file.read_text(), Loader=loader)
    return repeated


# Mistakes that no schema can find -------------------------------------------------------------------------------------


def _contradictions(config: dict) -> Iterator[str]:
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
    sizes = list(_sizes(config))
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
            expected = f"expected one of {', '.join(known)}{_suggest(name, known)}"
            yield f"{key}: {name} is not in the catalogue; {expected}"


def _sizes(config: dict) -> Iterator[str]:
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
    yield from _larger_than_corpus(config, names)


def _larger_than_corpus(config: dict, names: dict[str, str | int]) -> Iterator[str]:
    """Find sizes that the corpus cannot fill, as far as this is known before the corpus is fetched and tokenized."""
    name = config["corpus"]
    corpus = config["catalogue"]["corpora"].get(name)
    if corpus is None:
        return
    try:
        capacity, remedy = _capacity(config, corpus)
    except ValueError as error:
        yield f"catalogue.corpora.{name}.words: {error}"
        return
    for size, spelling in names.items():
        if (grid.parse_size(size) or 0) > capacity:
            yield (
                f"sizes: {spelling} is more than the corpus {name} holds, at most {capacity} tokens after the held-out"
                f" text; use all, a smaller size, or more {remedy}"
            )


def _capacity(config: dict, corpus: dict) -> tuple[float, str]:
    """Return an upper bound on the tokens of a corpus, and what the user could add to raise it.

    The bound is exact if the corpus has been packed. Otherwise each word or punctuation mark of the embedded language
    counts as one token, and each byte of other text.
    """
    packed = _packed(config)
    if packed is not None:
        return packed, "text"
    if corpus["source"] == "generator":
        words = grid.parse_size(corpus["words"])
        held_out = config["data"]["held_out_words"]
        if not words or words <= held_out:
            raise ValueError(f"{corpus['words']} leaves nothing after data.held_out_words: {held_out}; use more words")
        # The last document may exceed the number of words.
        return words + 200 - held_out, "words of it"
    texts = [Path(file) for file in user_files.find_corpus_files(config, config["corpus"], "files")]
    if not texts or any(file.suffix in (".gz", ".parquet") for file in texts):
        return float("inf"), ""
    return sum(file.stat().st_size for file in texts), "files"


def _packed(config: dict) -> int | None:
    """Return the training tokens of the packed corpus; None unless the recipes of this configuration packed it."""
    # Imported here: steps are derived from configurations.
    from gridlaw.workflow.kinds import data

    corpus, tokenizer = config["corpus"], config["data"]["tokenizer"]
    expected = {
        data.CORPUS.file("record", corpus): data.CORPUS.recipe(config, corpus),
        data.SEGMENTS.file("record", corpus): data.SEGMENTS.recipe(config),
    }
    if tokenizer in config["catalogue"]["tokenizers"]:
        expected[data.TOKENIZER.file("record", corpus, tokenizer)] = data.TOKENIZER.recipe(config, tokenizer)
    try:
        used = [json.loads(Path(file).read_text())["recipe"] for file in expected]
        manifest = json.loads(Path(data.PACK.file("manifest", corpus, tokenizer)).read_text())
    except (OSError, ValueError, KeyError):
        return None
    same = all(map(recipe.same, used, (resolved.values for resolved in expected.values())))
    return manifest["train"]["tokens"] if same else None


def _model(config: dict, name: str) -> Iterator[str]:
    model, key = config["catalogue"]["models"][name], f"catalogue.models.{name}"
    if "pretrained" in model:
        name = model["pretrained"]
        if user_files.is_local(name):
            if not Path(name, "config.json").is_file():
                yield MissingFile(
                    f"{key}.pretrained: {name} has no config.json; expected a folder written by save_pretrained"
                )
        elif not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", name):
            yield f"{key}.pretrained: {name} is not a hub repository; expected owner/name, or ./FOLDER for a local one"
        return
    yield from (f"{key}.{line}" for line in families.problems(model))
    tokenizers = config["catalogue"]["tokenizers"]
    if "tokenizer" in model and model["tokenizer"] not in tokenizers:
        yield from _unknown_names(f"{key}.tokenizer", [model["tokenizer"]], tokenizers)
    elif hyperparameters.tokenizer_of(config, name) is None:
        yield (
            f"{key}: {model['model_type']} needs a {families.tokenizer(model['model_type'])} tokenizer, and"
            " catalogue.tokenizers has none; add one, or choose another with tokenizer:"
        )
    if config["corpus"] is None:
        yield f"corpus: null, but {name} is trained from scratch and needs a corpus for its vocabulary"
    positions = model["shape"]["max_position_embeddings"]
    longest = {"data.row_length": config["data"]["row_length"]}
    longest |= {
        f"finetune.max_length ({task})": hyperparameters.finetune_parameters(config, name, task)["max_length"]
        for task in config["tasks"]
    }
    for source, length in longest.items():
        if length > positions:
            yield (
                f"{key}.shape.max_position_embeddings: {positions} is less than {source}: {length};"
                f" use {length} or more"
            )
            break


def _attention(config: dict, name: str) -> Iterator[str]:
    """Check that the implementation of attention exists for the family and for the precision."""
    family = config["catalogue"]["models"][name].get("model_type")
    uses = [("pretrain", hyperparameters.pretrain_parameters(config, name))]
    uses += [("finetune", hyperparameters.finetune_parameters(config, name, task)) for task in config["tasks"]]
    for section, parameters in uses:
        key, attention, precision = f"{section}.attention ({name})", parameters["attention"], parameters["precision"]
        if family in families.EAGER and attention in ("sdpa", "flash_attention_2"):
            yield f"{key}: transformers has no {attention} for {family}; use auto or eager"
        elif attention == "flash_attention_2" and precision not in ("auto", "bf16"):
            yield f"{key}: flash_attention_2 computes in bf16, not {precision}; use precision: bf16 or auto"


def _task(config: dict, name: str) -> Iterator[str]:
    task, key = config["catalogue"]["tasks"][name], f"catalogue.tasks.{name}"
    if task["source"] == "generator":
        sizes = [size for model in config["models"] for size in _train_examples(config, model, name)]
        if max(sizes, default=0) > task["train_size"]:
            yield f"{key}.train_size: {task['train_size']} is less than finetune.train_examples: {max(sizes)}"
    for_regression = {"pearson", "spearman"}
    for metric in task["metrics"]:
        if (metric in for_regression) != (task["kind"] == "regression"):
            yield f"{key}.metrics: {metric} does not fit kind: {task['kind']}"
    if task["source"] == "files":
        for split in [task["train"], *task["validation"]]:
            if split not in task["files"]:
                yield f"{key}.files: no file for the split {split}; expected {split}: PATH"
            elif not Path(task["files"][split]).is_file():
                yield MissingFile(f"{key}.files.{split}: {task['files'][split]} does not exist")


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
    if config["corpus"] is not None:
        corpus = config["catalogue"]["corpora"][config["corpus"]]
        for pattern in [*corpus.get("files", []), *corpus.get("held_out_files", [])]:
            if not user_files.find_matching([pattern]):
                yield MissingFile(f"catalogue.corpora.{config['corpus']}.files: nothing matches {pattern}")
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
