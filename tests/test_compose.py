"""A composed model is the system that one would join by hand, and what cannot be joined is refused."""
# ruff: noqa: E501, N815 - one mistake a row; names of parts and of their quantities

import math
import pickle
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytensor.tensor as pt
import pytest
import xarray as xr

import workbench as wb
from workbench.base.errors import DeclarationError, UnitError
from workbench.declare.describe import digest, document
from workbench.declare.wiring import feedthrough

UP = wb.prior.LogNormal(median=0.5, sigma=0.3)
ERROR = wb.noise.Normal(sigma=wb.prior.HalfNormal(0.1))


class Tank(wb.Ode):
    """A tank that drains as fast as it is full."""

    time_unit = "h"
    m = wb.State("kg", start="m0", bounds=(0, None))
    m0 = wb.Parameter("kg", value=3.0)
    k = wb.Parameter("1/h", prior=UP)
    inflow = wb.Input("kg/h")
    dose = wb.Input("kg", kind="impulse", into="m")
    outflow = wb.Output("kg/h", noise=ERROR, long_name="over the weir")

    def rhs(self, t, x, u, p):
        return {"m": u.inflow - p.k * x.m}

    def observe(self, t, x, u, p):
        return {"outflow": p.k * x.m}


class Gain(wb.Ode):
    """Outputs that wait for the input (`now`), that do not (`held`), and a state between them."""

    time_unit = "h"
    factor: float = 2.0
    x = wb.State("1", start=wb.prior.Normal(mu=1, sigma=1))
    u = wb.Input("1")
    now = wb.Output("1")
    held = wb.Output("1")

    def rhs(self, t, x, u, p):
        return {"x": (u.u - x.x) / wb.math.absolute(t)}

    def observe(self, t, x, u, p):
        return {"now": self.factor * u.u + x.x, "held": x.x}


class Room(wb.Ode):
    """A room that a heater keeps warm."""

    time_unit = "h"
    T = wb.State("degC", start=wb.prior.Normal(mu=15, sigma=2))
    R = wb.Parameter("K/kW", value=5.0)
    C = wb.Parameter("kWh/K", prior=UP)
    To = wb.Input("degC")
    heat = wb.Input("kW")
    air = wb.Output("degC", noise=ERROR)

    def rhs(self, t, x, u, p):
        return {"T": ((u.To - x.T) / p.R + u.heat) / p.C}

    def observe(self, t, x, u, p):
        return {"air": x.T}


class Heater(wb.Ode):
    """A heater that follows its thermostat with a delay, in other units than the room's."""

    time_unit = "min"
    q = wb.State("W", noise=6.0)
    q_max = wb.Parameter("W", value=2000.0)
    lag = wb.Parameter("min", value=12.0)
    T_set = wb.Parameter("K", value=293.15)
    gain = wb.Parameter("1/K", value=0.8)
    day = wb.Parameter("min", value=1440.0)
    T = wb.Input("K")
    boost = wb.Input("W", kind="impulse", into="q")
    power = wb.Output("W")

    def start(self, p):
        return {"q": 0.5 * p.q_max}

    def rhs(self, t, x, u, p):
        season = 1 + 0.5 * wb.math.sin(2 * np.pi * t / p.day)
        return {"q": (season * p.q_max / (1 + wb.math.exp(p.gain * (u.T - p.T_set))) - x.q) / p.lag}

    def observe(self, t, x, u, p):
        return {"power": x.q}


