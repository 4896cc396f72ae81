"""Learners of the catalogue that are classes of their own."""

from __future__ import annotations

from typing import Any

from batchml.core.learner import Learner

__all__ = ["KeyedLearner"]


class KeyedLearner(Learner):
    """Takes features of every type, since it looks at none, and the key under which the catalogue makes it."""

    feature_types = ("logical", "integer", "numeric", "categorical", "ordered", "datetime", "text")

    def __init__(
        self,
        *,
        key: str | None = None,
        id: str | None = None,
        predict_type: str = "response",
        **params: Any,
    ) -> None:
        self.key = key or self.key
        super().__init__(id=id, predict_type=predict_type, **params)
