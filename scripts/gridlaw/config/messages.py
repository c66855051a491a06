"""Mistakes that a schema finds, in one line each: the key, what is wrong, and what was expected."""

from __future__ import annotations

import difflib
import json
import math
import re
from collections.abc import Iterable, Iterator

import yaml
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from gridlaw.config import schema

TYPES = {
    "array": "a list",
    "object": "a mapping",
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "null": "null",
}


def mistakes(root: dict, content: object) -> list[str]:
    """Return a line for each mistake that a schema finds in the content of a file, and for each infinity and NaN."""
    errors = _innermost(Draft202012Validator(root).iter_errors(content))
    by_schema = [line for error in errors if not _not_finite(error.instance) for line in _lines(root, error)]
    return [*_infinities(content), *by_schema]


def suggest(name: object, known: Iterable[object]) -> str:
    """Return the known name that a wrong one resembles, as a question; nothing if there is none."""
    close = difflib.get_close_matches(str(name), list(map(str, known)), n=1)
    return f" (did you mean {close[0]}?)" if close else ""


def _infinities(value: object, *path: object) -> Iterator[str]:
    """Yield a line for each number that is not finite. A schema lets NaN pass, which is neither too small nor large."""
    if isinstance(value, (dict, list)):
        for part, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _infinities(inner, *path, part)
    elif _not_finite(value):
        written, _ = yaml.safe_dump(value).split()
        yield f"{'.'.join(map(str, path))}: {written} is not a number; expected a finite number"


def _not_finite(value: object) -> bool:
    return isinstance(value, float) and not math.isfinite(value)


def _innermost(errors: Iterable[ValidationError]) -> Iterator[ValidationError]:
    """Yield the leaf errors; within a oneOf, only those of the branch that fits best.

    An anyOf is a value, or a mapping with one for each kind of model.
    """
    for error in errors:
        if error.validator == "anyOf":
            branch = int(isinstance(error.instance, dict))
            yield from _innermost(leaf for leaf in error.context if leaf.schema_path[0] == branch)
            continue
        if error.validator == "oneOf" and error.context:
            typed = [leaf for leaf in error.context if leaf.validator not in ("type", "const")]
            if typed:
                yield from _innermost(typed)
                continue
        yield error


def _lines(root: dict, error: ValidationError) -> list[str]:
    if error.validator in ("additionalProperties", "unevaluatedProperties"):
        return _unknown_keys(root, error)
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
            return f"{key}: {value} is unknown; expected one of {known}{suggest(error.instance, rule)}"
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


def _unknown_keys(root: dict, error: ValidationError) -> list[str]:
    """Return a line for each key that the schema does not name; wrong values of known keys have their own errors."""
    known = _properties(root, error.schema)
    paths = {name: ".".join(map(str, [*error.absolute_path, name])) for name in error.instance if name not in known}
    names = ", ".join(sorted(known))
    return [f"{path}: unknown key; expected one of {names}{suggest(name, known)}" for name, path in paths.items()]


def _properties(root: dict, part: dict) -> list[str]:
    """Return the keys that a part of a schema allows, including those of the definitions that it is composed of."""
    names = list(part.get("properties", {}))
    for component in part.get("allOf", []):
        names += _properties(root, component)
    return names + (_properties(root, schema.resolve(root, part)) if "$ref" in part else [])


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
    """Return in words what the types of a schema allow."""
    return " or ".join(TYPES[name] for name in ([types] if isinstance(types, str) else types))
