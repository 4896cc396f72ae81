"""The measures that come with the package, by key."""

from __future__ import annotations

from typing import Any

from batchml.measures.costs import read_costs
from batchml.measures.table import FACTS, NAMES

__all__ = ["KEYS", "measure"]

#: For the catalogue.
KEYS: dict[str, dict[str, Any]] = {
    key: {
        "factory": "measures:measure",
        "task_type": facts.task_type or "",
        "predict_type": facts.predict_type or "",
        "minimize": facts.minimize,
        "lower": facts.range[0],
        "upper": facts.range[1],
        "about": facts.about,
    }
    for key, facts in FACTS.items()
}


def measure(key: str, **kwargs: Any) -> Any:
    """Return the measure of a key; keywords are parameters, id, average, predict_sets, aggregator, na_value."""
    from batchml.core.measure import Measure

    if kwargs.get("costs") is not None:
        kwargs["costs"] = read_costs(kwargs["costs"])
    from batchml.measures.similarity import MeasureSimilarity

    make = MeasureSimilarity if FACTS[key].needs == "learners" else Measure
    # Another name of a measure has the same identity, but keeps its name as the id.
    return make(NAMES.get(key, key), FACTS[key], **{"id": key, **kwargs})
