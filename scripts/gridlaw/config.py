"""Validation of the configuration: a mistake is one line that names the key, what is wrong and what would be right."""

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

from gridlaw import families, files, grid, recipes

# The one written in C, where there is one, takes a tenth of the time.
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
SCHEMA = Path(__file__).resolve().parents[2] / "schemas" / "config.schema.yaml"


class Absent(str):
    """A mistake which is that a file of the user is not there."""

    __slots__ = ()


def load(overlays: Iterable[str | Path], absent: bool = False) -> dict:
    """The completed configuration as Snakemake would have it in the working directory.

    Args:
        overlays: files given with `--configfile`.
        absent: see `complete`.

    Raises:
        ValueError: something is wrong; one line for each mistake.
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
    """Put an overlay into a configuration: mappings merge, everything else is replaced."""
    for key, value in overlay.items():
        if isinstance(value, dict) and isinstance(config.get(key), dict):
            _merge(config[key], value)
        else:
            config[key] = deepcopy(value)


def complete(config: dict, files: Iterable[str | Path] = (), absent: bool = False) -> dict:
    """The configuration with the schema's defaults filled in and numbers in their normal form.

    Args:
        config: what Snakemake read from the files and `--config`.
        files: the configuration files, searched for keys that stand in them twice (YAML keeps only the last).
        absent: whether files of the user may be missing, as they are from an archive of results.

    Raises:
        ValueError: something is wrong; one line for each mistake.
    """
    schema = yaml.load(SCHEMA.read_text(), LOADER)
    wrong = [line for file in files for line in repeated_keys(Path(file))]
    wrong += mistakes(schema, config)
    if not wrong:
        config = recipes.normal(config)
        fill(schema, schema, config)
        wrong = [line for line in _contradictions(config) if not (absent and isinstance(line, Absent))]
    if wrong:
        raise ValueError("\n".join(f"config: {line}" for line in dict.fromkeys(wrong)))
    return config


# What the schema says ------------------------------------------------------------------------------------------------


def mistakes(schema: dict, content: object) -> list[str]:
    """What a schema finds wrong in what a file says; a line for each."""
    return [line for error in _innermost(Draft202012Validator(schema).iter_errors(content)) for line in _lines(error)]


def _innermost(errors: Iterable[ValidationError]) -> Iterator[ValidationError]:
    """Leaf errors: of the branches of a oneOf the one that got furthest."""
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
    says = error.schema.get("description", "")
    right = f"; right would be {says}" if says else ""
    match error.validator:
        case "required":
            missing = next(name for name in rule if name not in error.instance)
            return f"{key}.{missing}: missing; it must be given".removeprefix("the configuration.")
        case "type" if isinstance(error.instance, str) and _number(error.instance) and rule in ("number", "integer"):
            return f"{key}: {value} is text, not a number; {_as_number(error.instance)}"
        case "type" if error.instance is None:
            return f"{key}: empty; it must be {_either(rule)}{right}"
        case "type":
            return f"{key}: {value} is not {_either(rule)}{right}"
        case "enum":
            known = ", ".join(map(str, rule))
            return f"{key}: {value} is unknown; right would be one of {known}{_suggest(error.instance, rule)}"
        case "minItems":
            return f"{key}: empty; list at least {'one' if rule == 1 else rule}{right}"
        case "uniqueItems":
            twice = next(item for item in error.instance if error.instance.count(item) > 1)
            return f"{key}: {twice} stands there twice; each may be listed once"
        case "pattern" if "propertyNames" in error.absolute_schema_path:
            return f"{key}.{error.instance}: not safe as a name; right would be {says}"
        case "minimum":
            return f"{key}: {value} is too small; the least is {rule}{right}"
        case "exclusiveMinimum":
            return f"{key}: {value} is too small; it must be above {rule}{right}"
        case "maximum":
            return f"{key}: {value} is too large; the most is {rule}{right}"
        case "exclusiveMaximum":
            return f"{key}: {value} is too large; it must be below {rule}{right}"
        case _:
            return f"{key}: {value} will not do{right}"


def _unknown_keys(error: ValidationError) -> list[str]:
    """A line for each key that the schema does not name; a known key that is wrong in itself has its own error."""
    known = _properties(error.schema)
    paths = {name: ".".join(map(str, [*error.absolute_path, name])) for name in error.instance if name not in known}
    right = ", ".join(sorted(known))
    return [
        f"{path}: unknown key; right would be one of {right}{_suggest(name, known)}" for name, path in paths.items()
    ]


def _properties(schema: dict) -> list[str]:
    """Names that a schema's properties, and those of the schemas it is composed of, allow."""
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
    """How YAML 1.1 wants a number written that it reads as text (`1e-4`), if it is one."""
    match = re.fullmatch(r"([+-]?\d+)(\.\d*)?[eE]([+-]?)(\d+)", text)
    if match:
        whole, decimals, sign, exponent = match.groups()
        return f"{whole}{decimals if decimals and decimals != '.' else '.0'}e{sign or '+'}{exponent}"
    return text if re.fullmatch(r"[+-]?\d+(\.\d*)?", text) else None


