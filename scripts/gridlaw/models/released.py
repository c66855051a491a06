"""Released checkpoints: the files that belong to one, and mistakes that its files show before a model is made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fnmatch import fnmatch
from pathlib import Path

from gridlaw import io
from gridlaw.models import family

CONFIG, WEIGHTS, INDEX = "config.json", "model.safetensors", "model.safetensors.index.json"
# Files with the vocabulary of a tokenizer, by the names that transformers gives them.
VOCABULARIES = (
    "tokenizer.json", "vocab.txt", "vocab.json", "spm.model", "spiece.model", "sentencepiece.bpe.model",
    "sentencepiece.model", "tokenizer.model", "tiktoken.model", "spm_char.model", "prophetnet.tokenizer",
    "byte_maps.json", "source.spm", "vocab-src.json",
)  # fmt: skip
# Their other files. A tokenizer may have several versions of tokenizer.json, for versions of transformers.
TOKENIZER = (
    *VOCABULARIES, "tokenizer.*.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
    "merges.txt", "bpe.codes", "dict.txt", "emoji.json", "entity_vocab.json", "normalizer.json",
    "word_pronunciation.json", "word_shape.json", "target.spm", "target_vocab.json", "vocab-tgt.json",
)  # fmt: skip
# Tokenizers of transformers that read bytes or characters, and have no vocabulary.
WITHOUT_VOCABULARY = ("ByT5Tokenizer", "CanineTokenizer", "PerceiverTokenizer")
# Files that may hold weights in other formats.
OTHER_WEIGHTS = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.h5", "*.msgpack")
# Families that number positions from the id of the padding token plus one.
COUNT_FROM_PADDING = {
    "roberta", "camembert", "data2vec-text", "esm", "ibert", "longformer", "luke", "mpnet", "roberta-prelayernorm",
    "xlm-roberta", "xlm-roberta-xl", "xmod",
}  # fmt: skip
# What decides the longest sequence.
POSITIONS = ("model_type", "max_position_embeddings", "position_biased_input", "pad_token_id")
# The configuration key of the length of the rows that the corpus is packed into.
ROW_LENGTH = "data.row_length"
# Without its file, transformers makes some tokenizers of their special tokens and one or two others.
SMALLEST_VOCABULARY = 5
LFS = b"version https://git-lfs"


def list_files(folder: str | Path) -> list[str]:
    """Return the names of the files of a checkpoint in a folder that also contains others, sorted.

    Weights are one file, or shards with their index; transformers takes the single file if both are there.
    """
    folder = Path(folder)
    wanted = {CONFIG, *list_weights(folder), *(set() if (folder / WEIGHTS).is_file() else {INDEX})}
    present = (file.name for file in folder.glob("*") if file.is_file())
    return sorted(name for name in present if name in wanted or is_of_tokenizer(name))


def list_weights(folder: Path) -> list[str]:
    """Return the names of the files with the weights, sorted, whether they are there or not."""
    if (folder / WEIGHTS).is_file():
        return [WEIGHTS]
    names = (io.find_json(folder / INDEX) or {}).get("weight_map", {})
    return sorted(set(map(str, names.values()))) if isinstance(names, dict) else []


def is_of_tokenizer(name: str) -> bool:
    """Return whether a file belongs to a tokenizer."""
    return any(fnmatch(name, pattern) for pattern in TOKENIZER)


def problems(folder: str | Path, name: str) -> Iterator[str]:
    """Yield a line for each mistake in the files of a checkpoint.

    Args:
        folder: the folder of the files.
        name: the name that the user gave to the checkpoint.
    """
    folder = Path(folder)
    fields = io.find_json(folder / CONFIG)
    if fields is None:
        yield f"{name}{_without_configuration(folder)}"
        return
    yield from (f"{name} {line}" for line in _class_problems(fields))
    entries = [file for file in sorted(folder.iterdir()) if not file.is_dir()]
    yield from (
        f"{name}/{file.name} is a link to {file.readlink()}, which is not there; expected the file"
        for file in entries
        if file.is_symlink() and not file.exists() and (file.name in (WEIGHTS, INDEX) or is_of_tokenizer(file.name))
    )
    yield from (f"{name}/{line}" for file in list_files(folder) for line in _file_problems(folder / file))
    yield from (f"{name} {line}" for line in _weight_problems(folder, fields))
    if not any(file.name in VOCABULARIES for file in entries) and not _has_no_vocabulary(folder):
        yield (
            f"{name} has no tokenizer; expected tokenizer.json (or vocab.txt, spm.model, sentencepiece.bpe.model ...)"
            " beside the weights"
        )


def _without_configuration(folder: Path) -> str:
    if (folder / CONFIG).is_file():
        return f"/{next(_file_problems(folder / CONFIG))}"
    if (folder / "adapter_config.json").is_file():
        return " is an adapter without its model; merge the two with merge_and_unload of PEFT, and save the result"
    inner = sorted(file.parent.name for file in folder.glob(f"*/{CONFIG}"))
    there = f"; the folder {inner[0]} in it has" if inner else ""
    return f" has no {CONFIG}{there}; expected a folder written by save_pretrained"


def _class_problems(fields: dict) -> Iterator[str]:
    kind = fields.get("model_type")
    if not isinstance(kind, str):
        yield f"has a {CONFIG} without model_type; expected the name of its family in transformers, such as bert"
    elif not family.has_masked_lm(kind):
        if "auto_map" in fields:
            yield "is defined by code of its own (auto_map), which is never run; expected a model of transformers"
        else:
            yield f"is a {kind}, of which transformers has no masked-LM model; expected an encoder such as bert"
    elif "quantization_config" in fields:
        yield "has quantized weights, which cannot be trained; expected weights in fp32, fp16 or bf16"


def _file_problems(file: Path) -> Iterator[str]:
    try:
        with open(file, "rb") as stream:
            start = stream.read(len(LFS))
    except OSError as error:
        yield f"{file.name} cannot be read: {error.strerror}"
        return
    if not start:
        yield f"{file.name} is empty; fetch it again"
    elif start == LFS:
        yield f"{file.name} is a Git LFS pointer; fetch its content with git lfs pull"
    elif file.suffix == ".safetensors":
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(file, "numpy"):
                pass
        except SafetensorError as error:
            yield f"{file.name} is damaged or incomplete ({error}); fetch it again"
    elif file.suffix == ".json" and io.find_json(file) is None:
        yield f"{file.name} is not a JSON object; fetch it again"


def _weight_problems(folder: Path, fields: dict) -> Iterator[str]:
    weights = list_weights(folder)
    missing = [file for file in weights if not (folder / file).is_file()]
    if any(Path(file).name != file for file in weights):
        yield f"has a {INDEX} that names files outside of the folder; expected shards beside it"
    elif missing:
        yield f"lacks {missing[0]}, {len(missing)} of the {len(weights)} shards of {INDEX}; fetch them again"
    elif not weights:
        yield _without_weights(folder, fields)


def _without_weights(folder: Path, fields: dict) -> str:
    saving = f"{(fields.get('architectures') or ['AutoModelForMaskedLM'])[0]}.from_pretrained(...).save_pretrained(...)"
    others = sorted(file.name for pattern in OTHER_WEIGHTS for file in folder.glob(pattern))
    if (folder / INDEX).is_file():
        return f"has a {INDEX} without a weight_map; expected what {saving} of transformers writes"
    if any(folder.glob("*.safetensors")):
        return f"has weights in safetensors, but neither {WEIGHTS} nor {INDEX}; expected one of these names"
    if others:
        return (
            f"has its weights in {others[0]}, a format that is not read, because some run code; expected safetensors,"
            f" which {saving} of transformers writes"
        )
    return f"has no weights in safetensors; expected {WEIGHTS}, which {saving} of transformers writes"


def _has_no_vocabulary(folder: Path) -> bool:
    settings = io.find_json(folder / "tokenizer_config.json") or {}
    return settings.get("tokenizer_class") in WITHOUT_VOCABULARY


def misfits(folder: str | Path, name: str, lengths: dict[str, int]) -> Iterator[str]:
    """Yield a line for each mistake that transformers finds in the configuration and the tokenizer of a checkpoint.

    Args:
        folder, name: see `problems`.
        lengths: see `too_long`.
    """
    from transformers import AutoConfig, AutoTokenizer

    # Whatever a damaged file leads to is the file's mistake.
    try:
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False).get_text_config()
    except Exception as error:
        yield f"{name} has a {CONFIG} that transformers cannot read: {one_line(error)}"
        return
    if fault := too_long({field: getattr(config, field, None) for field in POSITIONS}, lengths):
        yield f"{name} {fault}"
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        vocabulary = tokenizer.get_vocab()
    except Exception as error:
        yield f"{name} has a tokenizer that transformers cannot read: {one_line(error)}"
        return
    if len(vocabulary.keys() - set(tokenizer.all_special_tokens)) < SMALLEST_VOCABULARY:
        files = ", ".join(file for file in list_files(folder) if is_of_tokenizer(file))
        yield (
            f"{name} has a tokenizer without a vocabulary: a {type(tokenizer).__name__}, which transformers makes of"
            f" it, does not read {files}; expected the files that save_pretrained of its tokenizer writes"
        )
    rows, token = getattr(config, "vocab_size", None), max(vocabulary, key=vocabulary.get)
    if rows is not None and vocabulary[token] >= rows:
        yield (
            f"{name} has a tokenizer that numbers {token!r} {vocabulary[token]}, but a vocab_size of {rows};"
            f" expected numbers below {rows}, or resize_token_embeddings of the model before it is saved"
        )
    # Text to train on is packed into rows with all of them; fine-tuning pads only.
    needed = ("pad", "cls", "sep", "mask") if ROW_LENGTH in lengths else ("pad",)
    missing = [f"{kind}_token" for kind in needed if getattr(tokenizer, f"{kind}_token_id") is None]
    if missing:
        yield f"{name} has a tokenizer without {' and '.join(missing)}; expected it in its tokenizer_config.json"


def one_line(error: BaseException) -> str:
    """Return the message of an exception on one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]


def too_long(fields: Mapping[str, object], lengths: dict[str, int]) -> str | None:
    """Return what is wrong with the longest sequence that a checkpoint is to read; None if it has the positions.

    Args:
        fields: of its configuration.
        lengths: tokens of the sequences, by the configuration key that they come from.
    """
    positions = count_positions(fields)
    source, length = max(lengths.items(), key=lambda item: item[1], default=("", 0))
    if positions is None or length <= positions:
        return None
    return f"has {positions} positions, less than {source}: {length}; use {positions} or less there"


def count_positions(fields: Mapping[str, object]) -> int | None:
    """Return the longest sequence that a model can read; None if there is no limit, or it is not known."""
    positions = fields.get("max_position_embeddings")
    # DeBERTa without them has relative positions alone.
    if not isinstance(positions, int) or fields.get("position_biased_input") is False:
        return None
    if fields.get("model_type") not in COUNT_FROM_PADDING:
        return positions
    padding = fields.get("pad_token_id")
    return positions - (padding if isinstance(padding, int) else 1) - 1