class House(wb.Ode):
    """Room and Heater, joined by hand."""

    time_unit = "h"
    room_T = wb.State("degC", start=wb.prior.Normal(mu=15, sigma=2))
    heater_q = wb.State("W", noise=6.0 * 60**0.5)  # 6 W a root minute
    room_R = wb.Parameter("K/kW", value=5.0)
    room_C = wb.Parameter("kWh/K", prior=UP)
    heater_q_max = wb.Parameter("W", value=2000.0)
    lag = wb.Parameter("h", value=0.2)
    T_set = wb.Parameter("degC", value=20.0)
    gain = wb.Parameter("1/K", value=0.8)
    day = wb.Parameter("h", value=24.0)
    kilo = wb.Parameter("W/kW", value=1000.0)
    To = wb.Input("degC")
    heater_boost = wb.Input("W", kind="impulse", into="heater_q")
    room_air = wb.Output("degC", noise=ERROR)
    heater_power = wb.Output("W")

    def start(self, p):
        return {"heater_q": p.heater_q_max / 2}

    def rhs(self, t, x, u, p):
        season = 1 + wb.math.sin(2 * np.pi * t / p.day) / 2
        wish = season * p.heater_q_max / (1 + wb.math.exp(p.gain * (x.room_T - p.T_set)))
        return {
            "room_T": ((u.To - x.room_T) / p.room_R + x.heater_q / p.kilo) / p.room_C,
            "heater_q": (wish - x.heater_q) / p.lag,
        }

    def observe(self, t, x, u, p):
        return {"room_air": x.room_T, "heater_power": x.heater_q}


@pytest.fixture(scope="module")
def house():
    links = {"room.heat": "heater.power", "heater.T": "room.air"}
    return wb.compose("House", {"room": Room, "heater": Heater}, links, share={"To": ["room.To"]})


def at(**values):
    return SimpleNamespace(**values)


# -- the joined system ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize("draws", [None, {"room_C": 0.8, "room_T_start": 11.0, "heater_q_max": 4000.0}])
def test_solution_is_that_of_the_system_joined_by_hand(house, draws):
    inputs = {"To": series({0: 5, 6: -5, 12: 8}), "heater_boost": series({1.5: 800, 7: -300})}
    times = np.linspace(0, 12, 25)
    ours, hand = (wb.simulate(model, times, parameters=draws, inputs=inputs, seed=1) for model in (house, House()))
    assert set(ours.data_vars) == set(hand.data_vars)
    assert np.ptp(hand["room_T"].values) > 3
    for name in hand.data_vars:
        np.testing.assert_allclose(ours[name], hand[name], rtol=1e-5)
        assert ours[name].attrs["units"] == hand[name].attrs["units"]


def series(values):
    return xr.DataArray(list(values.values()), {"time": list(values)}).astype(float)


class Two(wb.Ode):
    """Two tanks, joined by hand."""

    time_unit = "h"
    a_m = wb.State("kg", start="a_m0", bounds=(0, None))
    a_m0 = wb.Parameter("kg", value=3.0)
    k = wb.Parameter("1/h", prior=UP)
    a_inflow = wb.Input("kg/h")
    a_dose = wb.Input("kg", kind="impulse", into="a_m")
    a_outflow = wb.Output("kg/h", noise=ERROR)
    b_m = wb.State("kg", start="b_m0", bounds=(0, None))
    b_m0 = wb.Parameter("kg", value=3.0)
    b_dose = wb.Input("kg", kind="impulse", into="b_m")
    b_outflow = wb.Output("kg/h", noise=ERROR)

    def rhs(self, t, x, u, p):
        return {"a_m": u.a_inflow - p.k * x.a_m, "b_m": p.k * x.a_m - p.k * x.b_m}

    def observe(self, t, x, u, p):
        return {"a_outflow": p.k * x.a_m, "b_outflow": p.k * x.b_m}


def two(**changes):
    given = {"parts": {"a": Tank, "b": Tank()}, "connect": {"b.inflow": "a.outflow"}, "share": {"k": ["a.k", "b.k"]}}
    return wb.compose("Two", **(given | changes))


def test_declaration_is_that_of_the_system_joined_by_hand():
    assert digest(two()) == digest(Two())
    assert two().outputs["b_outflow"].long_name == "over the weir"
    assert digest(two(share={})) != digest(Two())
    assert digest(two(connect=[("a.inflow", "b.outflow")])) != digest(Two())


