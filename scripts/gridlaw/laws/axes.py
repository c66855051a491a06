"""Axes of laws: the symbol of each, the names of its coefficient and exponent, and the word for its unit."""

from __future__ import annotations

SYMBOLS = {"params": "N", "corpus_tokens": "D", "effective_tokens": "D"}
NAMES = {"params": ("A", "alpha"), "corpus_tokens": ("B", "beta"), "effective_tokens": ("B", "beta")}
WORDS = {"params": "params", "corpus_tokens": "tokens", "effective_tokens": "tokens"}