def _as_number(text: str) -> str:
    """How to give a number that was read as text."""
    if _number(text) == text:
        return "write it without quotes, and in a file for --configfile: within brackets of --config all is text"
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
    close = difflib.get_close_matches(str(name), [str(one) for one in known], n=1)
    return f" (did you mean {close[0]}?)" if close else ""


def fill(root: dict, schema: dict, value: object) -> None:
    """Put the defaults of `schema` into `value`, in place, following only the branches that `value` takes."""
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
    """Keys that stand twice in one mapping of a YAML file; a line for each."""
    repeated = []

    def mapping(loader: LOADER, node: yaml.MappingNode) -> dict:
        seen = set()
        for key, _ in node.value:
            if key.tag == "tag:yaml.org,2002:str" and key.value in seen:
                repeated.append(
                    f"{key.value}: stands twice in one mapping of {file} (line {key.start_mark.line + 1}); keep one"
                )
            seen.add(key.value)
        return LOADER.construct_mapping(loader, node, deep=True)

    loader = type("StrictLoader", (LOADER,), {})
    loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, mapping)
    yaml.load(file.read_text(), Loader=loader)
    return repeated


# What no schema can say ----------------------------------------------------------------------------------------------


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
            right = f"right would be one of {', '.join(known)}{_suggest(name, known)}"
            yield f"{key}: {name} is not in the catalogue; {right}"


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
    warmups |= {f"pretrain.per_model.{model}": own for model, own in config["pretrain"]["per_model"].items()}
    for key, section in warmups.items():
        try:
            grid.parse_size(section.get("warmup_tokens", 0))
        except ValueError as error:
            yield f"{key}.warmup_tokens: {error}"
    yield from _larger_than_corpus(config, names)


def _larger_than_corpus(config: dict, names: dict[str, str | int]) -> Iterator[str]:
    """Sizes that the corpus cannot fill, as far as that is plain before it is fetched and tokenised."""
    name = config["corpus"]
    corpus = config["catalogue"]["corpora"].get(name)
    if corpus is None:
        return
    try:
        most, more = _capacity(config, corpus)
    except ValueError as error:
        yield f"catalogue.corpora.{name}.words: {error}"
        return
    for size, written in names.items():
        if (grid.parse_size(size) or 0) > most:
            yield (
                f"sizes: {written} is more than the corpus {name} holds, at most {most} tokens after the held-out text;"
                f" right would be all, a smaller size, or more {more}"
            )


def _capacity(config: dict, corpus: dict) -> tuple[float, str]:
    """No more tokens than these can be in a corpus, and where more could be asked for.

    A corpus that was packed already is known. Else a word or mark of the embedded language is one token where the
    vocabulary holds it, and a token of any text has at least one byte.
    """
    packed = _packed(config)
    if packed is not None:
        return packed, "text"
    if corpus["source"] == "generator":
        words = grid.parse_size(corpus["words"])
        held_out = config["data"]["held_out_words"]
        if not words or words <= held_out:
            raise ValueError(
                f"{corpus['words']} leaves nothing after data.held_out_words: {held_out}; right would be more"
            )
        # The last document may run over.
        return words + 200 - held_out, "words of it"
    texts = [Path(file) for file in files.of_corpus(config, config["corpus"], "files")]
    if not texts or any(file.suffix in (".gz", ".parquet") for file in texts):
        return float("inf"), ""
    return sum(file.stat().st_size for file in texts), "files"


