"""Make the bottleneck method known to PEFT as soon as PEFT is imported, without importing it: it takes seconds."""

import importlib
import importlib.abc
import importlib.machinery
import sys
from collections.abc import Sequence
from types import ModuleType


_METHOD = "hf_tune.adapter.bottleneck_method"


def register_with_peft() -> None:
    """Register at once where PEFT is imported already, else when it will be."""
    if "peft" in sys.modules:
        importlib.import_module(_METHOD)
    elif not any(isinstance(finder, _PeftFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _PeftFinder())


class _PeftFinder(importlib.abc.MetaPathFinder):
    """Finds `peft` as everybody else does, with a loader that registers behind it."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Return the spec of `peft`; None for any other module."""
        if fullname != "peft":
            return None
        for finder in (each for each in sys.meta_path if each is not self):
            spec = finder.find_spec(fullname, path, target)
            if spec is not None and spec.loader is not None:
                spec.loader = _RegisteringLoader(spec.loader)  # transformers asks for specs and imports nothing
                return spec
        return None


class _RegisteringLoader(importlib.abc.Loader):
    """Loads `peft`, gives it its own loader back, and registers."""

    def __init__(self, own: importlib.abc.Loader) -> None:
        self.own = own

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        """Return what the own loader makes."""
        return self.own.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        """Run the module, then import the method."""
        if module.__spec__ is not None:
            module.__spec__.loader = self.own
        module.__loader__ = self.own
        sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, _PeftFinder)]
        self.own.exec_module(module)
        importlib.import_module(_METHOD)
