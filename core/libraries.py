"""timm and torchvision without torch's compiler, and networks without first weights.

Nothing here is compiled, yet importing the two imports `torch._dynamo` and with it eight hundred modules: 150
MB of the app's memory, and a second or more before the first answer. They ask the compiler for two things
only: not to compile a function, and whether it knows a device. So does torch where a network is built on its
"meta" device. Both are answered here meanwhile; whatever else anybody asks of it brings the compiler itself,
then and later.
"""

import importlib
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.abc import Loader
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_loader
from types import ModuleType
from typing import Any, Final, TypeVar

import torch
from torch.overrides import TorchFunctionMode

Wrapped = TypeVar("Wrapped", bound=Callable[..., Any])

_COMPILER: Final = "torch._dynamo"
_UTILS: Final = f"{_COMPILER}.utils"


class _StandIn(ModuleType):
    """A module of the compiler that is imported when it is asked for what the stand-in does not have."""

    def __getattr__(self, name: str) -> object:
        if name.startswith("__"):
            raise AttributeError(name)
        _take_away()
        return getattr(importlib.import_module(self.__name__), name)


class _OtherParts(Loader):
    """Finds the other modules of the compiler, for whoever imports one, by importing all of it."""

    def find_spec(self, name: str, _path: object, _target: object = None) -> ModuleSpec | None:
        """Return how to find a module of the compiler while there are stand-ins; None for all others."""
        if not name.startswith(f"{_COMPILER}.") or not isinstance(sys.modules.get(_COMPILER), _StandIn):
            return None
        _take_away()
        importlib.import_module(name)
        # Out again: the import that asks would find it there and execute it a second time.
        self._imported = sys.modules.pop(name)
        self._spec = self._imported.__spec__
        return spec_from_loader(name, self)

    def create_module(self, _spec: ModuleSpec) -> ModuleType:
        """Return what was imported."""
        return self._imported

    def exec_module(self, module: ModuleType) -> None:
        """Give it its own spec back: it was executed when it was imported."""
        vars(module)["__spec__"] = self._spec


def _disable(
    function: Wrapped | None = None, *_: object, **__: object
) -> Wrapped | Callable[[Wrapped], Wrapped]:
    """Do what `torch.compiler.disable` asks for: what is never compiled need not be marked."""
    return (lambda wrapped: wrapped) if function is None else function


def _is_compile_supported(device_type: str) -> bool:
    _take_away()
    return bool(importlib.import_module(_UTILS).is_compile_supported(device_type))


# Held over changes of what stands in, never over an import: that could wait for an import that waits for it.
_LOCK: Final = threading.Lock()
_INSIDE: Final[list[object]] = []


@contextmanager
def without_compiler() -> Iterator[None]:
    """Keep the compiler out of what is imported or built meanwhile, unless it is there already."""
    inside = object()
    with _LOCK:
        _INSIDE.append(inside)
        if _COMPILER not in sys.modules:
            _put_in_place()
    try:
        yield
    finally:
        with _LOCK:
            _INSIDE.remove(inside)
            last = not _INSIDE
        if last:
            _take_away()


def _put_in_place() -> None:
    compiler, utils = _StandIn(_COMPILER), _StandIn(_UTILS)
    compiler.__path__ = []
    compiler.__spec__ = ModuleSpec(_COMPILER, None, is_package=True)
    compiler.utils, compiler.disable = utils, _disable  # type: ignore[attr-defined]
    utils.__spec__ = ModuleSpec(_UTILS, None)
    utils.is_compile_supported = _is_compile_supported  # type: ignore[attr-defined]
    sys.modules |= {_COMPILER: compiler, _UTILS: utils}
    vars(torch)["_dynamo"] = compiler
    sys.meta_path.insert(0, _OtherParts())


def _take_away() -> None:
    with _LOCK:
        for name in (_COMPILER, _UTILS):
            if isinstance(sys.modules.get(name), _StandIn):
                del sys.modules[name]
        if isinstance(vars(torch).get("_dynamo"), _StandIn):
            del vars(torch)["_dynamo"]
        sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, _OtherParts)]


class _Uninitialised(TorchFunctionMode):
    """Leaves tensors as they are where `torch.nn.init` would fill them, or they themselves by chance."""

    DRAWING = (torch.Tensor.normal_, torch.Tensor.uniform_)

    def __torch_function__(
        self,
        function: Callable[..., Any],
        _types: object,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> object:
        if function in self.DRAWING or getattr(function, "__module__", None) == "torch.nn.init":
            return args[0] if args else (kwargs or {})["tensor"]
        return function(*args, **kwargs or {})


@contextmanager
def without_first_weights() -> Iterator[None]:
    """Build networks whose weights are loaded next, every one, without drawing any before.

    On the "meta" device that drawing imports a computer algebra system: 50 MB.
    """
    with _Uninitialised():
        yield


with without_compiler():
    import timm  # and with it torchvision

__all__ = ["timm", "without_compiler", "without_first_weights"]