def _packed(config: dict) -> int | None:
    """Training tokens of the corpus as it was packed in this folder, if by the recipes of this configuration."""
    corpus, tokenizer = config["corpus"], config["data"]["tokenizer"]
    steps = {f"corpus/{corpus}": recipes.corpus(config, corpus), f"segments/{corpus}": recipes.segments(config)}
    if tokenizer in config["catalogue"]["tokenizers"]:
        steps[f"tokenizer/{corpus}/{tokenizer}"] = recipes.tokenizer(config, tokenizer)
    try:
        made = [json.loads(Path("resources", step, "record.json").read_text())["recipe"] for step in steps]
        manifest = json.loads(Path("resources/pack", corpus, tokenizer, "manifest.json").read_text())
    except (OSError, ValueError, KeyError):
        return None
    same = all(
        recipes.canonical(one) == recipes.canonical(other) for one, other in zip(made, steps.values(), strict=True)
    )
    return manifest["train"]["tokens"] if same else None


def _model(config: dict, name: str) -> Iterator[str]:
    model, key = config["catalogue"]["models"][name], f"catalogue.models.{name}"
    if "pretrained" in model:
        name = model["pretrained"]
        if files.is_local(name):
            if not Path(name, "config.json").is_file():
                yield Absent(
                    f"{key}.pretrained: {name} is no folder with a config.json; right would be one of save_pretrained"
                )
        elif not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", name):
            yield f"{key}.pretrained: {name} is no hub repository; right would be owner/name, or ./ and a folder"
        return
    yield from (f"{key}.{line}" for line in families.problems(model))
    tokenizers = config["catalogue"]["tokenizers"]
    if "tokenizer" in model and model["tokenizer"] not in tokenizers:
        yield from _unknown_names(f"{key}.tokenizer", [model["tokenizer"]], tokenizers)
    elif recipes.tokenizer_of(config, name) is None:
        yield (
            f"{key}: {model['model_type']} wants a {families.tokenizer(model['model_type'])} tokenizer and"
            " catalogue.tokenizers has none; add one, or name another with tokenizer:"
        )
    if config["corpus"] is None:
        yield f"corpus: null, but {name} is trained from scratch and needs a corpus for its vocabulary"
    positions = model["shape"]["max_position_embeddings"]
    longest = {"data.row_length": config["data"]["row_length"]}
    longest |= {
        f"finetune.max_length ({task})": recipes.finetune_parameters(config, name, task)["max_length"]
        for task in config["tasks"]
    }
    for source, length in longest.items():
        if length > positions:
            yield (
                f"{key}.shape.max_position_embeddings: {positions} is less than {source}: {length};"
                f" right would be {length} or more"
            )
            break


def _attention(config: dict, name: str) -> Iterator[str]:
    """An implementation of attention must be there for the family, and for the precision."""
    family = config["catalogue"]["models"][name].get("model_type")
    uses = [("pretrain", recipes.pretrain_parameters(config, name))]
    uses += [("finetune", recipes.finetune_parameters(config, name, task)) for task in config["tasks"]]
    for section, parameters in uses:
        key, attention, precision = f"{section}.attention ({name})", parameters["attention"], parameters["precision"]
        if family in families.EAGER and attention in ("sdpa", "flash_attention_2"):
            yield f"{key}: transformers has no {attention} for {family}; right would be auto or eager"
        elif attention == "flash_attention_2" and precision not in ("auto", "bf16"):
            yield f"{key}: flash_attention_2 computes in bf16, not {precision}; right would be precision: bf16 or auto"


def _task(config: dict, name: str) -> Iterator[str]:
    task, key = config["catalogue"]["tasks"][name], f"catalogue.tasks.{name}"
    if task["source"] == "generator":
        wanted = [size for model in config["models"] for size in _train_examples(config, model, name)]
        if max(wanted, default=0) > task["train_size"]:
            yield f"{key}.train_size: {task['train_size']} is less than finetune.train_examples: {max(wanted)}"
    suited = {"pearson", "spearman"}
    for metric in task["metrics"]:
        if (metric in suited) != (task["kind"] == "regression"):
            yield f"{key}.metrics: {metric} does not fit kind: {task['kind']}"
    if task["source"] == "files":
        for split in [task["train"], *task["validation"]]:
            if split not in task["files"]:
                yield f"{key}.files: no file for the split {split}; right would be {split}: PATH"
            elif not Path(task["files"][split]).is_file():
                yield Absent(f"{key}.files.{split}: {task['files'][split]} does not exist")