def test_composed_models_are_composed_again():
    class Three(wb.Ode):
        time_unit = "h"
        pair_a_m = wb.State("kg", start="pair_a_m0", bounds=(0, None))
        pair_a_m0 = wb.Parameter("kg", value=3.0)
        k = wb.Parameter("1/h", prior=UP)
        pair_a_inflow = wb.Input("kg/h")
        pair_a_dose = wb.Input("kg", kind="impulse", into="pair_a_m")
        pair_a_outflow = wb.Output("kg/h", noise=ERROR)
        pair_b_m = wb.State("kg", start="pair_b_m0", bounds=(0, None))
        pair_b_m0 = wb.Parameter("kg", value=3.0)
        pair_b_dose = wb.Input("kg", kind="impulse", into="pair_b_m")
        pair_b_outflow = wb.Output("kg/h", noise=ERROR)
        last_m = wb.State("kg", start="last_m0", bounds=(0, None))
        last_m0 = wb.Parameter("kg", value=3.0)
        last_dose = wb.Input("kg", kind="impulse", into="last_m")
        last_outflow = wb.Output("kg/h", noise=ERROR)

        def rhs(self, t, x, u, p):
            flows = p.k * x.pair_a_m, p.k * x.pair_b_m, p.k * x.last_m
            return {
                "pair_a_m": u.pair_a_inflow - flows[0],
                "pair_b_m": flows[0] - flows[1],
                "last_m": flows[1] - flows[2],
            }

        def observe(self, t, x, u, p):
            return {
                "pair_a_outflow": p.k * x.pair_a_m,
                "pair_b_outflow": p.k * x.pair_b_m,
                "last_outflow": p.k * x.last_m,
            }

    links, share = {"last.inflow": "pair.b_outflow"}, {"k": ["pair.k", "last.k"]}
    assert digest(wb.compose("Three", {"pair": two(), "last": Tank}, links, share=share)) == digest(Three())


def test_shared_inputs_and_sums():
    joined = wb.compose(
        "Delta",
        {"north": Tank, "south": Tank, "sea": Tank},
        {"sea.inflow": ["north.outflow", "south.outflow"]},
        share={"rain": ["north.inflow", "south.inflow"], "k": ["north.k", "south.k", "sea.k"]},
    )
    assert [n for n, q in joined.inputs.items() if q.kind != "impulse"] == ["rain"]
    assert joined.estimated == ("k",)
    equations = document(joined)["equations"]["rhs"]
    assert equations["south_m"] == "(u.rain - (p.k * x.south_m))"
    assert equations["sea_m"] == "(((p.k * x.north_m) + (p.k * x.south_m)) - (p.k * x.sea_m))"


def test_an_output_feeds_many_inputs_and_a_part_itself():
    joined = wb.compose("Fork", {"a": Gain, "b": Gain}, {"a.u": "a.held", "b.u": "a.now"})
    made = joined.observe(1.0, at(a_x=3.0, b_x=5.0), at(), at())
    assert made == {"a_now": 9.0, "a_held": 3.0, "b_now": 23.0, "b_held": 5.0}
    assert joined.rhs(2.0, at(a_x=3.0, b_x=5.0), at(), at()) == {"a_x": 0.0, "b_x": 2.0}


@pytest.mark.parametrize("order", ["ab", "ba"])
def test_outputs_are_evaluated_as_they_depend_on_each_other(order):
    """What seems a loop of parts is none of outputs: a.held -> b.u -> b.now -> a.u -> a.now -> c.u."""
    parts = {name: Gain(factor=10.0) if name == "b" else Gain() for name in ("c", *order)}
    joined = wb.compose("Chain", parts, {"c.u": "a.now", "a.u": "b.now", "b.u": "a.held"})
    x = at(a_x=1.0, b_x=0.5, c_x=0.25)
    b_now = 10.0 * 1.0 + 0.5
    a_now = 2.0 * b_now + 1.0
    made = joined.observe(1.0, x, at(), at())
    assert [made[f"{part}_now"] for part in "abc"] == [a_now, b_now, 2.0 * a_now + 0.25]
    assert joined.rhs(1.0, x, at(), at()) == {"a_x": b_now - 1.0, "b_x": 0.5, "c_x": a_now - 0.25}
    assert not any("nan" in text for part in document(joined)["equations"].values() for text in part.values())


