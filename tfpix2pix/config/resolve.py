"""Makes a `Config` from a preset, a YAML file and `--set` overrides, and turns errors into one sentence."""

from __future__ import annotations

import copy
import json
import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from tfpix2pix.config import PRESETS, Config
from tfpix2pix.config.recipe import with_recipe_over
from tfpix2pix.data.guess import guess_source
from tfpix2pix.errors import UserError, unknown_name
from tfpix2pix.losses import OBJECTIVES
from tfpix2pix.losses.settings import objective_settings, weight_key
from tfpix2pix.safe_files import parse_yaml
from tfpix2pix.section import RowOf, WeightsOf

GUESS = "guess"  # `data.source` of a preset or file: the layout is guessed from the folder
# Replaces pydantic's rules, which use terms of Python and not of the file.
RULES = {
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_parsing": "must be a number",
    "bool_parsing": "must be true or false",
    "dict_type": "must be a mapping of keys to values",
    "model_type": "must be a mapping of keys to values",
    "string_pattern_mismatch": "must be letters, digits, '.', '_' and '-' alone, the first a letter or digit",
}
NAME = re.compile(r"[A-Za-z_]\w*")
MEMBERS = ("bool", "int", "float", "str", "none")  # of unions, in pydantic's locations, beside `tuple[…]` and others


def resolve_config(
    preset_or_file: str, overrides: Iterable[str] = (), *, recipe: str | None = None, data_dir: str | None = None
) -> Config:
    """Makes the configuration of a preset or .yaml file, changed by a recipe, then by `key=value` overrides.

    Args:
        recipe: a recipe's name or a .yaml file, as an override `recipe=…`.
        data_dir: value of `data.dir`.

    Raises:
        UserError: a preset, recipe or file does not exist or is not YAML, or a key or value is unknown.
    """
    overrides = [*recipe_override(recipe), *overrides]
    settings = with_overrides(read_settings(preset_or_file), overrides, data_dir=data_dir)
    config = make_config(_with_layout(settings), preset_or_file)
    if preset_or_file in PRESETS and not any(override.partition("=")[0].strip() == "name" for override in overrides):
        config.model_fields_set.discard("name")  # it is the task's: a run takes the name of its folder
    return config


def _with_layout(settings: dict[str, Any]) -> dict[str, Any]:
    """Returns the settings with the layout of the pairs in `data.dir`, if `data.source` is `guess`."""
    data = settings.get("data")
    if not isinstance(data, dict) or data.get("source") != GUESS:
        return settings
    given = {key: value for key, value in data.items() if key != "source"}
    named = {"source": "folders"} if given.keys() & {"input_folder", "target_folder"} else {"source": "combined"}
    guessed = guess_source(Path(str(given["dir"])).expanduser(), given) if given.get("dir") else {}
    return {**settings, "data": {**named, **guessed, **given}}


def read_settings(preset_or_file: str) -> dict[str, Any]:
    """Reads the mapping in a preset or a .yaml file."""
    return PRESETS.read(preset_or_file)


def recipe_override(recipe: str | None) -> list[str]:
    """Returns the override that `--recipe` abbreviates."""
    return [] if recipe is None else [f"recipe={json.dumps(recipe)}"]


def with_overrides(
    settings: Mapping[str, Any], overrides: Iterable[str], *, data_dir: str | None = None
) -> dict[str, Any]:
    """Returns `settings` with each `dotted.key=value` (a YAML value) set.

    The last `recipe` is applied first, so that other overrides can change its keys. A section is set before the keys
    inside it.
    """
    settings = copy.deepcopy(dict(settings))
    overrides = [*overrides, *([] if data_dir is None else [f"data.dir={yaml.safe_dump(str(data_dir))}"])]
    values = [_key_and_value(override) for override in overrides]
    recipes = [value for key, value in values if key == "recipe"]
    if recipes:
        settings = with_recipe_over(settings, recipes[-1], Config)
    others = [pair for pair in values if pair[0] != "recipe"]
    for key, value in sorted(
        others, key=lambda pair: pair[0].count(".")
    ):  # stable: keeps the order of keys of one depth
        *sections, name = key.split(".")
        section = settings
        for part in sections:
            if part == "objective":  # may be a name; the override changes one of its weights
                section[part] = objective_settings(section.get(part, {}))
            section = section.setdefault(part, {})
            if not isinstance(section, dict):
                raise UserError(
                    f"An override must name a key of the configuration. Received {key!r}: {part} is a value. "
                    f"`tfpix2pix presets --keys` lists the keys."
                )
        section[name] = value
    return _with_one_length(settings, dict(others))


