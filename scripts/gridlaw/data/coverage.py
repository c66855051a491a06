"""The share of a text that a tokenizer does not know, which is lost to a model.

WordPiece turns a whole word into one unknown token, however long it is, so a share of tokens hides the loss. The
measure is therefore the share of the text's characters, without white space, that lie in unknown tokens.
"""

from __future__ import annotations

import numpy as np

from gridlaw import cli
from gridlaw.words import percent

# Share of characters from which on a loss is mentioned, and above which nothing is worth training.
NOTABLE, MOST = 0.02, 0.5
# Texts that are tokenized at once.
BATCH = 8192


class Coverage:
    """Counts the part of a text that a tokenizer does not know.

    Args:
        tokenizer: one of transformers.
    """

    def __init__(self, tokenizer):
        self._unknown, self._has_offsets = tokenizer.unk_token_id, tokenizer.is_fast
        self._tokens = self._characters = self._unknown_tokens = self._unknown_characters = 0

    def add(self, texts: list[str], encoded) -> None:
        """Count some texts.

        Args:
            texts: the texts.
            encoded: what the tokenizer returned for them, without special tokens and not truncated.
        """
        for index, (text, ids) in enumerate(zip(texts, encoded["input_ids"], strict=True)):
            self._tokens += len(ids)
            self._characters += _count_visible(text)
            if self._unknown in ids:
                self._unknown_tokens += ids.count(self._unknown)
                if self._has_offsets:
                    spans = zip(ids, encoded.encodings[index].offsets, strict=True)
                    self._unknown_characters += sum(
                        _count_visible(text[start:end]) for token, (start, end) in spans if token == self._unknown
                    )

    def shares(self) -> dict[str, float]:
        """Return the unknown share of `tokens` and of `characters`; a slow tokenizer has no offsets to count these."""
        tokens = self._unknown_tokens / max(1, self._tokens)
        characters = self._unknown_characters / max(1, self._characters)
        return {"tokens": tokens, "characters": characters if self._has_offsets else tokens}


def of_examples(columns: list[list[str]], max_length: int, tokenizer) -> dict[str, object]:
    """Return what a model does not see of a task's examples.

    Args:
        columns: the texts of each column, one for each example.
        max_length: largest number of tokens of an example, special tokens included.

    Returns:
        the number of `examples`; `unknown`, the unknown shares of all texts; and `truncated`, the share of examples
        with more tokens.
    """
    known = Coverage(tokenizer)
    lengths = np.full(len(columns[0]), tokenizer.num_special_tokens_to_add(pair=len(columns) > 1))
    for column in columns:
        for start in range(0, len(column), BATCH):
            texts = column[start : start + BATCH]
            encoded = tokenizer(texts, add_special_tokens=False, return_attention_mask=False, verbose=False)
            known.add(texts, encoded)
            lengths[start : start + BATCH] += list(map(len, encoded["input_ids"]))
    return {
        "examples": len(lengths),
        "unknown": known.shares(),
        "truncated": float((lengths > max_length).mean()),
    }


def judge(share: float, key: str, text: str, remedy: str) -> list[str]:
    """Return a line on the unknown share of a text's characters, if it is notable.

    Args:
        share: the share.
        key: of the configuration, which names the tokenizer or the text.
        text: what the text is.
        remedy: what would help.

    Raises:
        Failure: most of the text is unknown.
    """
    line = f"{key}: {percent(share)} of the characters of {text} are unknown to the tokenizer; {remedy}"
    if share > MOST:
        raise cli.Failure(line)
    return [line] if share >= NOTABLE else []


def _count_visible(text: str) -> int:
    return sum(map(len, text.split()))