def test_units_of_ports_and_of_time_are_converted(house):
    x, u = at(room_T=18.0, heater_q=500.0), at(To=3.0)
    p = at(
        room_R=5.0,
        room_C=2.0,
        heater_q_max=2000.0,
        heater_lag=12.0,
        heater_T_set=290.15,
        heater_gain=0.5,
        heater_day=1440.0,
    )
    made = house.rhs(6.0, x, u, p)  # six hours are a quarter of the heater's day
    assert made["room_T"] == pytest.approx(((3.0 - 18.0) / 5.0 + 0.5) / 2.0, rel=1e-12)
    wish = 1.5 * 2000.0 / (1 + math.exp(0.5 * (18.0 + 273.15 - 290.15)))
    assert made["heater_q"] == pytest.approx(60 * (wish - 500.0) / 12.0, rel=1e-12)  # per hour
    assert house.states["heater_q"].noise == pytest.approx(6.0 * 60**0.5, rel=1e-12)  # W per root hour
    minutes = wb.compose("House", {"room": Room, "heater": Heater}, {"room.heat": "heater.power"}, time_unit="min")
    rates = minutes.rhs(360.0, x, at(room_To=3.0, heater_T=291.15), p)
    assert rates["heater_q"] == pytest.approx(made["heater_q"] / 60, rel=1e-12)
    assert rates["room_T"] == pytest.approx(made["room_T"] / 60, rel=1e-12)


# -- a model like any other ----------------------------------------------------------------------------------------
def test_it_says_what_it_is(house):
    words = type(house).__doc__
    assert words.startswith("House, composed of room (Room), heater (Heater).\n\n- room.heat is heater.power\n")
    assert "heater_boost" in words
    assert "impulses into heater_q" in words
    assert repr(wb.compose("G", {"a": Gain(factor=3.0)})) == "G(a=Gain(factor=3.0))"
    assert "room_T" in house._repr_html_()
    assert (house.name, house.time_unit) == ("House", "h")


def test_it_is_pickled_as_its_parts_and_what_joins_them(house):
    assert digest(pickle.loads(pickle.dumps(house))) == digest(house)


def test_settings_and_tolerances_of_parts_are_kept():
    class Fine(Tank):
        rtol = 1e-9
        atol = 1e-3

    joined = wb.compose(
        "Both", {"coarse": Tank, "fine": Fine, "gain": Gain(factor=7.0)}, {"fine.inflow": "coarse.outflow"}
    )
    p = at(coarse_k=1.0, fine_k=1.0, coarse_m0=0.0, fine_m0=0.0)
    made = joined.observe(1.0, at(coarse_m=1.0, fine_m=1.0, gain_x=1.0), at(coarse_inflow=1.0, gain_u=2.0), p)
    assert made["gain_now"] == 7.0 * 2.0 + 1.0
    assert (joined.rtol, joined.atol) == (1e-9, 1e-9)
    kept = {name: (state.rtol or joined.rtol, state.atol or joined.atol) for name, state in joined.states.items()}
    assert kept == {"coarse_m": (1e-6, 1e-9), "fine_m": (1e-9, 1e-3), "gain_x": (1e-6, 1e-9)}


def test_it_can_be_calibrated():
    class Calm(Heater):
        q = wb.State("W")

    links = {"room.heat": "heater.power", "heater.T": "room.air"}
    house = wb.compose("House", {"room": Room, "heater": Calm}, links, share={"To": ["room.To"]})
    data = pd.DataFrame({"time": [0.0, 1.0, 2.0], "room_air": [15.0, 16.0, 17.0]})
    model = wb.to_pymc(house, data, inputs={"To": 4.0})
    assert {rv.name for rv in model.free_RVs} == {"room_C", "room_T_start", "room_air_sigma"}
    assert [rv.name for rv in model.observed_RVs] == ["room_air"]


