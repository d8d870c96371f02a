"""Planted faults of two sensors and one parameter are told apart; evidences against exact Gaussian densities."""

import numpy as np
import pytest
import scipy.stats
import xarray as xr

import workbench as wb
from workbench.base.errors import DataError, ParameterError

TIMES = np.arange(0.0, 100.0, 0.5)
AT = 120  # a fault is from this reading on: 60 h
HEAT = {float(t): 4.0 if t % 10 else 0.0 for t in range(0, 100, 5)}
LABELS = ["nothing", "wall biased", "wall stuck", "door biased", "door stuck", "tau changed"]


class Chamber(wb.Ode):
    """A chamber heated on and off that loses heat to a room, pushed at random; two sensors look at it."""

    time_unit = "h"
    excess = wb.State("K", start=wb.prior.Normal(mu=10.0, sigma=2.0), noise=0.3)
    tau = wb.Parameter("h", prior=wb.prior.LogNormal(median=5.0, sigma=0.3))
    heat = wb.Input("K/h", kind="previous")
    wall = wb.Output("K", noise=wb.noise.Normal(sigma=0.5))
    door = wb.Output("K", noise=wb.noise.Normal(sigma=wb.prior.HalfNormal(0.5)))

    def rhs(self, t, x, u, p):
        return {"excess": u.heat - x.excess / p.tau}

    def observe(self, t, x, u, p):
        return {"wall": x.excess, "door": 0.5 * x.excess}