def _train_examples(config: dict, model: str, task: str) -> list[int]:
    sizes = recipes.finetune_parameters(config, model, task)["train_examples"]
    return [size for size in sizes if size != "all"]


def _cells(config: dict) -> Iterator[str]:
    cells = list(grid.cells(config))
    if not cells:
        yield "exclude: leaves no cell of the grid; exclude less"
    node = config["gpus_per_node"]
    for gpus in sorted({cell.gpus for cell in cells if node and cell.gpus > node and cell.gpus % node}):
        yield f"gpus: {gpus} ranks cannot be spread equally over nodes of {node} (gpus_per_node); right is a multiple"
    trained = [cell for cell in cells if grid.parse_size(cell.size) != 0]
    if trained and config["corpus"] is None:
        yield f"corpus: null, but size {trained[0].size} needs text; name a corpus, or list only size 0"
    if config["corpus"] is not None:
        corpus = config["catalogue"]["corpora"][config["corpus"]]
        for pattern in [*corpus.get("files", []), *corpus.get("held_out_files", [])]:
            if not files.matching([pattern]):
                yield Absent(f"catalogue.corpora.{config['corpus']}.files: nothing matches {pattern}")
    if config["pretrain"]["scaling"] == "strong":
        for model, gpus in sorted({(cell.model, cell.gpus) for cell in trained}):
            batch = recipes.pretrain_parameters(config, model)["batch_size"]
            if batch % gpus:
                own = "batch_size" in config["pretrain"]["per_model"].get(model, {})
                key = f"pretrain.per_model.{model}.batch_size" if own else "pretrain.batch_size"
                yield (
                    f"{key}: {batch} rows cannot be shared equally by {gpus} ranks; right would be a multiple of {gpus}"
                )
    yield from _schedules(config, trained)
    yield from _scores(config, cells)


def _schedules(config: dict, trained: list[grid.Cell]) -> Iterator[str]:
    """A trunk reads a slice once, and a warm-up must leave something of the smallest size."""
    for model in dict.fromkeys(cell.model for cell in trained):
        parameters = recipes.pretrain_parameters(config, model)
        trunk = parameters["schedule"] == "trunk"
        own = config["pretrain"]["per_model"].get(model, {})
        key = {name: f"pretrain.per_model.{model}.{name}" if name in own else f"pretrain.{name}" for name in parameters}
        if trunk and parameters["passes"] > 1:
            yield (
                f"{key['passes']}: {parameters['passes']} passes over a slice share no trunk with other sizes;"
                " right would be 1, or schedule: independent"
            )
        warmup = parameters["warmup_tokens"]
        if warmup is None:
            yield f"{key['warmup_tokens']}: all is no number of tokens; right would be such as 64k"
            continue
        sizes = [grid.parse_size(cell.size) for cell in trained if cell.model == model and cell.size != grid.ALL]
        smallest = min(sizes, default=float("inf"))
        before_decay = smallest * (1 - parameters["decay_ratio"] if trunk else parameters["passes"])
        if warmup >= before_decay:
            yield (
                f"{key['warmup_tokens']}: {grid.size_name(warmup)} leaves nothing of the"
                f" {grid.size_name(int(before_decay))} tokens that size {grid.size_name(smallest)} is trained on"
                f"{' before its decay' if trunk else ''}; right would be fewer, or larger sizes"
            )


def _scores(config: dict, cells: list[grid.Cell]) -> Iterator[str]:
    chosen = config["finetune"]["gpus"]
    if chosen == "all":
        return
    scored = {cell[:2] for cell in cells if cell.gpus in chosen}
    for cell in cells:
        if cell[:2] not in scored:
            have = sorted({other.gpus for other in cells if other[:2] == cell[:2]})
            yield (
                f"finetune.gpus: {chosen} leaves {cell.model} at size {cell.size} without a fine-tuning,"
                f" its cells have gpus {have}; add one of them, or write all"
            )
            return
    if config["pretrain"]["scaling"] == "weak" and set(chosen) != {cell.gpus for cell in cells}:
        yield "finetune.gpus: in weak scaling every gpus value trains another model; right would be all"
