"""Declarations as plain data: what is written means the same, and nothing that is typed is run."""

from typing import Any

import models
import numpy as np
import pytest
import stiff_models
from hypothesis import given, settings
from hypothesis import strategies as st

import workbench as wb
from workbench.base.errors import DeclarationError
from workbench.declare.describe import digest
from workbench.declare.written.code import code_of
from workbench.declare.written.declaration import declared, written
from workbench.declare.written.expression import ARGUMENTS, parse
from workbench.domains.patients import pharmacokinetics

EVERY = [
    models.Room(),
    models.LynxHare(),
    models.Dosing(),
    models.Kepler(),
    stiff_models.Robertson(),
    pharmacokinetics.OneCompartmentOralByWeight(),
    pharmacokinetics.OneCompartmentNewborn(),
]


class Ball(wb.Ode):
    """A ball that falls and bounces: events, a reset, and a start that is an expression."""

    time_unit = "s"
    rtol = 1e-8
    height, speed = wb.State("m"), wb.State("m/s", start=0.0, noise=0.1)
    drop = wb.Parameter("m", prior=wb.prior.TruncatedNormal(mu=2, sigma=1, lower=0))
    e = wb.Parameter("1", prior=wb.prior.Beta(8, 2))
    tau = wb.Parameter("s", value=3.0, long_name='"time" of \\ drag')
    floor = wb.Event("m", direction="falling")
    seen = wb.Output("m", noise=wb.noise.StudentT(sigma=wb.prior.HalfNormal(0.1)), limits=(0, None))

    def start(self, p):
        return {"height": 2 * p.drop}

    def rhs(self, t, x, u, p):
        return {"height": x.speed, "speed": wb.math.where(x.height > 0, -9.81, -x.speed * wb.math.sqrt(2) / p.tau)}

    def events(self, t, x, u, p):
        return {"floor": x.height}

    def reset(self, t, x, u, p):
        return {"floor": {"speed": -p.e * x.speed}}

    def observe(self, t, x, u, p):
        return {"seen": x.height}


class Balances(wb.Map):
    """An account with interest."""

    time_unit = "year"
    dt = 0.5
    saved = wb.State("1", start=1.0)
    rate = wb.Parameter("1", prior=wb.prior.interval("LogNormal", 0.01, 0.2))
    read = wb.Output("1", noise=wb.noise.Normal(sigma=0.1))

    def step(self, t, x, u, p):
        return {"saved": x.saved * (1 + p.rate)}

    def observe(self, t, x, u, p):
        return {"read": x.saved}


class Flow(wb.Static):
    """Flow through a pipe by its friction: an implicit equation beside a formula (Colebrook 1939)."""

    time_unit = "h"
    reynolds = wb.Input("1")
    friction = wb.State("1", start=0.02, bounds=(1e-4, 1.0))
    roughness = wb.Parameter("1", prior=wb.prior.LogNormal(median=1e-4, sigma=0.5))
    seen = wb.Output("1", noise=wb.noise.Normal(sigma=0.001))

    def residual(self, t, x, u, p):
        inner = p.roughness / 3.7 + 2.51 / (u.reynolds * wb.math.sqrt(x.friction))
        return {"friction": 1 / wb.math.sqrt(x.friction) + 2 * wb.math.log10(inner)}

    def observe(self, t, x, u, p):
        return {"seen": x.friction}


@pytest.mark.parametrize("model", [*EVERY, Ball(), Balances(), models.Line(), Flow()], ids=lambda model: model.name)
def test_what_is_written_means_the_same(model: Any) -> None:
    plain = written(model)
    again = declared(plain)
    assert digest(again) == digest(model)
    assert written(again) == plain
    names: dict[str, Any] = {"wb": wb}
    exec(code_of(plain), names)  # code that the test itself has just had printed
    assert digest(names[model.name]()) == digest(model)
    assert written(names[model.name]()) == plain


def test_its_solution_is_the_same_to_the_last_bit() -> None:
    for model, inputs in ((models.LynxHare(), None), (models.Room(), {"To": 0.0, "Q": 1.0})):
        one, other = (wb.simulate(m, np.linspace(0, 20, 9), inputs=inputs) for m in (model, declared(written(model))))
        for name in model.outputs:
            assert np.array_equal(one[name], other[name])


numbers = st.floats(0.001, 1000).map(repr)
leaves = st.sampled_from(["a", "b"]) | numbers
formulas = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.tuples(st.sampled_from("+ - * /".split()), inner, inner).map(lambda p: f"({p[1]} {p[0]} {p[2]})"),
        inner.map(lambda text: f"-{text}"),
        inner.map(lambda text: f"tanh({text})"),
        st.tuples(inner, inner).map(lambda p: f"where({p[0]} > {p[1]}, {p[0]}, minimum({p[1]}, 3))"),
        inner.map(lambda text: f"(2 + tanh({text}))**1.5"),
    ),
    max_leaves=12,
)
ORACLE = {
    "tanh": np.tanh,
    "minimum": np.minimum,
    "where": np.where,
    "__builtins__": {},
}


@settings(max_examples=200, deadline=None)
@given(formulas, st.floats(0.1, 5), st.floats(0.1, 5))
def test_a_formula_has_the_value_that_python_gives_it(text: str, a: float, b: float) -> None:
    with np.errstate(all="ignore"):
        try:
            expected = eval(text, dict(ORACLE), {"a": a, "b": b})  # of text made here
        except ZeroDivisionError:
            return
        got = parse(text, ["a", "b"], where="f").value({"a": a, "b": b})
    assert np.array_equal(np.asarray(got, dtype=float), np.asarray(expected, dtype=float), equal_nan=True)
    again = parse(parse(text, where="f").text, where="f")
    assert again == parse(text, where="f")