def _with_one_length(settings: dict[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the settings with the length that the overrides name.

    Epochs replace a file's minutes. Steps or minutes replace its epochs.

    Raises:
        UserError: the overrides name epochs and steps.
    """
    epochs, steps = overrides.get("training.epochs"), overrides.get("training.steps")
    if epochs is not None and steps is not None:
        raise UserError(
            f"The length of a training must be given once. Received `training.epochs` {epochs} and `training.steps` "
            f"{steps}. Leave one of the two out."
        )
    if epochs is not None:
        replaced = {"training.minutes"}
    elif steps is not None or overrides.get("training.minutes") is not None:
        replaced = {"training.epochs", "training.decay_epochs"}
    else:
        return settings
    training = settings["training"]
    for key in replaced - overrides.keys():
        if training.get(key.partition(".")[2]) is not None:
            training[key.partition(".")[2]] = None
    return settings


def _key_and_value(override: str) -> tuple[str, Any]:
    key, equals, value = override.partition("=")
    if not equals or not key:
        raise UserError(f"An override must read KEY=VALUE. Received {override!r}. Write it as training.steps=200.")
    try:
        return _present(key.strip()), parse_yaml(value)
    except ValueError as error:
        raise UserError(f"The value of an override must be YAML. Received {override!r}. Quote it.") from error


def _present(key: str) -> str:
    section, dot, name = key.partition(".")
    return f"{section}.{weight_key(name)}" if dot and section == "objective" else key


def make_config(settings: Mapping[str, Any], origin: object = "the configuration") -> Config:
    """Validates a plain mapping as a configuration. Raises UserError for the first key or value that does not fit."""
    try:
        return Config.model_validate(settings)
    except ValidationError as error:
        raise UserError(one_sentence(error, origin)) from None


def choices_of(key: str) -> tuple[str, ...]:
    """Returns the names that a key's value may have. Empty if it is a number or a text, or the key is unknown."""
    if key == "objective":
        return tuple(OBJECTIVES)
    section: type[BaseModel] = Config
    *sections, name = key.split(".")
    for part in sections:
        field = section.model_fields.get(part)
        if field is None or not isinstance(field.annotation, type) or not issubclass(field.annotation, BaseModel):
            return ()
        section = field.annotation
    field = section.model_fields.get(name)
    if field is not None and field.annotation is bool:
        return ("true", "false")
    return tuple(map(str, known_values(field))) if field is not None else ()


def describe_keys(section: type[BaseModel] = Config, prefix: str = "") -> Iterator[tuple[str, object, str]]:
    """Yields (key, default, help) of every value of the configuration, in order. The help ends with known values."""
    for name, field in section.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            if name == "objective":
                meaning = "Name of an objective, which sets the weights below and the input of D. One of: "
                meaning += f"{', '.join(OBJECTIVES)}."
                yield name, Config().objective_name, meaning
            yield from describe_keys(field.annotation, f"{prefix}{name}.")
            continue
        weights = next((mark for mark in field.metadata if isinstance(mark, WeightsOf)), None)
        if weights:
            usual = field.get_default(call_default_factory=True)
            for row, term in weights.table.items():
                yield f"{prefix}{name}.{row}", usual.get(row, 0.0), term.about
        else:
            values = known_values(field)
            known = f" One of: {', '.join(map(str, values))}." if values else ""
            yield f"{prefix}{name}", field.default, " ".join((field.description or "").split()) + known


def explain_keys() -> str:
    """Lists every key with its default on one line, and its meaning below."""
    lines = (
        f"{key} = {json.dumps(default)}\n{textwrap.indent(textwrap.fill(meaning, 100), '    ')}"
        for key, default, meaning in describe_keys()
    )
    return "\n".join(lines)


def known_values(field: FieldInfo) -> tuple:
    """Returns the values that a field is restricted to. Empty if it is a number or a text."""
    for known in field.metadata:
        if isinstance(known, RowOf):
            return known.names
    return get_args(field.annotation) if get_origin(field.annotation) is Literal else ()


def to_yaml(config: Config) -> str:
    """Writes the whole configuration as YAML, from which `resolve_config` makes an equal one."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def one_sentence(error: ValidationError, origin: object) -> str:
    """Describes the first of pydantic's errors: the key, the rule, what was received, what to do."""
    first, *others = error.errors()
    same = [other for other in others if _settable(other["loc"])[0] == _settable(first["loc"])[0]]
    first = max([first, *same], key=lambda one: len(one["loc"]))  # the member of a union that fits best
    location = first["loc"]
    if isinstance(first.get("ctx", {}).get("error"), UserError):  # a complete sentence
        return str(first["ctx"]["error"])
    if first["type"] == "extra_forbidden":
        section = _section(location[:-1])
        prefix, inside = _settable(location[:-1])
        within = " of ".join(["A key", *inside, f"`{prefix}`" if prefix else "the configuration"])
        sentence = unknown_name(within, location[-1], section.model_fields)
        elsewhere = [key for key, _, _ in describe_keys() if key.rpartition(".")[2] == location[-1]]
        return f"{sentence} Did you mean {' or '.join(elsewhere)}?" if elsewhere else sentence
    message = first["msg"].removeprefix("Value error, ")
    if message.startswith("`"):  # a rule about several keys, a complete sentence
        return message if message.endswith((".", "?")) else f"{message}."
    key, inside = _settable(location)
    name = f"`{key}`" if "." in key else f"The key `{key}`"  # the command line would read `seed` alone as the option
    if message.startswith("A key must be one of"):
        return message.replace("A key", " of ".join(["A key", *inside, f"`{key}`"]), 1)
    if inside:
        name = " of ".join([*inside, name])
        name = f"{name[0].upper()}{name[1:]}"
    if message.startswith("must be one of"):
        return f"{name} {message}"
    rule = re.sub(r"^(Input|String|Value) should", "must", RULES.get(first["type"], message))
    return f"{name} {rule}. Received {first['input']!r}. Change it in {origin} or with `--set {key}=VALUE`."


def _settable(location: tuple) -> tuple[str, list[str]]:
    """Returns the key at a location that `--set` takes, and words for the place inside its value, the innermost first.

    Of `data.inputs.0.range` they are `data.inputs` and ["`range`", "item 1"]. Pydantic's names for the members of a
    union, such as `tuple[float, float]`, are left out.
    """
    parts = [part for part in location if isinstance(part, int) or (NAME.fullmatch(part) and part not in MEMBERS)]
    count = next((index for index, part in enumerate(parts) if isinstance(part, int)), len(parts))
    inside = [f"item {part + 1}" if isinstance(part, int) else f"`{part}`" for part in parts[count:]]
    return ".".join(parts[:count]), inside[::-1]


def _section(location: tuple) -> type[BaseModel]:
    """Returns the section at a location: names of fields, and positions in lists."""
    section: Any = Config
    for part in location:
        if isinstance(part, str):
            section = section.model_fields[part].annotation
        else:
            section = next(inner for inner in _inside(section) if issubclass(inner, BaseModel))
    return section


def _inside(annotation: Any) -> Iterator[type]:
    """Yields the classes in a type such as `tuple[Section, ...] | None`."""
    if isinstance(annotation, type) and not get_args(annotation):
        yield annotation
    for part in get_args(annotation):
        yield from _inside(part)
