"""Who may run in the process of a Dask worker: many bundles together, or one suspect for itself."""

from __future__ import annotations

import threading

__all__ = ["DOOR", "Door"]


class Door:
    """Lets bundles in. A suspect closes it to all others, and begins when those inside have left.

    Examples
    --------
    >>> door = Door()
    >>> door.enter("a", alone=False), door.enter("suspect", alone=True), door.is_ready("suspect")
    (True, True, False)
    >>> door.enter("b", alone=False)
    False
    >>> door.leave("a")
    >>> door.is_ready("suspect")
    True
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside: set[object] = set()
        self._suspect: object | None = None

    def enter(self, who: object, *, alone: bool) -> bool:
        """Return whether a bundle is let in."""
        with self._lock:
            if self._suspect is not None:
                return False
            self._inside.add(who)
            if alone:
                self._suspect = who
            return True

    def is_ready(self, who: object) -> bool:
        """Return whether a bundle that is inside may begin."""
        with self._lock:
            return self._suspect is not who or len(self._inside) == 1

    def leave(self, who: object) -> None:
        """A bundle is over."""
        with self._lock:
            self._inside.discard(who)
            if self._suspect is who:
                self._suspect = None


DOOR = Door()
"""Of this process: what dies, dies with all that is in it, whichever supervisor it belongs to."""
