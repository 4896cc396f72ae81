"""The public `Registry`: a thin facade over the store, the executors and the reducer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from batchml.errors import NotARegistryError, RegistryError
from batchml.executors.consent import Consent, remember
from batchml.study.ids import the_design
from batchml.study.running import Running

if TYPE_CHECKING:
    import os

    from batchml.core.trust import Trust
    from batchml.experiment.design import BenchmarkDesign

__all__ = ["Registry"]


class Registry(Running):
    """A database of benchmarks: designs, jobs, attempts, results.

    Made by `Registry.create` and `Registry.open`; a with-statement closes it. Jobs are named by ids or by a frame with
    a column ``job_id``, as `jobs` returns it.
    """

    @classmethod
    def create(
        cls,
        url: str,
        seed: int | None = None,
        artifacts: str | os.PathLike[str] | None = None,
        *,
        exist_ok: bool = False,
        trust: Trust | None = None,
    ) -> Self:
        """Create a registry and open it.

        Parameters
        ----------
        url
            ``sqlite:///study.db``; relative paths are relative to the working directory.
        seed
            The root seed of designs that bring none; None draws one.
        artifacts
            Folder or fsspec URL for task data and models; default ``$BATCHML_ARTIFACTS``, else ``<file>.artifacts``
            beside the file.
        exist_ok
            Open the registry that is there, if there is one, instead of refusing.
        trust
            Which modules specs may name; None for the default.
        """
        from batchml.registry.store import Store

        if exist_ok:
            try:
                return cls.open(url, trust=trust)
            except NotARegistryError:
                pass  # `create` tells whether there is nothing or something else
        try:
            return cls(Store.create(url, seed, artifacts), trust)
        except RegistryError as error:
            if exist_ok and "already" in str(error):  # another process was faster
                return cls.open(url, trust=trust)
            raise

    @classmethod
    def open(
        cls,
        url: str,
        readonly: bool = False,  # noqa: FBT001, FBT002 - as in API.md
        *,
        trust: Trust | None = None,
    ) -> Self:
        """Open a registry that is there; with `readonly` nothing can be changed and no writer is disturbed."""
        from batchml.registry.store import Store

        return cls(Store.open(url, readonly), trust)

    def add(
        self,
        design: BenchmarkDesign,
        name: str | None = None,
        allow_pickle: bool = False,  # noqa: FBT001, FBT002 - as in API.md
    ) -> list[int]:
        """Make a design the current one of its benchmark and return the ids of new jobs; adding it again adds none.

        Parameters
        ----------
        allow_pickle
            Take lambdas and what a notebook or script (``__main__``) defines, too: they are stored as pickles that
            carry this user's signature, and workers with the same signing key open them.

        Raises
        ------
        ConfigError
            The design cannot run, or holds an object that cannot be described; nothing was changed.
        """
        from batchml.registry.benchmarks import add

        ids = add(self._store, the_design(design), name, trust=self._trust, allow_pickle=allow_pickle)
        if design.modules:
            # The user has just chosen to run this code; the registry's word alone would not do.
            remember(self._store.uuid, Consent(modules=tuple(design.modules), paths=tuple(design.paths)))
        self._sync_changes()
        return ids

    @staticmethod
    def upgrade(url: str) -> tuple[str, str]:
        """Bring the schema of the registry at `url` to this version; return the revisions before and after."""
        from batchml.registry.store import upgrade

        return upgrade(url)

    @staticmethod
    def unlock(url: str) -> str | None:
        """Take a registry on a network file system from a host that is gone; return who held it."""
        from batchml.registry.care import unlock

        return unlock(url)