def test_functions_are_those_of_wb_math() -> None:
    for name, count in ARGUMENTS.items():
        assert callable(getattr(wb.math, name)), name
        letters = "abc"[:count]
        arguments = [1.4 if name == "arccosh" else 0.4, 0.5, 0.6][:count]
        direct = getattr(wb.math, name)(*arguments)
        typed = parse(f"{name}({', '.join(letters)})", where="f").value(dict(zip(letters, arguments, strict=True)))
        assert typed == direct, name


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a +* b", r"got 'a \+\* b', which is no formula \(invalid syntax at character 4\)"),
        ("a + c", r"unknown name 'c'; expected one of 'a', 'b'"),
        ("__import__('os').system('true')", r"called; expected names, numbers"),
        ("a.__class__", r"got 'a.__class__'; expected names, numbers"),
        ("a[0]", r"got 'a\[0\]'"),
        ("lambda: 1", r"got 'lambda: 1'"),
        ("[a for a in b]", r"expected names, numbers"),
        ("(a := 1)", r"expected names, numbers"),
        ("'text'", r"got 'text'"),
        ("f'{a}'", r"expected names, numbers"),
        ("True", r"got True"),
        ("a ^ 2", r"got '\^'; expected \*\* for powers"),
        ("expp(a)", r"unknown function 'expp'.*did you mean 'expm1'|unknown function 'expp'"),
        ("exp(a, b)", r"expected 1 arguments of exp"),
        ("exp(x=a)", r"expected 1 arguments of exp"),
        ("a < b < 1", r"expected names, numbers"),
        ("a and b", r"expected names, numbers"),
        ("1e999", r"number beyond 1e300"),
        ("9" * 400, r"number beyond 1e300|no formula"),
        ("(" * 300 + "a" + ")" * 300, r"no formula|nested"),
        ("-" * 3000 + "a", r"nested more than 60 deep"),
        ("a" + "+a" * 1000, r"nested more than 60 deep"),
        ("a" * 5000, r"got a formula of 5000 characters; expected at most 4000"),
        ("", r"expected a formula"),
        (None, r"expected a formula"),
        ("a\x00b", r"no formula|nested"),
        ("2**2**2**2**2**2**2", r""),
    ],
)
def test_what_is_no_formula_is_refused_in_words(text: Any, message: str) -> None:
    if not message:  # let through, and harmless: numbers are floats
        with pytest.raises(OverflowError):
            parse(text, where="f").value({})
        return
    with pytest.raises(DeclarationError, match=message) as refused:
        parse(text, ["a", "b"], where="Room.rhs['T']")
    assert str(refused.value).startswith("Room.rhs['T']: got")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "class"}, r"the name 'class'"),
        ({"name": "A b"}, r"the name 'A b'"),
        ({"kind": "Simulator"}, r"unknown kind 'Simulator'; expected one of 'Ode', 'Map', 'Static'"),
        ({"extra": 1}, r"unknown key 'extra'"),
        ({"time_unit": "hour s"}, r"time_unit"),
        ({"time_unit": None}, r"got time_unit=None; expected text"),
        ({"equations": {"rhs": {"T": "T.__init__"}}}, r"Room.rhs\['T'\]: got 'T.__init__'"),
        ({"equations": {"rhs": {"T": "-T_meas / C"}}}, r"Room.rhs\['T'\]: got unknown name 'T_meas'"),
        ({"equations": {"run": {"T": "1"}}}, r"unknown equations 'run'"),
        ({"equations": {"rhs": {"T": "R"}}}, r"Room.rhs"),
        ({"quantities": {"T": {"quantity": "Stat", "unit": "K"}}}, r"unknown quantity 'Stat'.*did you mean 'State'"),
        ({"quantities": {"T": {"quantity": "State"}}}, r"T: got no unit"),
        ({"quantities": {"T": {"quantity": "State", "unit": "K", "begin": 1}}}, r"unknown argument 'begin'"),
        ({"quantities": {"__x": {"quantity": "State", "unit": "K"}}}, r"got the name '__x'; expected.*a letter first"),
        ({"quantities": {"__init__": {"quantity": "State", "unit": "K"}}}, r"got the name '__init__'"),
        ({"words": 3}, r"got words=3; expected text"),
        ({"rtol": "small"}, r"got rtol='small'; expected a number"),
        ({"quantities": ["T"]}, r"expected names with what belongs to them"),
    ],
)
def test_a_written_declaration_that_cannot_be_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(DeclarationError, match=message):
        declared({**written(models.Room()), **change})


def test_what_cannot_be_written_is_said() -> None:
    class Box(wb.Simulator):
        """Somebody else's code."""

        time_unit = "h"

        a = wb.Parameter("1", prior=wb.prior.Normal(0, 1))
        y = wb.Output("1", noise=wb.noise.Normal(sigma=1.0))

        def run(self, times, u, p):
            return {"y": p.a + 0 * times}

    class Rod(wb.Ode):
        """A rod."""

        time_unit = "s"
        cells: int = 3
        T = wb.State("K", start=1.0, dims=("cell",))
        k = wb.Parameter("1/s", value=0.1)

        def rhs(self, t, x, u, p):
            return {"T": -p.k * x.T}

    for model, message in ((Box(), "got a wb.Simulator"), (Rod(), "got the vector 'T'")):
        with pytest.raises(DeclarationError, match=message):
            written(model)
