"""Numbers, lists and names in words."""

from __future__ import annotations

from collections.abc import Iterable

METRICS = {
    "matthews_correlation": "Matthews correlation",
    "f1": "F1",
    "f1_macro": "macro F1",
    "pearson": "Pearson r",
    "spearman": "Spearman ρ",
}


def amount(number: float) -> str:
    """A number with two or three significant digits."""
    if number >= 1000:
        return f"{float(f'{number:.3g}'):,.0f}"
    return f"{number:.0f}" if number >= 100 else f"{number:.2g}"


def duration(seconds: float) -> str:
    """A time in its largest unit of which there are at least two."""
    for unit, name in ((365 * 86400, "years"), (86400, "days"), (3600, "h"), (60, "min")):
        if seconds >= 2 * unit:
            return f"{amount(seconds / unit)} {name}"
    return f"{amount(seconds)} s"


def size(number: float) -> str:
    """A number of bytes with its unit."""
    for unit, name in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB")):
        if number >= unit:
            return f"{amount(number / unit)} {name}"
    return f"{amount(number / 1e3)} kB"


def rank_time(hours: float) -> str:
    """Rank-hours; below one, rank-minutes."""
    number, unit = (amount(hours), "rank-hour") if hours >= 1 else (amount(hours * 60), "rank-minute")
    return f"{number} {unit}{'s' * (number != '1')}"


def short(number: float) -> str:
    """A number of tokens or parameters, such as 64k or 1M."""
    for factor, unit in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if number >= factor:
            return f"{number / factor:.3g}{unit}"
    return f"{number:g}"


def percent(share: float) -> str:
    """A share in per cent with two digits; a share below 1 is never rounded to 100 %, nor one above 0 to 0 %."""
    if 0.995 <= share < 1:
        return "more than 99 %"
    if 0 < share < 1e-5:
        return "less than 0.001 %"
    return f"{float(f'{100 * share:.2g}'):g} %"


def join_and(items: Iterable[object]) -> str:
    """Join items as a sentence does: `a, b and c`."""
    *first, last = map(str, items)
    return f"{', '.join(first)} and {last}" if first else last


def join_comma(items: Iterable[object]) -> str:
    """Join items by commas: `a, b, c`."""
    return ", ".join(map(str, items))


def count(number: int, thing: str, things: str | None = None) -> str:
    """A number of things: `1 cell`, `3 cells`.

    Args:
        things: the plural, if it is irregular.
    """
    return f"{number} {thing if number == 1 else things or thing + 's'}"


def interval(low: str, middle: str, high: str) -> str:
    """An estimate with its interval: `3 (2 to 5) h`, or `2 h (50 min to 4 h)` if the units differ.

    Args:
        low, middle, high: numbers with or without a unit after a space.
    """
    if low == high:
        return middle
    texts = low, middle, high
    units = {text.partition(" ")[2] for text in texts}
    if len(units) > 1:
        return f"{middle} ({low} to {high})"
    low, middle, high = (text.partition(" ")[0] for text in texts)
    return f"{middle} ({low} to {high}) {units.pop()}".rstrip()


def metric(name: str, positive: object = None) -> str:
    """The usual name of a metric.

    Args:
        positive: the class that it is of; missing (None, NaN) if there is none.
    """
    usual = METRICS.get(name, name.replace("_", " "))
    return f"{usual} of class {positive:.40}" if isinstance(positive, str) else usual


def caveat(diverged: int, untrained: int, runs: int) -> str:
    """The diverged and untrained runs of a mean in words: `1 of 3 runs diverged`; empty if there are none.

    Args:
        runs: all runs, those that diverged included.
    """
    numbers = {"diverged": diverged, "untrained": untrained}
    return ", ".join(f"{number} of {count(runs, 'run')} {name}" for name, number in numbers.items() if number)
