"""What other packages add: their entry points, read when a name is asked for that is not known here."""

from __future__ import annotations

from typing import Any

from interplay._errors import InputError


def plugin_names(group: str) -> tuple[str, ...]:
    """The names that installed packages add to a ``group`` of entry points, such as "interplay.estimators"."""
    from importlib.metadata import entry_points

    return tuple(sorted({point.name for point in entry_points(group=group)}))


def plugin(group: str, name: str) -> Any:
    """What an installed package adds under this name; None where none does.

    Raises
    ------
    InputError
        Where it cannot be loaded.
    """
    from importlib.metadata import entry_points

    for point in entry_points(group=group, name=name):
        try:
            return point.load()
        except Exception as error:  # the code of another package, which may fail in any way
            package = "an installed package" if point.dist is None else f"{point.dist.name} {point.dist.version}"
            raise InputError(
                f"{name!r}, which {package} adds to {group} ({point.value}), cannot be loaded: "
                f"{type(error).__name__}: {str(error).rstrip('.')}. Repair that package or uninstall it."
            ) from error
    return None


def plugin_attribute(module: str, name: str) -> Any:
    """What a package adds as ``module.name``, or the error of Python for an attribute that is not there."""
    found = None if name.startswith("_") else plugin(module, name)
    if found is None:
        raise AttributeError(f"module {module!r} has no attribute {name!r}")
    return found