def planted(fault, seed, strength=1.0):
    """Readings by the exact transition of the linear equation, with a fault from AT on."""
    rng, x, states = np.random.default_rng(seed), 11.0, []
    for k in range(TIMES.size):
        if k:
            tau = 5.0 * (1 + 0.5 * strength * (fault == "tau changed" and k > AT))
            level, keep = HEAT[float(TIMES[k - 1] // 5 * 5)] * tau, np.exp(-0.5 / tau)
            x = level + (x - level) * keep + 0.3 * np.sqrt(tau / 2 * (1 - keep**2)) * rng.standard_normal()
        states.append(x)
    wall = np.array(states) + 0.5 * rng.standard_normal(TIMES.size)
    door = 0.5 * np.array(states) + 0.5 * rng.standard_normal(TIMES.size)
    seen = {"wall": wall, "door": door}
    name, _, what = fault.partition(" ")
    if what == "biased":
        seen[name][AT:] += strength
    elif what == "stuck":
        seen[name][AT:] = seen[name][AT]
    return xr.Dataset({n: ("time", v) for n, v in seen.items()}, {"time": ("time", TIMES, {"units": "h"})})


def explained(data, **given):
    given = {"parameters": {"tau": 5.0, "door_sigma": 0.5}} | given
    return wb.explain(Chamber, data, inputs={"heat": HEAT}, **given)


@pytest.mark.parametrize("fault", LABELS)
def test_a_planted_fault_is_found(fault):
    made = explained(planted(fault, 1))
    assert made["explanation"].values.tolist() == LABELS
    assert float(made["probability"].sum()) == pytest.approx(1.0)
    least = 0.5 if fault == "nothing" else 0.8  # that nothing happened is never far likelier than that a little did
    assert float(made["probability"].sel(explanation=fault)) > least, made.attrs["verdict"]
    assert made.attrs["verdict"].startswith(fault)
    if fault == "nothing":
        return
    when = made["when"].sel(explanation=fault)
    assert abs(float(when.idxmax()) - 60.0) <= 5.0  # the times tried are 5 h apart
    if fault.endswith("biased"):
        size, sd = (float(made[n].sel(explanation=fault)) for n in ("size", "size_sd"))
        assert abs(size - 1.0) < 4 * sd + 0.1
        assert f"biased since {float(when.idxmax()):g} h, by {size:.3g} K" in made.attrs["verdict"]
    if fault == "tau changed":
        assert float(made["size"].sel(explanation=fault)) == pytest.approx(7.5, rel=0.1)
        assert str(made["units"].sel(explanation=fault).values) == "h"


def test_evidences_are_those_of_the_joint_gaussian():
    """As nothing had happened it is the filter's; a bias from the first change on is one more Gaussian number."""
    data = planted("nothing", 2).isel(time=slice(0, 40))
    made = explained(data, suspects=[])
    given = {"inputs": {"heat": HEAT}, "parameters": {"tau": 5.0, "door_sigma": 0.5}}
    plain = wb.assimilate(Chamber, data, filter=wb.ExtendedKalman(gate=np.inf), **given)
    assert float(made["log_evidence"].sel(explanation="nothing")) == pytest.approx(
        float(plain["log_evidence_total"]), abs=1e-6
    )
    n, keep = 40, np.exp(-0.1)
    mean, C = np.empty(n), np.empty((n, n))
    mean[0], C[0, 0] = 10.0, 4.0
    for k in range(1, n):
        level = HEAT[float(TIMES[k - 1] // 5 * 5)] * 5.0
        mean[k] = level + (mean[k - 1] - level) * keep
        C[k, :k] = C[:k, k] = keep * C[k - 1, :k]
        C[k, k] = keep**2 * C[k - 1, k - 1] + 0.09 * 2.5 * (1 - keep**2)
    G = np.concatenate([np.eye(n), 0.5 * np.eye(n)])
    y = np.concatenate([data["wall"].values, data["door"].values])
    S = G @ C @ G.T + 0.25 * np.eye(2 * n)
    exact = scipy.stats.multivariate_normal(G @ mean, S).logpdf(y)
    assert float(plain["log_evidence_total"]) == pytest.approx(exact, abs=0.01)
    each = []
    for t in made["since"].values:
        late = np.concatenate([np.zeros(n), (data["time"].values >= t).astype(float)])
        each.append(scipy.stats.multivariate_normal(G @ mean, S + 2.5**2 * np.outer(late, late)).logpdf(y))
    biased = np.logaddexp.reduce(each) - np.log(len(each))
    assert float(made["log_evidence"].sel(explanation="door biased")) == pytest.approx(biased, abs=0.01)
    np.testing.assert_allclose(
        made["when"].sel(explanation="door biased"), np.exp(each - np.logaddexp.reduce(each)), atol=2e-3
    )


def test_odds_count():
    data = planted("nothing", 3)
    even, sure = explained(data), explained(data, odds={"nothing": 0.0})
    assert float(sure["probability"].sel(explanation="nothing")) == 0.0
    ratio = [
        float(p["probability"].sel(explanation="wall biased") / p["probability"].sel(explanation="door biased"))
        for p in (even, sure)
    ]
    assert ratio[0] == pytest.approx(ratio[1])


def test_a_posterior_says_how_uncertain_a_parameter_was():
    """Where it was known badly, that it was always otherwise explains what a change would."""
    data = planted("nothing", 4)
    draws = {"tau": (("chain", "draw"), 5.0 * np.exp(0.05 * np.random.default_rng(1).standard_normal((1, 500))))}
    posterior = xr.Dataset(draws).assign(door_sigma=(("chain", "draw"), np.full((1, 500), 0.5)))
    wrong = explained(data, parameters={"tau": 5.6, "door_sigma": 0.5})
    unsure = explained(data, parameters=posterior * 1.12 ** xr.Dataset({"tau": 1.0, "door_sigma": 0.0}))
    assert float(wrong["probability"].sel(explanation="tau changed")) > float(
        unsure["probability"].sel(explanation="tau changed")
    )


def test_mistakes_are_refused():
    data = planted("nothing", 5)
    with pytest.raises(ParameterError, match="did you mean 'tau'"):
        explained(data, suspects=["taw"])
    with pytest.raises(ParameterError, match="did you mean 'door biased'"):
        explained(data, odds={"door biassed": 2.0})
    with pytest.raises(DataError, match="expected one with a covariance"):
        explained(data, filter=wb.EnKF(members=10))
    with pytest.raises(DataError, match="got 10 times of readings; expected 15 or more"):
        explained(data.isel(time=slice(0, 10)))
    with pytest.raises(DataError, match="several units"):
        explained(data.expand_dims(unit=["a"]))


@pytest.mark.slow
@pytest.mark.parametrize(("strength", "least"), [(1.0, 114), (0.4, 84)])
def test_confusion_of_planted_faults(strength, least):
    """Twenty of each; biases of two SDs of the sensor and a tau of half as much more, then of four tenths of that."""
    table, sure = np.zeros((len(LABELS), len(LABELS)), dtype=int), []
    for row, fault in enumerate(LABELS):
        for seed in range(20):
            found = explained(planted(fault, 100 + seed, strength))["probability"].values
            table[row, np.argmax(found)] += 1
            sure.append(found.max())
    rows = zip(LABELS, table, strict=True)
    print(
        f"\n{strength=}, mean probability of the one named {np.mean(sure):.3f}, named right {np.trace(table) / 120:.3f}"
    )
    print("\n".join(f"{label:12s} {' '.join(f'{n:3d}' for n in row)}" for label, row in rows))
    assert np.trace(table) >= least