class Thrown(wb.Ode):
    """A ball that bounces, and counts."""

    time_unit = "s"
    h = wb.State("m", start=10.0)
    v = wb.State("m/s", start=0.0)
    g = wb.Parameter("m/s**2", value=9.81)
    e = wb.Parameter("1", value=0.8)
    floor = wb.Input("m")
    ground = wb.Event("m", direction="falling")
    lost = wb.Event("m", direction="rising", ends=True)
    height = wb.Output("m")

    def rhs(self, t, x, u, p):
        return {"h": x.v, "v": -p.g}

    def observe(self, t, x, u, p):
        return {"height": x.h}

    def events(self, t, x, u, p):
        return {"ground": x.h - u.floor, "lost": x.h - 100.0}

    def reset(self, t, x, u, p):
        return {"ground": {"v": -p.e * x.v}}


def test_events_keep_their_parts():
    joined = wb.compose(
        "Juggler", {"low": Thrown, "high": Thrown}, {"high.floor": "low.height"}, share={"g": ["low.g", "high.g"]}
    )
    assert list(joined.thresholds) == ["low_ground", "low_lost", "high_ground", "high_lost"]
    assert (joined.thresholds["high_lost"].ends, joined.thresholds["high_ground"].direction) == (True, "falling")
    equations = document(joined)["equations"]
    assert equations["events"]["high_ground"] == "(x.high_h - x.low_h)"
    assert equations["events"]["low_ground"] == "(x.low_h - u.low_floor)"
    assert equations["reset"] == {f"{k}_ground.{k}_v": f"(negative(p.{k}_e) * x.{k}_v)" for k in ("low", "high")}


class Platform(wb.Ode):
    """What rises at a constant speed."""

    time_unit = "min"
    y = wb.State("m", start=0.0)
    speed = wb.Parameter("m/min", value=60.0)
    top = wb.Output("m")

    def rhs(self, t, x, u, p):
        return {"y": p.speed}

    def observe(self, t, x, u, p):
        return {"top": x.y}


def test_a_fed_threshold_is_met_where_the_part_that_feeds_it_is():
    """A ball that falls on a rising platform, in closed form up to the second bounce."""
    joined = wb.compose("Lift", {"ball": Thrown, "lift": Platform}, {"ball.floor": "lift.top"})
    g, speed, first = 9.81, 1.0, (-1.0 + math.sqrt(1 + 2 * 9.81 * 10)) / 9.81
    times = np.array([0.0, 0.6, 1.2, 1.4, 2.0, 2.6, 3.2])
    after = np.maximum(times - first, 0)
    fallen = 10 - g * np.minimum(times, first) ** 2 / 2
    exact = fallen + 0.8 * g * first * after - g * after**2 / 2
    assert (times > first).sum() == 4
    assert (exact > speed * times).all()
    np.testing.assert_allclose(wb.simulate(joined, times)["ball_h"], exact, rtol=1e-5)


# -- what an output depends on ---------------------------------------------------------------------------------------
class Mixed(wb.Ode):
    """Outputs by wb.math, and by PyTensor where asked for."""

    time_unit = "s"
    by_pytensor: bool = False
    x = wb.State("1", start=0.0)
    a = wb.Input("1")
    b = wb.Input("1")
    kick = wb.Input("1", kind="impulse", into="x")
    none = wb.Output("1")
    one = wb.Output("1")
    both = wb.Output("1")
    constant = wb.Output("1")

    def rhs(self, t, x, u, p):
        return {"x": u.a * u.b / t}

    def observe(self, t, x, u, p):
        exp = pt.exp if self.by_pytensor else wb.math.exp
        either = wb.math.where(x.x > 0, wb.math.maximum(u.a, 0.0), wb.math.sum([u.b, 1.0]))
        return {"none": exp(x.x), "one": exp(x.x * u.b), "both": either, "constant": 4.0}


@pytest.mark.parametrize("by_pytensor", [False, True])
def test_what_an_output_depends_on_directly_is_found(by_pytensor):
    assert feedthrough(Mixed(by_pytensor=by_pytensor)) == {
        "none": frozenset(),
        "one": frozenset("b"),
        "both": frozenset("ab"),
        "constant": frozenset(),
    }


