"""Resamplings, and how a key or a splitter becomes one."""

from __future__ import annotations

from typing import Any

from batchml.core.catalog import resolve_name
from batchml.core.resampling_base import Resampling
from batchml.errors import ConfigError

__all__ = ["Resampling", "as_resampling"]


def as_resampling(splitter: Any, *, id: str | None = None) -> Resampling:
    """Return a resampling: of a key, of a scikit-learn splitter, or as it is.

    Raises
    ------
    ConfigError
        Something else.
    """
    if isinstance(splitter, Resampling):
        return splitter
    if isinstance(splitter, str):
        made: Resampling = resolve_name("core.catalog:rsmp")(splitter)
        if id is not None:
            made.id = id
        return made
    if hasattr(splitter, "split") and hasattr(splitter, "get_n_splits") and not isinstance(splitter, type):
        wrapped: Resampling = resolve_name("resamplings.splitter:Splitter")(splitter=splitter, id=id)
        return wrapped
    remedy = f": make an instance, {splitter.__name__}(...)" if isinstance(splitter, type) else ""
    kind = splitter.__name__ if isinstance(splitter, type) else type(splitter).__name__
    raise ConfigError(f"{kind} is no resampling: give a key such as 'cv' or a scikit-learn splitter{remedy}")
