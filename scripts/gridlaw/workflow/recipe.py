"""Recipes: the configuration values that a step's result depends on, each with the key that it came from.

Snakemake compares the recipe (the rule's only parameter apart from `code`), the step's program receives it, and its
record repeats it. It contains nothing about other steps, whose results are inputs, and nothing that the result does not
depend on. Values with the same meaning have one spelling in it, and lists are sorted if their order has no meaning. Of
local files it contains a digest, because their age has no meaning.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Recipe:
    """The values of a step's recipe, and the configuration keys that they came from.

    Args:
        values: values that JSON can represent.
        keys: configuration keys by the dotted path of an entry (`model.shape`). The longest path that an entry's path
            begins with counts; the empty path is for all other entries. A key that ends with `.*` belongs to a mapping,
            and the rest of the entry's path follows.
    """

    values: dict
    keys: dict[str, str] = field(default_factory=dict)

    @classmethod
    def take(cls, config: dict, section: str, names: Iterable[str]) -> Recipe:
        """Return a recipe with entries of a section of the configuration, unchanged.

        Args:
            section: the section's dotted key.
        """
        content = config
        for name in section.split("."):
            content = content[name]
        names = list(names)
        return cls({name: content[name] for name in names}, {name: f"{section}.{name}.*" for name in names})

    def __or__(self, other: Recipe) -> Recipe:
        return Recipe(self.values | other.values, self.keys | other.keys)

    def key(self, path: tuple[str, ...]) -> str:
        """Return the configuration key of an entry, whether the recipe contains the entry or not."""
        for length in range(len(path), -1, -1):
            key = self.keys.get(".".join(path[:length]))
            if key is not None:
                rest = path[length:] if key.endswith(".*") else ()
                return ".".join([key.removesuffix(".*"), *rest])
        return ".".join(path)
