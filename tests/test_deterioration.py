"""Condition of bridges: its equations by SciPy's solver and by hand, a fleet of known truth, and the inventory."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy.integrate import solve_ivp
from scipy.stats import kstest
from scipy.stats import t as student

import workbench as wb
from workbench.base.errors import DataError
from workbench.base.share import data_file
from workbench.domains.bridges.condition import CLASSES, EVERY, RISE, Inspected, Inspections, chances, declined
from workbench.domains.bridges.ontario import FILE, Network, network

HEADER = (
    "ID,STRUCTURE,HWY NAME,LATITUDE,LONGITUDE,YEAR BUILT,LAST MAJOR REHAB,LAST MINOR REHAB,# OF SPANS,DECK LENGTH,"
    "2012,2010,2008,2006,2004,2001"
)
ROWS = (
    "a,One,403,43.1,-80.2,1965,2009,,4,65,72.3,69.5,60,61,62,95",
    "b,Two,403,43.2,80.2,2006,,,1,12,,99,0,100,55,",
    "c,Three,401,43.3,-80.1,1950,,,2,30,,66,,,,",
)


def written(folder: Path, *rows: str, header: str = HEADER, above: str = "") -> Path:
    path = folder / "bridges.csv"
    path.write_text(above + "\n".join((header, *rows)) + "\n", encoding="utf-8")
    return path


def truth(**changed: float) -> dict[str, float]:
    """Parameters of a fleet."""
    return {"rate": 0.3, "decay": 0.08, "ageing": 0.02, "works": 0.06, "urgency": 0.05, "gain": 0.2} | changed


@pytest.mark.parametrize("start", [100.0, 90.0, 76.0, 75.0, 60.0])
@pytest.mark.parametrize("years", [0.0, 1.0, 2.0, 25.0])
@pytest.mark.parametrize("age", [0.0, 40.0, 90.0])
def test_the_closed_form_solves_the_equation(start: float, years: float, age: float) -> None:
    p = SimpleNamespace(**truth(), all_good=75.0, middle_age=40.0)

    def slope(_t: float, b: np.ndarray) -> np.ndarray:
        return -p.decay * np.maximum(b - 75.0, 0.0) - p.rate * np.exp(p.ageing * (age - 40.0))

    solved = solve_ivp(slope, (0, max(years, 1e-9)), [start], rtol=1e-10, atol=1e-10, max_step=0.1).y[0, -1]
    assert float(declined(start, years, age, p)) == pytest.approx(solved, abs=1e-5)


def no_luck(steps: int, **given: float) -> dict[str, xr.DataArray]:
    """Inputs by which nothing comes by chance, but for what is given at the first step."""
    quiet = {**dict.fromkeys(CLASSES, 0.0), "luck": 1.0, "factor": 1.0, "years": EVERY}
    made = {}
    for name, value in quiet.items():
        values = np.full((1, steps), value)
        values[0, 0] = given.get(name, value)
        made[name] = xr.DataArray(values, {"time": EVERY * np.arange(steps)}, ("member", "time"))
    return made


@pytest.mark.parametrize(
    ("start", "luck", "expected"),
    [
        (68.0, {}, 68.0 - 2 * 0.3),
        (68.0, {"fair": -4.0, "good": 9.0, "sound": 9.0, "new": 9.0}, 68.0 - 2 * 0.3 - 4.0),
        (70.0, {"good": -1.0}, 70.0 - 2 * 0.3 - 1.0),
        (74.0, {"sound": 0.5}, 74.0 - 2 * 0.3 + 0.5),
        (72.0, {"good": 9.0}, 72.0 + RISE),  # more would have been works
        (3.0, {"fair": -9.0}, 0.0),
        (68.0, {"luck": 0.0}, 68.0 + RISE + 0.2 * 32.0),
        (68.0, {"luck": 0.0, "factor": 50.0}, 100.0),
        (70.0, {"luck": 0.06 / 1.06 - 1e-6}, 70.0 + RISE + 0.2 * 30.0),  # odds of 0.06 at 70
        (70.0, {"luck": 0.06 / 1.06 + 1e-6}, 70.0 - 2 * 0.3),
    ],
)
def test_one_bridge_by_hand(start: float, luck: dict[str, float], expected: float) -> None:
    made = wb.simulate(
        Inspections, [0.0, 2.0], parameters=truth(), inputs=no_luck(1, **luck), start={"bci": start, "age": 40.0}
    )
    assert float(made["index"].squeeze()[-1]) == pytest.approx(expected, abs=1e-9)
    assert float(made["age"].squeeze()[-1]) == 42.0


def draws_of(count: int, **changed: float) -> xr.Dataset:
    noise = {"new": (2.0, 2.0), "sound": (1.5, 0.4), "good": (2.0, 0.7), "fair": (2.5, 1.5)}
    values = truth(**changed) | {"excess_sigma": 1.0}
    values |= {f"{name}_{key}": v for name, pair in noise.items() for key, v in zip(("nu", "sigma"), pair, strict=True)}
    return xr.Dataset({name: ("member", np.full(count, value)) for name, value in values.items()})


def test_chances_have_their_laws() -> None:
    made = chances(draws_of(4000), 2, seed=3)
    assert made["fair"].shape == (4000, 2)
    assert kstest(made["fair"].values.ravel() / 1.5, student(2.5).cdf).pvalue > 1e-3
    assert kstest(made["luck"].values.ravel(), "uniform").pvalue > 1e-3
    assert kstest(np.log(made["factor"].values.ravel()), "norm").pvalue > 1e-3
    assert made["good"].equals(chances(draws_of(4000), 2, seed=3)["good"])
    assert (chances(draws_of(5), 2, works=False)["luck"] > 1).all()


def fleet(bridges: int, steps: int, seed: int) -> tuple[Network, np.ndarray]:
    """A network whose truth is known, inspected every two years, and its rates."""
    rng = np.random.default_rng(seed)
    rates = 0.3 * np.exp(0.2 * rng.normal(size=bridges))
    names = [f"bridge {k:03d}" for k in range(bridges)]
    built = rng.integers(1950, 2000, bridges).astype(float)
    first = rng.uniform(60, 95, bridges)
    draws = draws_of(bridges)
    run = wb.simulate(
        Inspections,
        EVERY * np.arange(steps + 1),
        parameters=draws[["decay", "ageing", "works", "urgency", "gain"]].assign(rate=("member", rates)),
        inputs={**chances(draws, steps, seed=seed), "years": EVERY},
        start={"bci": first, "age": 2006.0 - built},
    )
    wide = run["index"].transpose("member", "time").values
    table = pd.DataFrame(wide, names, 2006.0 + EVERY * np.arange(steps + 1))
    readings = table.stack().rename("bci").rename_axis(["unit", "time"]).reset_index()
    return Network(pd.DataFrame({"built": built}, names), readings, {}), rates


@pytest.mark.slow
def test_a_fleet_whose_truth_is_known_is_found_again() -> None:
    """Shared numbers lie within three posterior SDs of their truth, rates of units not learnt from in their bands."""
    net, rates = fleet(300, 4, seed=2)
    learnt = net.some(net.bridges.index[:120])
    data, inputs = learnt.intervals()
    pool = {"rate": wb.Partial(sd=wb.prior.HalfNormal(0.3))}
    calibration = wb.calibrate(Inspected(), data, inputs=inputs, pool=pool, draws=500, tune=500, seed=1, progress=False)
    posterior = calibration.posterior
    expected = {n: float(v[0]) for n, v in draws_of(1).items()}
    expected["rate_pop"] = expected.pop("rate")
    scores = {}
    for name, value in expected.items():
        drawn, true = posterior[name], value
        if name not in ("ageing", "urgency"):  # of either sign
            drawn, true = np.log(drawn), np.log(true)
        scores[name] = float((drawn.mean() - true) / drawn.std())
    assert max(map(abs, scores.values())) < 3.0, scores
    data, inputs = net.some(net.bridges.index[120:]).intervals()
    made = calibration.new_units(data, inputs=inputs, draws=200, seed=1)["rate"]
    low, high = made.quantile([0.05, 0.95], ("chain", "draw")).values
    assert 0.8 < np.mean((low <= rates[120:]) & (rates[120:] <= high)) <= 1.0


def test_the_sample_is_cleaned() -> None:
    net = network()
    assert (len(net.bridges), len(net.readings)) == (497, 2586)
    assert net.readings["bci"].between(0.1, 100).all()
    assert net.readings["time"].min() >= 2003
    assert (net.bridges["longitude"] < 0).all()
    built = net.bridges["built"].reindex(net.readings["unit"]).to_numpy()
    assert (net.readings["time"].to_numpy() >= built).all()
    assert net.faults["readings of 0"] == 36
    assert net.bridge("1 - 139/")["length"] == 61.0


def test_what_is_left_of_three_bridges(tmp_path: Path) -> None:
    """The second was replaced in 2006; its 0 is no reading, and its longitude has no sign."""
    net = network(written(tmp_path, *ROWS, ROWS[0], above="# a comment\n,,GROUP,,\n"))
    assert net.readings.groupby("unit")["bci"].apply(list).to_dict() == {
        "a": [62.0, 61.0, 60.0, 69.5, 72.3],
        "b": [100.0, 99.0],
        "c": [66.0],
    }
    assert net.faults["rows that repeat another"] == 1
    assert net.faults["readings of a bridge that was replaced"] == 1
    assert net.bridge("b")["longitude"] == -80.2
    assert net.last(2009)["bci"].to_dict() == {"a": 60.0, "b": 100.0}
    assert net.last()["age"].to_dict() == {"a": 47.0, "b": 4.0, "c": 60.0}


def test_intervals_know_works_from_decline(tmp_path: Path) -> None:
    """Of the first bridge: 61 to 60, to 69.5 by works, to 72.3; of the second 100 to 99, four years apart."""
    data, inputs = network(written(tmp_path, *ROWS)).intervals()
    assert data["unit"].tolist() == ["a", "a", "a", "b"]
    assert data["fair"].tolist()[0] == 60.0
    assert data["worked"].tolist() == [0.0, 1.0, 0.0, 0.0]
    assert data["excess"].tolist()[1] == 4.5
    assert data["fair"].tolist()[2] == 72.3
    assert data["new"].tolist()[3] == 99.0
    assert data[list(CLASSES)].notna().sum(axis=1).tolist() == [1, 0, 1, 1]
    assert inputs["before"].tolist() == [61.0, 60.0, 69.5, 100.0]
    assert inputs["years"].tolist() == [2.0, 2.0, 2.0, 4.0]
    assert inputs["age"].tolist() == [41.0, 43.0, 45.0, 0.0]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda text: text.replace("DECK LENGTH", "DECK LENGHT"), "did you mean 'DECK LENGTH' by 'DECK LENGHT'"),
        (lambda text: text.replace(",72.3,", ",172.3,"), "index 172.3 of bridge 'a' in 2012; expected 0 to 100"),
        (lambda text: text.replace(",72.3,", ",fair,"), "'fair'"),
        (lambda text: text.replace("1965,2009", "1965,1909"), "rehabilitated in 1909 and built in 1965"),
        (lambda text: text.replace(",4,65,", ",4,-65,"), "length -65 m"),
        (lambda text: text.replace("b,Two", "a,Two"), "'a' in two rows that differ"),
        (lambda text: text.replace("ID,", "NUMBER,"), "no line that begins with 'ID'"),
        (lambda text: text.replace("2012,2010,2008,2006,2004,2001", "k,l,m,n,o,p"), "expected years"),
        (lambda text: "\n".join([*text.splitlines()[:1], ""]), "no reading since 2003"),
    ],
)
def test_files_that_cannot_be_used(change, words: str, tmp_path: Path) -> None:
    path = written(tmp_path, *ROWS)
    path.write_text(change(path.read_text("utf-8")), "utf-8")
    with pytest.raises(DataError, match=words.replace("(", r"\(")):
        network(path)


def test_a_file_that_is_not_there_and_a_bridge_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="which cannot be read"):
        network(tmp_path / "none.csv")
    net = network()
    with pytest.raises(DataError, match="did you mean '1 - 139/'"):
        net.bridge("1 - 139")
    with pytest.raises(DataError, match="no bridge with two readings"):
        net.some([net.readings["unit"].iloc[0]]).intervals(since=2100)
    assert data_file(FILE).stat().st_size < 80_000
