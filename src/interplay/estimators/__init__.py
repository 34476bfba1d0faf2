"""One algorithm per file, all of the same shape: ``design(n, budget, seed)``, ``prepare(masks)``, ``recover(...)``."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from interplay._checks import unknown
from interplay._errors import InputError
from interplay._plugins import plugin, plugin_attribute, plugin_names
from interplay._public import publish
from interplay.estimators._base import Estimator, Recovery, Rescue
from interplay.estimators._design import all_masks, biased_design, uniform_design
from interplay.estimators._doubt import doubt_of
from interplay.estimators._for_index import ForIndex
from interplay.estimators._lasso.first_order import first_order_r2
from interplay.estimators._slopes.choice import better_with_slopes
from interplay.estimators._validation import choose, folds, gain_of_all, is_constant, r_squared

if TYPE_CHECKING:
    from interplay.estimators._auto import Auto
    from interplay.estimators._exact import Exact
    from interplay.estimators._gp.gp import GP
    from interplay.estimators._lasso.lasso import Lasso
    from interplay.estimators._proxyspex.proxyspex import ProxySPEX
    from interplay.estimators._slopes.fit import fit_slopes, predict_by_halves
    from interplay.estimators.spex import SPEX

_METHODS = {
    "auto": ("_auto", "Auto"),
    "exact": ("_exact", "Exact"),
    "gp": ("_gp.gp", "GP"),
    "lasso": ("_lasso.lasso", "Lasso"),
    "proxyspex": ("_proxyspex.proxyspex", "ProxySPEX"),
    "spex": ("spex", "SPEX"),
}

_SLOPES = (("_slopes.fit", "fit_slopes"), ("_slopes.fit", "predict_by_halves"))

METHODS: tuple[str, ...] = tuple(_METHODS)
"""The names that ``method=`` knows; packages add more by entry points in the group ``interplay.estimators``."""

__all__ = [
    "GP",
    "METHODS",
    "SPEX",
    "Auto",
    "Estimator",
    "Exact",
    "ForIndex",
    "Lasso",
    "ProxySPEX",
    "Recovery",
    "Rescue",
    "all_masks",
    "better_with_slopes",
    "biased_design",
    "choose",
    "doubt_of",
    "first_order_r2",
    "fit_slopes",
    "folds",
    "gain_of_all",
    "get_estimator",
    "is_constant",
    "predict_by_halves",
    "r_squared",
    "uniform_design",
]


def get_estimator(method: str | Estimator) -> Estimator:
    """The estimator called ``method``, with its default options, or ``method`` itself where it is one."""
    if isinstance(method, Estimator):
        return method
    if isinstance(method, type) and issubclass(method, Estimator):
        raise InputError(f"method is the class {method.__name__}: pass an instance, {method.__name__}(...).")
    if str(method).lower() not in _METHODS:
        return _added(str(method))
    module, attribute = _METHODS[str(method).lower()]
    estimator: Estimator = getattr(import_module(f"interplay.estimators.{module}"), attribute)()
    return estimator


def _added(method: str) -> Estimator:
    """The estimator that another package adds under this name."""
    found = plugin(__name__, method)
    if found is None:
        raise unknown("method", method, [*METHODS, *plugin_names(__name__)])
    made = found() if isinstance(found, type) and issubclass(found, Estimator) else found
    if not isinstance(made, Estimator):
        raise InputError(
            f"the entry point {method!r} in the group {__name__} is {found!r}: it must be a subclass or an instance of "
            "interplay.estimators.Estimator."
        )
    return made


def __getattr__(name: str) -> Any:  # the algorithms are imported only when used
    for module, attribute in (*_METHODS.values(), *_SLOPES):
        if attribute == name:
            globals()[name] = getattr(import_module(f"interplay.estimators.{module}"), name)
            publish(__name__)
            return globals()[name]
    return plugin_attribute(__name__, name)


publish(__name__)
