"""What a declaration gives: its nouns in order, settings, inheritance, starts, and equations that call PyTensor."""

import dataclasses

import numpy as np
import pytensor.tensor as pt
import pytest
from models import Dosing, Growth, LynxHare, Room

import workbench as wb
from workbench.base.errors import DeclarationError
from workbench.declare.model import as_model
from workbench.declare.trace import differentiate, program, trace


class Tank(wb.Ode):
    """Outflow of a tank (Torricelli), in `pieces` equal parts."""

    time_unit = "min"
    level = wb.State("m", bounds=(0, 3))
    area = wb.Parameter("m**2", value=2.0)
    hole = wb.Parameter("m**2", prior=wb.prior.Uniform(0.001, 0.01))
    full = wb.Parameter("m", value=1.5)
    gravity = wb.Parameter("m/min**2", value=35316.0)
    inflow = wb.Input("m**3/min")
    depth = wb.Output("m", noise=wb.noise.Normal(sigma=wb.prior.HalfNormal(0.01)))
    pieces: int = 1

    def start(self, p):
        return {"level": p.full / self.pieces}

    def outflow(self, x, p):
        return p.hole * wb.math.sqrt(2 * p.gravity * wb.math.maximum(x.level, 0.0))

    def rhs(self, t, x, u, p):
        return {"level": (u.inflow - self.outflow(x, p)) / p.area}

    def observe(self, t, x, u, p):
        return {"depth": x.level * self.pieces}


def test_nouns_come_in_the_order_of_the_body():
    assert list(Tank.quantities) == "level area hole full gravity inflow depth".split()
    assert [q.name for q in Tank.quantities.values()] == list(Tank.quantities)
    tank = Tank()
    assert list(tank.states) == ["level"]
    assert list(tank.parameters) == ["area", "hole", "full", "gravity"]
    assert list(tank.inputs) == ["inflow"]
    assert list(tank.outputs) == ["depth"]
    assert list(tank.theta) == list(tank.parameters)
    assert tank.estimated == ("hole",)
    assert tank.name == "Tank"


def test_starts_with_priors_are_parameters():
    assert list(Dosing().start_parameters) == ["centre_start"]
    start = Dosing().start_parameters["centre_start"]
    assert (start.unit, start.name, start.prior) == ("mg", "centre_start", wb.prior.LogNormal(median=10.0, sigma=0.5))
    assert list(Dosing().theta) == ["ka", "ke", "V", "share", "centre_start"]
    assert Room().start_parameters == {}


def test_nominal_is_the_value_or_the_median():
    assert {name: q.nominal() for name, q in Tank().theta.items()} == {
        "area": 2.0, "hole": pytest.approx(0.0055), "full": 1.5, "gravity": 35316.0,
    }  # fmt: skip
    both = wb.Parameter("1", prior=wb.prior.Uniform(0, 1), value=0.2)
    assert both.nominal() == 0.2
    with pytest.raises(DeclarationError, match=r"got prior Flat.*; expected a proper prior, or a value= beside it"):
        wb.Parameter("1", prior=wb.prior.Flat()).nominal()


def test_settings_change_the_equations():
    assert [f.name for f in dataclasses.fields(Tank)] == ["pieces"]
    assert repr(Tank(pieces=3)) == "Tank(pieces=3)"
    assert Tank() == Tank(pieces=1) != Tank(pieces=3)
    assert hash(Tank()) == hash(Tank(pieces=1))
    traced = trace(Tank(pieces=3))
    point = {"t": 0.0, "x0": 0.5, "u0": 0.1, "p0": 2.0, "p1": 0.005, "p2": 1.5, "p3": 35316.0}
    assert program(traced, "start").run(point) == [0.5]
    assert program(traced, "observe").run(point) == [1.5]
    rate = (0.1 - 0.005 * np.sqrt(2 * 35316.0 * 0.5)) / 2.0
    assert program(traced, "rhs").run(point) == pytest.approx([rate])
    with pytest.raises(dataclasses.FrozenInstanceError):
        Tank().pieces = 2


def test_the_equations_run_on_plain_numbers():
    p = type("p", (), {"hole": 0.005, "gravity": 35316.0, "area": 2.0, "full": 1.5})
    x, u = type("x", (), {"level": 0.5}), type("u", (), {"inflow": 0.1})
    assert Tank().rhs(0.0, x, u, p)["level"] == pytest.approx((0.1 - 0.005 * np.sqrt(35316.0)) / 2)


