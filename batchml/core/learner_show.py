"""How learners print."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batchml.core.show import html_table
from batchml.core.text import safe_str

if TYPE_CHECKING:
    from batchml.core.learner import Learner

__all__ = ["as_html", "as_text"]


def as_text(learner: Learner) -> str:
    """Return the lines of `repr(learner)`."""
    return "\n".join(
        [f"<{type(learner).__name__}:{learner.id}>", *(f"* {name}: {text}" for name, text in _facts(learner))]
    )


def as_html(learner: Learner) -> str:
    """Return the same as a table."""
    return html_table(f"<{type(learner).__name__}:{learner.id}>", _facts(learner))


def _facts(learner: Learner) -> list[tuple[str, str]]:
    model = learner.model
    values = ", ".join(f"{name}={safe_str(repr(value), 60)}" for name, value in learner.param_set.values.items())
    types = ", ".join(f"[{t}]" if t == learner.predict_type else t for t in learner.predict_types)
    facts = [
        ("Model", "-" if model is None else type(model).__name__),
        ("Parameters", values or "-"),
        *learner.facts(),
        ("Packages", ", ".join(learner.packages)),
        ("Predict types", types),
        ("Feature types", ", ".join(learner.feature_types)),
        ("Properties", ", ".join(sorted(learner.properties)) or "-"),
    ]
    methods = learner.encapsulate
    if set(methods.values()) != {"none"}:
        facts.append(("Encapsulation", ", ".join(f"{stage} {method}" for stage, method in methods.items())))
    if learner.fallback is not None:
        facts.append(("Fallback", learner.fallback.id))
    limits = [f"{stage} {limit:g} s" for stage, limit in learner.timeout.items() if limit is not None]
    if limits:
        facts.append(("Time limits", ", ".join(limits)))
    facts += [("Warnings", text) for text in learner.warnings] + [("Errors", text) for text in learner.errors]
    return facts
