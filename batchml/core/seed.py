"""Random numbers that come from identity: a seed for every named thing, never from order or row numbers."""

from __future__ import annotations

import functools
import hashlib
import json
import random
import secrets
import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from batchml.arguments import count

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "check_root",
    "derive",
    "draw_root",
    "fill_random_state",
    "first_of_permutation",
    "permutation",
    "random_state_at",
    "root_of",
    "seed_globals",
]

_BLOCK = 1 << 16  # stays in the processor's cache

_ROOT_BITS = 63


def draw_root() -> int:
    """Return a fresh root seed of 63 bits from the operating system."""
    return secrets.randbits(_ROOT_BITS)


def check_root(seed: Any) -> int:
    """Return a root seed, or refuse what is none.

    Raises
    ------
    ConfigError
        It is no whole number of at most 63 bits.
    """
    if type(seed) is int and 0 <= seed < 1 << _ROOT_BITS:
        return seed
    return count(seed, "a seed", most=(1 << _ROOT_BITS) - 1)


def root_of(seed: int | None) -> int:
    """Return a root seed; None draws one."""
    return draw_root() if seed is None else check_root(seed)


def derive(root: int, *path: str | int) -> int:
    """Return the 63-bit seed of the thing that `path` names under a root seed.

    Parameters
    ----------
    root
        0 <= root < 2**63: the study's seed, or one derived before.
    path
        Names and numbers; ``("a", "b")``, ``("ab",)``, ``("1",)`` and ``(1,)`` are different things.

    Notes
    -----
    `numpy.random.SeedSequence` (whose algorithm numpy promises to keep) over the words of the root and of
    sha256(path).
    """
    state = _sequence(*_root_words(root), *_path_words(path)).generate_state(1, np.uint64)
    return int(state[0]) >> 1


def permutation(seed: int, n: int) -> NDArray[np.int64]:
    """Return a random order of 0..n-1.

    Sorted raw output of PCG64: the bit stream is fixed for good, while numpy's `Generator.permutation` may change.
    """
    raw = np.random.PCG64(_sequence(*_root_words(seed))).random_raw(n)
    return np.argsort(raw, kind="stable").astype(np.int64, copy=False)


def first_of_permutation(seed: int, n: int, k: int) -> NDArray[np.bool_]:
    """Return which of 0..n-1 are among the first `k` of `permutation`, in linear time and the memory of one pass."""
    found = np.zeros(n, dtype=bool)
    if not 0 < k < n:
        found[:] = k > 0
        return found
    raw = np.random.PCG64(_sequence(*_root_words(seed))).random_raw(n)
    raw.partition(k - 1)
    last = raw[k - 1]
    del raw  # drawn once more, a block at a time, rather than kept
    stream = np.random.PCG64(_sequence(*_root_words(seed)))
    for start in range(0, n, _BLOCK):
        part = stream.random_raw(min(_BLOCK, n - start))
        found[start : start + len(part)] = part <= last
    extra = int(np.count_nonzero(found)) - k
    if extra:  # equal numbers keep their order, so the last of those that are as large as the largest are too many
        equal = np.random.PCG64(_sequence(*_root_words(seed))).random_raw(n) == last
        found[np.flatnonzero(equal)[-extra:]] = False
    return found


def seed_globals(seed: int) -> None:
    """Seed `random`, numpy's global generator and, if it is loaded, torch."""
    random.seed(derive(seed, "global", "random"))
    np.random.seed(derive(seed, "global", "numpy") >> 31)  # noqa: NPY002  # learners use the global generator
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.manual_seed(derive(seed, "global", "torch"))


def fill_random_state(estimator: Any, seed: int) -> None:
    """Give every `random_state` that is None an int from (seed, parameter path), in place; ints stay.

    Call it on a clone. Nested estimators and splitters are found in parameters, also inside lists, tuples and
    dicts; the path of a step is what `set_params` would call it.
    """
    for path, owner in _owners_of_random_state(estimator, "", set()):
        value = random_state_at(seed, path)
        # scikit-learn's set_params does the same after listing all parameters, which costs ten times as much.
        if "random_state" in getattr(owner, "__dict__", {}) or not hasattr(owner, "set_params"):
            owner.random_state = value
        else:
            owner.set_params(random_state=value)


def random_state_at(seed: int, path: str) -> int:
    """Return what `fill_random_state` sets at a parameter path."""
    return derive(seed, "random_state", path) >> 32


def _owners_of_random_state(value: Any, path: str, seen: set[int]) -> Iterator[tuple[str, Any]]:
    """Yield (path of the parameter, object) for each `random_state` that is None."""
    if isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield from _owners_in_item(item, path, index, seen)
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _owners_of_random_state(item, f"{path}[{key!r}]", seen)
    elif id(value) not in seen and not isinstance(value, type):
        # One object used twice keeps one seed: the first path decides.
        seen.add(id(value))
        yield from _owners_in_object(value, f"{path}__" if path else "", seen)


def _owners_in_item(item: Any, path: str, index: int, seen: set[int]) -> Iterator[tuple[str, Any]]:
    if isinstance(item, tuple) and len(item) > 1 and isinstance(item[0], str) and hasattr(item[1], "get_params"):
        prefix = path.rpartition("__")[0]
        yield from _owners_of_random_state(item[1], f"{prefix}__{item[0]}" if prefix else item[0], seen)
    else:
        yield from _owners_of_random_state(item, f"{path}[{index}]", seen)


def _owners_in_object(value: Any, prefix: str, seen: set[int]) -> Iterator[tuple[str, Any]]:
    if hasattr(value, "get_params"):
        params = value.get_params(deep=False)
        if "random_state" in params and params["random_state"] is None:
            yield f"{prefix}random_state", value
        for name in sorted(params):
            yield from _owners_of_random_state(params[name], f"{prefix}{name}", seen)
    elif _is_unseeded_splitter(value):
        yield f"{prefix}random_state", value


def _is_unseeded_splitter(value: Any) -> bool:
    """Tell whether a cross-validator would draw from numpy's global generator."""
    if not hasattr(value, "split") or not hasattr(value, "get_n_splits"):
        return False
    return getattr(value, "random_state", 0) is None and getattr(value, "shuffle", True) is not False


def _sequence(*words: int) -> np.random.SeedSequence:
    # Of an array, not of a list, of which numpy makes an array for each word: that takes twice as long as all the rest.
    return np.random.SeedSequence(np.array(words, dtype=np.uint32))


def _root_words(root: int) -> list[int]:
    root = check_root(root)
    return [root & 0xFFFFFFFF, root >> 32]


@functools.lru_cache(maxsize=1024)
def _path_words(path: tuple[str | int, ...]) -> tuple[int, ...]:
    # Most paths are constants of the code ("stage", "train"): hashing them is half of the cost.
    parts = [part if isinstance(part, str) else int(part) for part in path]
    raw = hashlib.sha256(json.dumps(parts, separators=(",", ":")).encode("ascii")).digest()
    return tuple(int.from_bytes(raw[i : i + 4], "little") for i in range(0, 32, 4))