def test_a_setting_without_default_is_checked_when_given():
    class Chain(wb.Ode):
        time_unit = "s"
        x = wb.State("1", start=1.0)
        k = wb.Parameter("1/s", value=1.0)
        length: int

        def rhs(self, t, x, u, p):
            return {"x": -p.k * x.x / self.length}

    assert Chain(length=2).length == 2
    with pytest.raises(TypeError, match="length"):
        Chain()


def test_a_subclass_inherits_and_overrides():
    class Leaking(Tank):
        """A tank with a leak."""

        leak = wb.Parameter("1/min", prior=wb.prior.HalfNormal(0.1))
        area = wb.Parameter("m**2", value=5.0)

        def rhs(self, t, x, u, p):
            return {"level": super().rhs(t, x, u, p)["level"] - p.leak * x.level}

    assert set(Leaking.quantities) == {*Tank.quantities, "leak"}
    assert Leaking().parameters["area"].value == 5.0
    assert Tank().parameters["area"].value == 2.0
    assert Leaking().estimated == ("hole", "leak")
    with pytest.raises(DeclarationError, match="Broken: got parameter 'extra', which no equation uses"):

        class Broken(Tank):
            extra = wb.Parameter("1", value=1.0)


def test_a_base_without_rhs_is_no_model_yet():
    class Base(wb.Ode):
        time_unit = "s"
        x = wb.State("1", start=1.0)

    with pytest.raises(DeclarationError, match=r"Base: got no rhs; expected def rhs\(self, t, x, u, p\) returning"):
        Base()

    class Whole(Base):
        def rhs(self, t, x, u, p):
            return {"x": 0.0}

    assert list(Whole().states) == ["x"]


def test_as_model():
    assert as_model(Tank) == Tank()
    tank = Tank(pieces=2)
    assert as_model(tank) is tank
    for wrong in (3.0, "Tank", dict, wb.State("1")):
        with pytest.raises(DeclarationError, match=r"expected a model, such as an instance of a subclass of wb.Ode"):
            as_model(wrong)


@pytest.mark.parametrize("model", [Room, LynxHare, Dosing, Growth, Tank], ids=lambda model: model.__name__)
def test_kinds_of_inputs_and_names_reach_the_trace(model):
    traced = trace(model())
    continuous = [name for name, q in model().inputs.items() if q.kind != "impulse"]
    assert [v.name for v in traced.inputs] == continuous
    assert [v.name for v in traced.states] == list(model().states)
    assert [v.name for v in traced.theta] == list(model().theta)
    equations = traced.equations
    assert len(equations["rhs"]) == len(equations["start"]) == len(model().states)
    assert len(equations["observe"]) == len(model().outputs)


def test_equations_may_call_pytensor():
    class Mixed(wb.Ode):
        time_unit = "s"
        a = wb.State("1", start=1.0)
        b = wb.State("1", start="b0")
        k = wb.Parameter("1", prior=wb.prior.HalfNormal(1.0))
        b0 = wb.Parameter("1", value=2.0)
        y = wb.Output("1")

        def rhs(self, t, x, u, p):
            rates = pt.dot(np.array([[-1.0, 0.5], [0.25, -2.0]]), pt.stack([x.a, x.b])) * pt.exp(-p.k)
            return {"a": rates[0], "b": pt.maximum(rates[1], -5.0)}

        def observe(self, t, x, u, p):
            return {"y": pt.as_tensor([x.a, x.b]).sum() + p.k}

    traced = trace(Mixed())
    point = {"t": 0.0, "x0": 0.3, "x1": 0.7, "p0": 0.4, "p1": 2.0}
    matrix, decay = np.array([[-1.0, 0.5], [0.25, -2.0]]), np.exp(-0.4)
    found = differentiate(traced, "rhs")
    expected = [*(matrix @ [0.3, 0.7] * decay), *matrix[0] * decay]
    run = found.program.run(point)
    assert run[:2] == pytest.approx(expected[:2])
    slopes = dict(zip(found.entries, run[2:], strict=True))
    assert [slopes[0, 0], slopes[0, 1]] == pytest.approx(expected[2:])
    assert [slopes[0, 2], slopes[1, 2]] == pytest.approx(-matrix @ [0.3, 0.7] * decay)
    assert program(traced, "observe").run(point) == pytest.approx([1.4])
