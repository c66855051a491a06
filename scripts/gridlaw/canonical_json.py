"""One form of JSON for values that mean the same, so that they can be compared as text."""

from __future__ import annotations

import json
from collections.abc import Mapping


def canonical(value: object) -> str:
    """Return JSON with sorted keys and normal numbers: `1.0` is `1`, and the order of keys does not matter."""
    return json.dumps(normal(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def normal(value: object) -> object:
    """Return a value with whole numbers as integers, whether they were written `1` or `1.0`."""
    if isinstance(value, Mapping):
        return {key: normal(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [normal(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def same(first: object, second: object) -> bool:
    """Return whether two recipes, or two entries of recipes, mean the same."""
    return canonical(first) == canonical(second)
