"""Merges recipes with settings, under a file's own keys or over them, and checks the keys that recipes set."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from tfpix2pix.config import RECIPES
from tfpix2pix.errors import UserError
from tfpix2pix.losses.settings import objective_settings
from tfpix2pix.section import NotOfRecipes, Section

APPLIED = "applied"  # `recipe: {applied: best}` is a record: the other keys have the recipe's values already
Settings = dict[str, Any]


def with_recipe_beneath(settings: Mapping[str, Any], config: type[Section]) -> Settings:
    """Returns `settings` with missing keys taken from the recipe that they name. The name becomes a record.

    Raises:
        UserError: the recipe does not exist, or sets a key that recipes must not set.
    """
    name = settings.get("recipe")
    if name is None or _is_record(name):
        return dict(settings)
    keys = {key: value for key, value in settings.items() if key != "recipe"}
    return {**merged(recipe_settings(str(name), config), keys), "recipe": {APPLIED: str(name)}}


def with_recipe_over(settings: Mapping[str, Any], name: object, config: type[Section]) -> Settings:
    """Returns `settings` with the values of the recipe `name` over their own, and without the recipe that they name.

    If `name` is None, only removes the recipe that they name.

    Raises:
        UserError: the recipe does not exist, or sets a key that recipes must not set.
    """
    keys = {key: value for key, value in settings.items() if key != "recipe"}
    if name is None:
        return keys
    return {**merged(keys, recipe_settings(str(name), config)), "recipe": {APPLIED: str(name)}}


def recipe_settings(name_or_file: str, config: type[Section], above: tuple[str, ...] = ()) -> Settings:
    """Returns the keys of a recipe over those of the recipe that it is based on.

    Raises:
        UserError: one of them does not exist, sets a key that recipes must not set, or is based on itself.
    """
    if name_or_file in above:
        raise UserError(
            f"A recipe must not be based on itself. Received {' on '.join([*above, name_or_file])}. Remove the key "
            f"`recipe` from one of them."
        )
    keys = RECIPES.read(name_or_file)
    base = keys.pop("recipe", None)
    _check(keys, config, name_or_file)
    if base is None:
        return keys
    return merged(recipe_settings(str(base), config, (*above, name_or_file)), keys)


def recipe_keys(section: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Yields the dotted keys that a recipe may set."""
    for name, field in section.model_fields.items():
        key = f"{prefix}{name}"
        if not _mark(field):
            yield from recipe_keys(field.annotation, f"{key}.") if _is_section(field) else (key,)


def merged(lower: Mapping[str, Any], upper: Mapping[str, Any]) -> Settings:
    """Merges two settings key by key, with the values of `upper` over those of `lower`.

    If `upper` names an objective, the weights of `lower` and its perceptual network are ignored.
    """
    lower, upper = ({name: _plain(value, name) for name, value in settings.items()} for settings in (lower, upper))
    if isinstance(upper.get("objective"), dict) and "name" in upper["objective"]:
        set_by_name = {"objective": ("name", "weights", "perceptual_network"), "discriminator": ("conditional",)}
        for section, keys in set_by_name.items():
            if isinstance(lower.get(section), dict):
                lower[section] = {key: value for key, value in lower[section].items() if key not in keys}
    result = dict(lower)
    for name, value in upper.items():
        both = isinstance(value, dict) and isinstance(result.get(name), dict)
        result[name] = merged(result[name], value) if both else value
    return result


def _check(settings: Settings, section: type[BaseModel], origin: str, prefix: str = "") -> None:
    """Raises UserError for the first key that recipes must not set. `Config` detects unknown keys."""
    for name, value in settings.items():
        field = section.model_fields.get(name)
        mark = field and _mark(field)
        if mark:
            raise UserError(
                f"A recipe must not set `{prefix}{name}`: {mark.decided_by} decides it. Received {value!r} in the "
                f"recipe {origin}. Remove it there. A preset, a configuration of your own or an override may set it."
            )
        if field and isinstance(value, dict) and _is_section(field):
            _check(value, field.annotation, origin, f"{prefix}{name}.")


def _mark(field: Any) -> NotOfRecipes | None:
    return next((mark for mark in field.metadata if isinstance(mark, NotOfRecipes)), None)


def _is_section(field: Any) -> bool:
    return isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)


def _is_record(name: object) -> bool:
    return isinstance(name, Mapping) and set(name) == {APPLIED}


def _plain(value: Any, name: str = "") -> Any:
    """Converts a section, or an objective's name, to a mapping with the present keys."""
    if isinstance(value, BaseModel):
        return value.model_dump(exclude_unset=True)
    return objective_settings(value) if name == "objective" else value