def test_parts_may_call_pytensor():
    parts = {"m": Mixed(by_pytensor=True), "g": Gain}
    joined = wb.compose("M", parts, {"m.a": "g.now", "g.u": "m.none"}, time_unit="h")
    assert [n for n, q in joined.inputs.items() if q.kind != "impulse"] == ["m_b"]
    with pytest.raises(DeclarationError, match="call PyTensor and whose text is not known"):
        digest(joined)  # rather than one digest for all
    with pytest.raises(DeclarationError, match=r"g\.now -> m\.a -> m\.both -> g\.u -> g\.now"):
        wb.compose("M", parts, {"m.a": "g.now", "g.u": "m.both"})


# -- what cannot be joined -------------------------------------------------------------------------------------------
class Needy(Tank):
    """A tank with a setting that must be given."""

    cells: int


class Step(wb.Map):
    """No Ode."""

    time_unit = "h"
    n = wb.State("1", start=0.0)

    def step(self, t, x, u, p):
        return {"n": x.n + 1}


class Wandering(Gain):
    """A gain whose process noise is to be estimated."""

    x = wb.State("1", start=0.0, noise=wb.prior.HalfNormal(1))


class Slow(Tank):
    """A tank whose parameter is declared otherwise."""

    k = wb.Parameter("1/h", value=2.0)


