"""Spaces as text: expressions that are computed without running code, canonical JSON, what is refused and why."""

from __future__ import annotations

import json
import math
import time

import numpy as np
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.tree import DecisionTreeClassifier

import batchml as bm
from batchml.core.spec import decode, encode
from batchml.core.trust import Trust
from batchml.errors import ConfigError, SpecError, TrustError, UnknownKeyError
from batchml.params import ParamSet, generate_design_grid, p_dbl, p_fct, p_int, p_lgl, p_uty, ps, ps_union, to_tune
from batchml.params.expression import Expression


def double(point):
    return {**point, "a": point["a"] * 2}


@pytest.mark.parametrize(
    ("text", "x", "value"),
    [
        ("10 ** x", -1, 0.1),
        ("2 ** x", 3, 8),
        ("-x + +1 - 2 * 3 / 4 // 1 % 5", 2, -2.0),
        ("x if x > 0 else -x", -3, 3),
        ("round(exp(log(x)))", 7, 7),
        ("min(x, 3) + max(x, 3) + abs(-1)", 5, 9),
        ("int(floor(x)) + ceil(x)", 1.5, 3),
        ("sqrt(x) + log2(4) + log10(100) + float(1)", 4, 7.0),
        ("{'spam': x, 'ham': 1 - x}", 0.25, {"spam": 0.25, "ham": 0.75}),
        ("(x, [x, None, True])", 1, (1, [1, None, True])),
        ("x in [1, 2] and not x == 2 or x is None", 1, True),
        ("1 < x <= 3 != 4", 3, True),
        ("'poly' if x >= 0.5 else 'rbf'", 0.2, "rbf"),
        ("x + 1", np.float64(1.5), 2.5),
        ("x + 1", np.int64(1), 2),
    ],
)
def test_expressions_are_computed(text, x, value):
    assert Expression(text)(x) == value
    assert type(Expression(text)(x)) is type(value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x x",
        "y",
        "(x).real",
        "x[0]",
        "__import__('os')",
        "x()",
        "lambda: x",
        "[i for i in x]",
        "f'{x}'",
        "x := 3",
        "x << 3",
        "x @ x",
        "~x",
        "b'x'",
        "1j",
        "...",
        "min(*x)",
        "round(x, ndigits=1)",
        "(lambda: 0)()",
        "{**x}",
        "{x}",
        "9" * 900,
        "x + " * 300 + "x",
        "(" * 500 + "x" + ")" * 500,
        "-" * 999 + "x",
        "x" * 2000,
        "await x",
        "(1).__class__.__mro__",
        "''.__class__",
        "[].__getitem__(x)",
        "__builtins__",
        "__import__",
        "getattr(x, 'a')",
        "int.__subclasses__()",
        "abs(x).__doc__",
        "'{0.__class__}'.format(x)",
        "x if x.__dict__ else 1",
        "not " * 249 + "x",
        "[" * 90 + "x" + "]" * 90 + "+" + "[" * 90 + "x" + "]" * 90 + " " * 500 + "+ 1 " * 40,
        "x\x00",
    ],
)
def test_nothing_else_is_an_expression(text):
    with pytest.raises(ConfigError):
        p_dbl(0, 1, trafo=text)


def test_rounding_to_any_number_of_digits_takes_no_time():
    started = time.perf_counter()
    assert Expression("round(x, -(10 ** 9))")(12345) == 0
    assert Expression("round(x, 10 ** 9)")(1.25) == 1.25
    assert [Expression("round(x)")(2.5), Expression("round(x, 1)")(2.25), Expression("round(x, -1)")(25)] == [
        2,
        2.2,
        20,
    ]
    assert time.perf_counter() - started < 1


@pytest.mark.parametrize(
    ("text", "x"),
    [
        ("9 ** 9 ** 9 ** 9", 1),
        ("x ** x", 10**6),
        ("x * x * x * x", 10**500),
        ("'a' * x", 10**9),
        ("[1] * x", 10**9),
        ("'%999999999d' % x", 1),
        ("1 / x", 0),
        ("log(x)", -1),
        ("x ** 0.5", -8),
        ("x ** 400", 1e300),
        ("x + 1", "a"),
        ("int(x)", math.inf),
        ("min(x)", 1),
        ("max([x, 'a'])", 1),
        ("{[x]: 1}", 1),
        ("x < 'a'", 1),
        ("round(x, 0.5)", 1),
        ("(10 ** 600) ** x", 2),
        ("2.0 ** x", 10**600),
        ("x % 0", 1),
    ],
)
def test_what_cannot_be_computed_is_one_clear_error_and_soon(text, x):
    started = time.perf_counter()
    with pytest.raises(ConfigError, match="cannot be computed for x ="):
        Expression(text)(x)
    assert time.perf_counter() - started < 1


