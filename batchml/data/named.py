"""Data sources by name: specs hold the name, configuration on each machine holds the URL with its password."""

from __future__ import annotations

from batchml.errors import ConfigError, nearest

__all__ = ["source_url"]


def source_url(source: str) -> str:
    """Return the URL of a source.

    Parameters
    ----------
    source
        A name below ``[sources]`` of the configuration, or a URL.

    Raises
    ------
    ConfigError
        There is no such name on this machine.
    """
    if "://" in source:
        return source
    from batchml.core.configuration import load_configuration

    known = load_configuration().sources
    if source not in known:
        there = f"; there are {', '.join(known)}" if known else ""
        raise ConfigError(
            f"no data source is called {source!r} in the configuration of this machine{nearest(source, known)}{there}: "
            f'write [sources] and {source} = "postgresql://user@host/name" in batchml.toml'
        )
    return known[source]