PARTS = {"a": Tank, "b": Tank, "g": Gain, "h": Gain, "room": Room, "cold": Room, "heater": Heater}
MISTAKES = {
    "unknown part": ({"connect": {"c.inflow": "a.outflow"}}, "J, port 'c.inflow': got unknown part 'c'; expected one of 'a', 'b'"),
    "unknown input": ({"connect": {"b.inflw": "a.outflow"}}, "J, port 'b.inflw': got unknown input 'inflw'; expected one of 'inflow', 'dose'; did you mean 'inflow'?"),
    "unknown output": ({"connect": {"b.inflow": "a.outflw"}}, "J, port 'a.outflw': got unknown output 'outflw'; expected one of 'outflow'; did you mean 'outflow'?"),
    "turned round": ({"connect": {"a.outflow": "b.inflow"}}, "'outflow' is of kind Output; connect maps inputs to outputs"),
    "a state as output": ({"connect": {"b.inflow": "a.m"}}, "got unknown output 'm'; expected one of 'outflow'; 'm' is of kind State"),
    "no dot": ({"connect": {"b": "a.outflow"}}, "J: got port 'b'; expected text such as 'a.<input>'"),
    "no text": ({"connect": {"b.inflow": 3}}, "J: got ('b.inflow', 3) in connect; expected a mapping from inputs to outputs"),
    "no pairs": ({"connect": ["b.inflow"]}, "J: got 'b.inflow' in connect; expected a mapping from inputs to outputs"),
    "fed by nothing": ({"connect": {"b.inflow": []}}, "J: got ('b.inflow', []) in connect; expected a mapping"),
    "fed twice": ({"connect": [("b.inflow", "a.outflow"), ("b.inflow", "b.outflow")]}, "J: got input 'b.inflow' fed twice; expected it once"),
    "one output twice": ({"connect": {"b.inflow": ["a.outflow", "a.outflow"]}}, "J: got input 'b.inflow' fed twice; expected it once"),
    "impulse fed": ({"connect": {"b.dose": "a.outflow"}}, "J: got impulse 'b.dose' fed by an output; expected a continuous input: impulses stay free"),
    "wrong dimension": ({"connect": {"room.heat": "a.outflow"}}, "J: got output 'a.outflow' in 'kg/h' for input 'room.heat' in 'kW'; expected units that convert"),
    "sum across offsets": ({"connect": {"heater.T": ["room.air", "cold.air"]}}, "J: got temperatures on different scales that add up to 'heater.T'; expected each in 'K'"),
    "loop of one part": ({"connect": {"g.u": "g.now"}}, "J: got an algebraic loop, g.now -> g.u -> g.now: each of these outputs depends on its input at the same instant; expected a state somewhere"),
    "loop of two parts": ({"connect": {"h.u": "g.now", "g.u": "h.now"}}, "J: got an algebraic loop, g.now -> h.u -> h.now -> g.u -> g.now: each"),
    "loop through a sum": ({"connect": {"h.u": ["g.held", "h.held", "g.now"], "g.u": "h.now"}}, "got an algebraic loop, g.now -> h.u -> h.now -> g.u -> g.now: each"),
    "no parts": ({"parts": {}}, "J: got parts={}; expected a mapping such as {'boiler': Boiler}"),
    "part is no name": ({"parts": {"two words": Tank}}, "J: got 'two words' as a part's name; expected an identifier such as 'boiler'"),
    "part is a keyword": ({"parts": {"in": Tank}}, "J: got 'in' as a part's name"),
    "part is hidden": ({"parts": {"_a": Tank}}, "J: got '_a' as a part's name"),
    "model is no name": ({"name": "My Plant"}, "got 'My Plant' as a model's name; expected an identifier"),
    "part is no model": ({"parts": {"a": 3}}, "got 3; expected a model"),
    "part is no Ode": ({"parts": {"a": Step}}, "J: got Step() as part 'a'; expected a wb.Ode: others cannot be composed"),
    "part lacks a setting": ({"parts": {"a": Needy}}, "as part 'a' (Needy.__init__() missing 1 required positional argument: 'cells'); expected an instance"),
    "names clash": ({"parts": {"a": Tank, "a_m": wb.compose("N", {"a": Tank})}, "share": {"a_m_a_m": ["a.m0"]}}, "J: got 'a.m0' and 'a_m.a_m', which would both be named 'a_m_a_m'; expected names"),
    "shared takes a name": ({"share": {"b_m": ["a.m0"]}}, "J: got 'a.m0' and 'b.m', which would both be named 'b_m'"),
    "shared differs": ({"parts": {"a": Tank, "b": Slow}, "share": {"k": ["a.k", "b.k"]}}, "J: got 'a.k' and 'b.k' shared as 'k', which differ in prior (LogNormal(median=0.5, sigma=0.3) and None), value (None and 2.0); expected the same"),
    "shared of two kinds": ({"share": {"k": ["a.k", "a.inflow"]}}, "which differ in kind (Parameter and Input)"),
    "shared impulses": ({"share": {"dose": ["a.dose", "b.dose"]}}, "which differ in the state that an impulse goes into"),
    "shared and fed": ({"connect": {"b.inflow": "a.outflow"}, "share": {"rain": ["a.inflow", "b.inflow"]}}, "J: got 'b.inflow' shared as 'rain', and fed by an output; expected one of them"),
    "shared twice": ({"share": {"k": ["a.k", "b.k"], "l": ["a.k"]}}, "J: got 'a.k' shared as 'l', and shared as 'k'; expected one of them"),
    "shared state": ({"share": {"m": ["a.m", "b.m"]}}, "got unknown input or parameter 'm'"),
    "shared is no name": ({"share": {"k 1": ["a.k"]}}, "J: got 'k 1': ['a.k'] in share; expected an identifier and a list of ports"),
    "shared is reserved": ({"share": {"time": ["a.k"]}}, "J: got a quantity named 'time'; that name is taken, choose another"),
    "noise in another time": ({"parts": {"a": Wandering}, "time_unit": "s"}, "J: got process noise HalfNormal(sigma=1) of a.x per root 'h' in a model of time unit 's'; expected a number, or parts of one time unit"),
    "no time": ({"time_unit": "kg"}, "got 'kg'"),
}  # fmt: skip


@pytest.mark.parametrize(("given", "words"), MISTAKES.values(), ids=MISTAKES)
def test_mistakes_are_refused(given, words):
    arguments = {"name": "J", "parts": PARTS} | given
    with pytest.raises((DeclarationError, UnitError)) as caught:
        wb.compose(**arguments)
    assert words in str(caught.value)


def test_what_goes_well_beside_the_mistakes():
    assert len(wb.compose("J", PARTS).states) == 7
