"""An estimate of the tokens of the user's text, from a sample of it, before it is fetched and tokenized."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from gridlaw.config import grid, user_files
from gridlaw.data import formats, segmentation
from gridlaw.words import short
from gridlaw.workflow import known

# Files of a sample, and bytes of each.
FILES, BYTES = 16, 1 << 16
# Tokens of a word: generous, for small vocabularies and languages of long words.
TOKENS_PER_WORD = 2.0


def doubts(config: dict) -> Iterator[str]:
    """Yield a line for each size that the corpus probably cannot fill; the count of `rule slice` is exact.

    Args:
        config: a completed configuration.
    """
    is_open = config["corpus"] and known.packed_tokens(config) is None
    tokens = estimated_tokens(config) if is_open else None
    for size in config["sizes"]:
        if tokens is not None and (grid.parse_size(size) or 0) > tokens:
            yield (
                f"sizes: {size} is probably more than the corpus {config['corpus']} holds, at most about"
                f" {short(tokens)} tokens; rule slice counts them, and refuses a size that is too large"
            )


def estimated_tokens(config: dict) -> float | None:
    """Return about how many tokens the text files of a corpus hold at most, without the held-out text.

    Returns:
        None if the text is not in plain files, or cannot be read.
    """
    files = user_files.find_corpus_files(config, config["corpus"], "files")
    if not files or any(map(formats.is_compressed, files)):
        return None
    read = words = 0
    with suppress(OSError):
        for file in files[:: -(-len(files) // FILES)]:
            with open(file, "rb") as stream:
                sample = stream.read(BYTES)
            read += len(sample)
            words += segmentation.count_words(sample.decode(errors="ignore"))
        total = words / max(1, read) * sum(Path(file).stat().st_size for file in files)
        is_reserved = "held_out_files" in config["catalogue"]["corpora"][config["corpus"]]
        return TOKENS_PER_WORD * max(0.0, total - (0 if is_reserved else config["data"]["held_out_words"]))
    return None
