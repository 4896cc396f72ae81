"""Objects on their way between a session or slot and its own partner, where alone pickles are used."""

from __future__ import annotations

import pickle
from typing import Any

__all__ = ["dumps", "loads"]


def dumps(value: Any) -> bytes:
    """Return the pickle of a value; what ``__main__`` defines goes along by value, since a partner has another one."""
    try:
        data = pickle.dumps(value, protocol=5)
    except (pickle.PicklingError, AttributeError, TypeError):  # lambdas and local classes
        data = b"__main__"
    if b"__main__" not in data:
        return data
    import cloudpickle

    by_value: bytes = cloudpickle.dumps(value, protocol=5)
    return by_value


def loads(data: bytes) -> Any:
    """Return the value of a pickle that a partner of this process wrote, or that its own slot or session wrote."""
    return pickle.loads(data)  # noqa: S301 - both ends belong to the same user's session or slot
