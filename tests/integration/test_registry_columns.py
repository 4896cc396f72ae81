"""Columns of numbers come out of both databases as they went in."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sqlalchemy import BigInteger, Double, bindparam, cast, literal, null, select, union_all

from batchml.registry.columns import read_columns
from batchml.registry.store import Store

ROWS = [(2**53 + 1, 0.1), (-1, math.inf), (0, None), (1, -math.inf), (2**63 - 1, 5e-324)]


@pytest.fixture(scope="module")
def statement():
    def number(x):
        return cast(null(), Double) if x is None else literal(x, Double)

    rows = (select(literal(n, BigInteger).label("n"), number(x).label("x")) for n, x in ROWS)
    named = union_all(*rows).subquery()
    return select(named).where(named.c.n >= bindparam("least")).order_by(named.c.n)


def test_whole_numbers_are_exact_and_null_is_nan(registry_url, statement):
    with Store.create(registry_url, seed=1) as store:
        whole, real = read_columns(store, statement, (int, float), least=-5)
        some, _ = read_columns(store, statement, (int, float), least=1)
    ordered = sorted(ROWS)
    assert whole.tolist() == [n for n, _ in ordered]
    np.testing.assert_array_equal(real, np.array([x for _, x in ordered], dtype=float), strict=True)
    assert (whole.dtype, real.dtype) == (np.int64, np.float64)
    assert some.tolist() == [1, 2**53 + 1, 2**63 - 1]


def test_columns_of_no_rows_are_empty(registry_url, statement):
    with Store.create(registry_url, seed=1) as store:
        found = read_columns(store, statement.where(literal(1) == literal(0)), (int, float), least=0)
    assert [(len(column), column.dtype) for column in found] == [(0, np.int64), (0, np.float64)]
