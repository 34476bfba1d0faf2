"""Hooks that a model wears for one forward pass only, and sole use of the model meanwhile."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

from interplay._errors import AblationError
from interplay._networks.evaluation import evaluating

_lock = threading.Lock()
_in_use: set[int] = set()  # ids of all modules whose model is being ablated


class Hooks:
    """Functions to be called before, after and instead of modules' own, for as long as ``with hooks.on():`` lasts.

    A function that returns None changes nothing. Another thread that calls the model meanwhile gets an error
    instead of an ablated output.
    """

    def __init__(self, model: Any) -> None:
        self.modules: dict[str, Any] = dict(model.named_modules())
        self.plan: list[tuple[str, Any, Callable[..., Any]]] = []
        self._put_on: list[Callable[[], None]] = []
        self._thread: int | None = None

    def before(self, path: str, function: Callable[[Any, Any], Any]) -> None:
        """Call ``function(args, kwargs)``, which may return new ones."""
        self.plan.append(("before", self.modules[path], function))

    def after(self, path: str, function: Callable[[Any, Any, Any], Any]) -> None:
        """Call ``function(args, kwargs, output)``, which may return a new output."""
        self.plan.append(("after", self.modules[path], function))

    def instead(self, path: str, function: Callable[..., Any]) -> None:
        """Call ``function(*args, **kwargs)`` in place of the module's forward."""
        self.plan.append(("instead", self.modules[path], function))

    @contextlib.contextmanager
    def on(self) -> Iterator[None]:
        """Wear the hooks."""
        try:
            self._thread = threading.get_ident()
            for kind, module, function in self.plan:
                self._put_on.append(self._wear(kind, module, function))
            yield
        finally:
            self._thread = None  # from here on, a hook that is still worn does nothing
            take_off(self._put_on)

    def _wear(self, kind: str, module: Any, function: Callable[..., Any]) -> Callable[[], None]:
        if kind == "before":

            def before(_module: Any, args: Any, kwargs: Any) -> Any:
                return function(args, kwargs) if self._ours() else None

            return _removal(module.register_forward_pre_hook(before, with_kwargs=True))
        if kind == "after":

            def after(_module: Any, args: Any, kwargs: Any, output: Any) -> Any:
                return function(args, kwargs, output) if self._ours() else None

            return _removal(module.register_forward_hook(after, with_kwargs=True))
        own = vars(module).get("forward")  # set where another library (accelerate) already replaced it

        def instead(*args: Any, **kwargs: Any) -> Any:
            return function(*args, **kwargs) if self._ours() else type(module).forward(module, *args, **kwargs)

        module.forward = instead

        def restore() -> None:
            if own is not None:
                module.forward = own
            else:
                vars(module).pop("forward", None)

        return restore

    def _ours(self) -> bool:
        if self._thread is None:
            return False
        if self._thread != threading.get_ident():
            raise AblationError("another thread called this model while its parts are ablated: give it its own copy.")
        return True


@contextlib.contextmanager
def sole_use(model: Any) -> Iterator[None]:
    """The model in evaluation mode without gradients, refused to every other game meanwhile, and then as it was.

    Raises
    ------
    AblationError
        Where the model, or a part of it, is being ablated by another game or thread.
    """
    ids = {id(module) for module in model.modules()}
    restore: list[Callable[[], None]] = []
    with _lock:
        if _in_use & ids:
            raise AblationError(
                "this model's parts are being ablated by another game or thread: measure one after the other, or "
                "give each its own copy of the model (copy.deepcopy)."
            )
        _in_use.update(ids)
    try:
        with evaluating(model):
            yield
    finally:
        restore.append(lambda: _in_use.difference_update(ids))
        take_off(restore)


def take_off(undo: list[Callable[[], None]]) -> None:
    """Call and drop every function of ``undo``, even when Ctrl-C arrives between two of them."""
    interrupted: KeyboardInterrupt | None = None
    while undo:
        try:
            undo[-1]()  # may run twice: each undoes what is undone already without harm
            undo.pop()
        except KeyboardInterrupt as error:
            interrupted = error
    if interrupted is not None:
        raise interrupted


def _removal(handle: Any) -> Callable[[], None]:
    return lambda: handle.remove()
