"""Recipes: the configuration values that a step's result depends on, each with the key that it came from.

A recipe is what Snakemake compares (the rule's only parameter beside `code`), what the step's program is given, and
what its record repeats. It holds nothing of other steps, which are inputs, and nothing that a result does not depend
on. Values that are written differently and mean the same are the same in a recipe, and lists whose order means nothing
are sorted. Local files, whose age means nothing, stand in it with a digest of their content.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Recipe:
    """Values of a step's recipe, and the configuration keys that they came from.

    Args:
        values: as JSON holds them.
        keys: configuration keys by entry, as dotted paths (`model.shape`); the longest one that an entry begins with
            counts, and the empty one is for all others. A key that ends with `.*` is that of a mapping: the rest of the
            entry's path follows.
    """

    values: dict
    keys: dict[str, str] = field(default_factory=dict)

    @classmethod
    def take(cls, config: dict, section: str, names: Iterable[str]) -> Recipe:
        """Take entries of a section of the configuration as they are.

        Args:
            section: its dotted key.
        """
        content = config
        for name in section.split("."):
            content = content[name]
        names = list(names)
        return cls({name: content[name] for name in names}, {name: f"{section}.{name}.*" for name in names})

    def __or__(self, other: Recipe) -> Recipe:
        return Recipe(self.values | other.values, self.keys | other.keys)

    def key(self, path: tuple[str, ...]) -> str:
        """Return the configuration key that an entry came from, or would come from if it were there."""
        for length in range(len(path), -1, -1):
            key = self.keys.get(".".join(path[:length]))
            if key is not None:
                rest = path[length:] if key.endswith(".*") else ()
                return ".".join([key.removesuffix(".*"), *rest])
        return ".".join(path)
