"""Every case that R was asked is accounted for, and those that can be are replayed."""

from __future__ import annotations

import pytest
from golden_ledger import PAGE, ledgers, page

LEDGERS = ledgers()
CASES = [(topic, name) for topic, ledger in LEDGERS.items() for name in ledger.cases]
CHECKED = [
    (topic, name) for topic, name in CASES if (found := LEDGERS[topic].verdicts.get(name)) and found.check is not None
]


@pytest.fixture(scope="module", autouse=True)
def _nothing_stays():
    yield
    for ledger in LEDGERS.values():
        for ending in ledger.endings:
            ending()


@pytest.mark.parametrize(("topic", "name"), CHECKED)
def test_what_r_returned_is_returned_here_or_differs_on_purpose(topic, name):
    ledger = LEDGERS[topic]
    ledger.verdicts[name].check(ledger.cases[name])


@pytest.mark.parametrize("topic", sorted(LEDGERS))
def test_every_case_is_accounted_for(topic):
    ledger = LEDGERS[topic]
    assert set(ledger.cases) == set(ledger.verdicts)
    unexplained = [name for name, one in ledger.verdicts.items() if one.check is None and not one.why]
    assert not unexplained


def test_the_table_of_the_documentation_is_up_to_date():
    assert PAGE.read_text(encoding="utf-8") == page(), "run: python tests/golden/golden_ledger.py"
