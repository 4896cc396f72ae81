"""Which Dask cluster, and how to reach it: an address and certificates, or the options of a cluster of one's own."""

from __future__ import annotations

import contextlib
import json
import logging
import os
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from batchml.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

__all__ = ["DASK", "SECURITY", "Link", "require_dask"]

DASK = "BATCHML_WORKER_DASK"
"""Set by executors: a `Link` as JSON, which may hold a key and so is no argument."""

SECURITY = ("tls_ca_file", "tls_client_cert", "tls_client_key")
"""What a client needs of `distributed.Security`: files, or their content."""

_PATIENCE_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """How to reach a Dask cluster.

    Attributes
    ----------
    address
        Of the scheduler; "" for a cluster that the supervisor starts for itself.
    options
        Of that cluster, see `distributed.LocalCluster`.
    security
        See `SECURITY`.
    resources
        What each iteration takes of what Dask's workers offer: ``{"GPU": 1}``.
    ahead_s
        So many seconds of work per thread wait within Dask, where its adaptive scaling sees them.
    """

    address: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    security: Mapping[str, str] = field(default_factory=dict, repr=False)
    resources: Mapping[str, float] = field(default_factory=dict)
    ahead_s: float = 0.0

    @property
    def patience_s(self) -> float:
        """Seconds after which a scheduler that cannot be reached is gone: as long as Dask itself tries to connect.

        Raises
        ------
        ConfigError
            Dask's configuration says no time.
        """
        import dask
        from dask.utils import parse_timedelta

        name = "distributed.comm.timeouts.connect"
        said = dask.config.get(name, _PATIENCE_S)
        try:
            return float(parse_timedelta(said))
        except (KeyError, ValueError, TypeError):
            raise ConfigError(f"Dask's configuration, {name}: {said!r} is no time: say '30s' or '2m'") from None

    def as_text(self) -> str:
        """Return it as JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def told(cls, address: str | None) -> Link | None:
        """Return what this process was told by its executor, or by an address on its command line."""
        text = os.environ.pop(DASK, "")
        if text:
            return cls(**json.loads(text))
        return cls(address=address) if address else None

    @contextlib.asynccontextmanager
    async def connect(self) -> AsyncIterator[Any]:
        """Connect, in a running event loop; yield the client.

        Raises
        ------
        ConfigError
            No scheduler answers.
        """
        require_dask()
        from distributed import Client, LocalCluster, Security

        for name in ("distributed", "bokeh", "tornado"):  # Dask tells of each coming and going
            logging.getLogger(name).setLevel(logging.ERROR)
        async with contextlib.AsyncExitStack() as stack:
            place: Any = self.address
            if not place:
                options = {"dashboard_address": "127.0.0.1:0", **self.options, "asynchronous": True}
                place = await stack.enter_async_context(LocalCluster(**options))
            security = Security(**self.security, require_encryption=True) if self.security else None
            try:
                client = await Client(
                    place, asynchronous=True, security=security, set_as_default=False, timeout=self.patience_s
                )
            except (OSError, TimeoutError, ValueError, TypeError) as error:
                cause = str(error).splitlines()[0] if str(error) else type(error).__name__
                raise ConfigError(f"no Dask scheduler answers at {self.address}: {cause}") from error
            stack.push_async_callback(client.close)
            yield client


def require_dask() -> None:
    """Refuse to go on without Dask.

    Raises
    ------
    ConfigError
        Saying how to install it.
    """
    try:
        import distributed  # noqa: F401 - found or not
    except ImportError as error:
        raise ConfigError("Dask is not installed here: pip install 'batchml[dask]'") from error