def test_checks_may_be_expressions():
    space = ps(n=p_int(0, 10, custom_check="x % 2 == 0"), m=p_int(custom_check="True if x < 3 else 'too many'"))
    assert space.check({"n": 4, "m": 2}) is None
    assert "n: 3 does not pass its check" in space.check({"n": 3})
    assert "m: too many" in space.check({"m": 3})


def test_functions_may_be_named_by_an_import_path_that_is_trusted():
    assert ps(x=p_dbl(0, 1, trafo="numpy.exp2")).trafo({"x": 3}) == {"x": 8.0}
    space = ps(x=p_dbl(0, 1, trafo="os.system"))  # nothing is imported yet
    with pytest.raises(TrustError, match=r"os.system is not trusted"):
        space.trafo({"x": "true"})
    with pytest.raises(TrustError):
        ParamSet.from_json(space.to_json())
    with pytest.raises(UnknownKeyError):
        ps(x=p_dbl(trafo="sklearn.nowhere.function")).trafo({"x": 1})
    with pytest.raises(ConfigError, match="no import path"):
        ps(x=p_dbl(), extra_trafo="10 ** x")
    with pytest.raises(ConfigError, match="a function is a callable"):
        p_dbl(trafo=3)


def everything():
    inner = ps(u=p_dbl(0, 1), v=p_lgl(depends="u == 1"), extra_trafo="my_functions.join")
    space = ps(
        a=p_dbl(-3, 3, trafo="10 ** x", default=-0.0),
        b=p_int(1, 100, logscale=True),
        c=p_fct([0.1, (1, 2), None, math.inf], trafo="(x, x)"),
        d=p_int(0, special_vals=[math.inf, -0.0, (1,), None], tags=["t", "s"], init=(1,)),
        e=p_lgl(depends="c == '0.1' and d in [1, 2]"),
        f=p_uty(default={"y": {1: "one"}, "z": [1, (2, math.nan)]}, custom_check="x is not None"),
        g=p_dbl(1e-3, 1e3, logscale=True),
        h=p_fct({"n": None, "m": {"k": 1}}),
        i=p_uty(),
        j=p_int(1, 9),
        k=p_dbl(0, 1),
        extra_trafo="my_functions.extra",
    )
    space.values = {"f": (1, -0.0, -math.inf), "i": to_tune(inner), "j": to_tune(p_int(1, 2, trafo="x + 1"))}
    space.values["k"] = to_tune(lower=0.1, logscale=True)
    return space


