"""Notice that a run was made with other versions of the libraries than those that load it."""

import importlib.metadata
from collections.abc import Mapping
from typing import Any


_COMPARED = ("torch", "transformers", "peft", "timm")
"""Libraries that compute a model's outputs."""


def describe_other_versions(results: Mapping[str, Any]) -> str | None:
    """Return a sentence that names the libraries whose version, by its first two numbers, is not that of the run.

    `results` is what results.json holds. None where all agree, or the run does not say.
    """
    made = results.get("environment", {}).get("versions", {})
    there = {name: importlib.metadata.version(name) for name in _COMPARED if name in made}
    others = [name for name in there if _cut(there[name]) != _cut(made[name])]
    if not others:
        return None
    was, now = (_join(f"{name} {versions[name]}" for name in others) for versions in (made, there))
    verb = "is" if len(others) == 1 else "are"
    return f"this run was made with {was}, and {now} {verb} installed: compare its predictions before you rely on them"


def _cut(version: str) -> list[str]:
    return version.split(".")[:2]


def _join(parts: Any) -> str:
    *first, last = parts
    return f"{', '.join(first)} and {last}" if first else last
