"""Whether workers are served by a folder on a shared disk instead of by the database, and which."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from batchml.errors import ConfigError
from batchml.worker.home import state_folder

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from batchml.executors.base import Executor
    from batchml.registry.store import Store
    from batchml.worker.spool_plan import Spool

__all__ = ["check_spool", "prepare", "served", "try_folder", "withdraw_spool"]


def check_spool(name: str, value: bool | str | os.PathLike[str] | None) -> None:  # noqa: FBT001 - as the user gave it
    """Refuse what is neither yes, no nor a folder.

    Raises
    ------
    ConfigError
        Naming the executor.
    """
    if value is not None and not isinstance(value, (bool, str, Path)):
        raise ConfigError(f"{name}(spool=...) is True or a folder that all workers see, not {value!r:.60}")


def served(store: Store, executor: Executor, needs: Mapping[str, Any]) -> dict[str, Any]:
    """Return what an executor's jobs need, with the folder that serves its workers if one does.

    The folder is part of the resource class: workers of the database claim no jobs of a folder, nor the other way
    round. Without a wish of the user's it is beside the registry where that is on a shared disk, else in the folder of
    batchml's state, since homes are shared.
    """
    rest = {name: value for name, value in needs.items() if name != "spool"}
    ask = getattr(executor, "spool_for", None)
    wish = None if ask is None else ask(store.url)
    if wish is None:
        return rest
    if wish:
        root = Path(wish).expanduser().absolute()
    elif store.place.path is not None and store.place.shared:
        root = store.place.path.with_name(store.place.path.name + ".spool")
    else:
        root = state_folder() / "spool"
    return {**rest, "spool": str(root)}


def prepare(store: Store, executor: Executor, submission_id: int, needs: Mapping[str, Any]) -> Spool | None:
    """Write the waiting jobs of a submission's class into its folder, if it has one, before workers come for them."""
    if not needs.get("spool"):
        return None
    from batchml.worker.spool_plan import open_spool

    spool = open_spool(store, submission_id, needs["spool"])
    spool.prepare(workers=getattr(executor, "workers", 1), slots=getattr(executor, "slots", None) or 1)
    return spool


def try_folder(store: Store, root: str) -> str:
    """Make a spool without work, for a node to see whether it can read it; return its folder."""
    from batchml.worker.spool_folder import SpoolFolder

    folder = SpoolFolder(Path(root) / store.uuid / "check")
    folder.create({"registry": store.uuid, "closed": True})
    return str(folder.root)


def withdraw_spool(store: Store, resource_id: int) -> None:
    """Take back what waits in the folder of a resource class: its jobs go another way."""
    from batchml.worker.spool_plan import spools_of

    for each in spools_of(store):
        if each.resource_id == resource_id:
            each.withdraw()