@pytest.fixture
def functions(tmp_path, monkeypatch):
    """A module of the user's own."""
    (tmp_path / "my_functions.py").write_text("def join(point):\n    return {'i': sorted(point)}\n\nextra = join\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("BATCHML_TRUSTED_MODULES", "my_functions")


def test_the_round_trip_of_json_is_the_identity(functions):
    space = everything()
    text = space.to_json()
    again = ParamSet.from_json(text)
    assert again.to_json() == text
    assert repr(again) == repr(space)
    assert again.ids == space.ids
    for name, domain in space.domains.items():
        assert repr(again.domains[name]) == repr(domain)
        assert again.domains[name].lower == domain.lower
    assert math.copysign(1, again.domains["a"].default) == -1
    assert again.values["f"] == (1, -0.0, -math.inf)
    assert type(again.values["f"]) is tuple
    assert math.copysign(1, again.values["f"][1]) == -1
    assert again.domains["d"].special_vals[2] == (1,)
    assert again.domains["c"].trafo("(1, 2)") == ((1, 2), (1, 2))


def test_search_spaces_and_unions_are_stored_too(functions):
    space = everything().search_space()
    again = ParamSet.from_json(space.to_json())
    assert again.to_json() == space.to_json()
    assert generate_design_grid(again, 2).transpose() == generate_design_grid(space, 2).transpose()
    union = ps_union({"p": ps(x=p_dbl(0, 1), extra_trafo="my_functions.join"), "q": ps(y=p_lgl())})
    assert ParamSet.from_json(union.to_json()).trafo({"p.x": 1, "q.y": True}) == {"q.y": True, "p.i": ["x"]}


def test_the_json_is_canonical():
    one = ps(x=p_int(0, 9, tags=["b", "a"]), y=p_lgl(depends="x == 1"))
    two = ParamSet({"x": p_int(0, 9, tags=["a", "b"]), "y": p_lgl(depends="x == 1")})
    assert one.to_json() == two.to_json()
    assert one.to_json() == (
        '{"format":1,"params":[{"id":"x","kind":"int","lower":0,"tags":["a","b"],"upper":9},'
        '{"depends":[{"on":"x","rhs":[1]}],"id":"y","kind":"lgl","levels":[true,false]}]}'
    )
    assert ps(x=p_dbl(np.float64(0.5), np.int64(3))).to_json() == ps(x=p_dbl(0.5, 3)).to_json()


@pytest.mark.parametrize(
    ("space", "words"),
    [
        (lambda: ps(cost=p_dbl(trafo=lambda x: x)), "parameter cost: trafo is a lambda: write an expression"),
        (lambda: ps(cost=p_dbl(custom_check=lambda x: True)), "parameter cost: custom_check is a lambda"),
        (lambda: ps(cost=p_dbl(trafo=math.exp)), "parameter cost: trafo is the function exp: write an expression"),
        (lambda: ps(cost=p_dbl(trafo=np.exp)), "write its import path 'numpy.exp'"),
        (lambda: ps(cost=p_fct([1], trafo=lambda x: x)), "parameter cost: trafo is a lambda"),
        (lambda: ps(a=p_dbl(), extra_trafo=double), "extra_trafo is the function double"),
        (lambda: ps(cost=p_uty(default=object())), "parameter cost: default"),
        (lambda: bm.lrn("classif.tree").param_set, "store its search_space()"),
    ],
)
def test_what_cannot_be_stored_is_refused_by_the_name_of_its_parameter(space, words):
    with pytest.raises(SpecError) as caught:
        space().to_json()
    assert words in str(caught.value)


def test_plain_callables_work_in_a_session():
    space = ps(a=p_dbl(0, 1, trafo=lambda x: x + 1), extra_trafo=double)
    assert space.trafo({"a": 0.5}) == {"a": 3.0}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nothing",
        "[]",
        "3",
        '{"params": []}',
        '{"format": 2, "params": []}',
        '{"format": 1}',
        '{"format": 1, "params": 3}',
        '{"format": 1, "params": [3]}',
        '{"format": 1, "params": [{}]}',
        '{"format": 1, "params": [], "more": 1}',
        '{"format": 1, "params": [{"id": "x", "kind": "txt"}]}',
        '{"format": 1, "params": [{"id": "x", "colour": "red"}]}',
        '{"format": 1, "params": [{"id": "x", "kind": "int", "lower": "a"}]}',
        '{"format": 1, "params": [{"id": "x", "kind": "int", "lower": 3, "upper": 1}]}',
        '{"format": 1, "params": [{"id": "x", "trafo": "10 ** x"}]}',
        '{"format": 1, "params": [{"id": "x", "trafo": {"expression": "__import__(1)"}}]}',
        '{"format": 1, "params": [{"id": "x", "trafo": {"expression": 3}}]}',
        '{"format": 1, "params": [{"id": "x", "trafo": {"import": "builtins.eval"}}]}',
        '{"format": 1, "params": [{"id": "x", "trafo": {"import": "posix.system"}}]}',
        '{"format": 1, "params": [{"id": "x", "trafo": {"lookup": 3}}]}',
        '{"format": 1, "params": [{"id": "x", "trafo": {}}]}',
        '{"format": 1, "params": [{"id": "x", "depends": [{"on": "y", "rhs": [1]}]}]}',
        '{"format": 1, "params": [{"id": "x", "kind": "int"}], "values": {"x": "a"}}',
        '{"format": 1, "params": [{"id": "x"}], "values": {"x": {"$type": "os.system"}}}',
        "[" * 5000,
    ],
)
def test_malformed_and_hostile_texts_are_refused(text):
    with pytest.raises(ConfigError):
        ParamSet.from_json(text)


def test_spaces_are_values_of_specs():
    space = ps(x=p_int(1, 3, depends="y == True"), y=p_lgl())
    data = encode({"space": space, "token": to_tune(1, 3), "whole": to_tune(space.subset(["y"]))}, where="test")
    json.dumps(data)
    back = decode(data, trust=Trust.default())
    assert back["space"].to_json() == space.to_json()
    assert repr(back["token"]) == "to_tune(1, 3)"
    assert back["whole"].content.ids == ("y",)
    with pytest.raises(SpecError, match=r"test: .*parameter x: trafo is a lambda"):
        encode({"space": ps(x=p_dbl(trafo=lambda x: x))}, where="test")


def test_a_design_refuses_a_space_with_plain_callables_by_parameter_name():
    def learner(space):
        return bm.as_learner(make_pipeline(FunctionTransformer(kw_args={"space": space}), DecisionTreeClassifier()))

    stored = learner(ps(cost=p_dbl(-1, 1, trafo="10 ** x")))
    again = bm.Learner.from_specs(stored.model_spec())
    assert again.hash == stored.hash
    assert again.estimator[0].kw_args["space"].trafo({"cost": 1}) == {"cost": 10}
    with pytest.raises(SpecError, match=r"kw_args\['space'\]: parameter cost: trafo is a lambda"):
        learner(ps(cost=p_dbl(trafo=lambda x: x))).model_spec()
