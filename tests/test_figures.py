"""Figures and tables of calibrations: labels with units, sizes of journals, numbers that independent sums confirm."""

from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.stats
import xarray as xr
from calibrations import lynx_hare
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.text import Text

import workbench as wb
from workbench.base.errors import DataError, ParameterError
from workbench.calibrate.calibration import Calibration
from workbench.calibrate.problem import pose
from workbench.domains.patients.drug_studies import theophylline
from workbench.domains.patients.pharmacokinetics import OneCompartmentOral
from workbench.report import figures, predictive, style, tables

POOL = dict.fromkeys(["ka", "CL", "V"], "partial")


@pytest.fixture(scope="module")
def calibration() -> Calibration:
    """Return a calibration whose draws were made up, near those of the study."""
    samples, inputs = theophylline()
    problem = pose(OneCompartmentOral, samples, inputs=inputs, pool=POOL)
    rng = np.random.default_rng(0)
    shape, units = (4, 400), list(problem.units or ())
    data: dict[str, Any] = {}
    for name, median, unit, spread in (("ka", 1.56, "1/h", 0.7), ("CL", 2.8, "L/h", 0.3), ("V", 31.6, "L", 0.16)):
        middle = median * np.exp(0.1 * rng.normal(size=shape))
        data[f"{name}_pop"] = (("chain", "draw"), middle, {"units": unit, "long_name": f"{name}, median"})
        data[f"{name}_sd"] = (
            ("chain", "draw"),
            spread * np.exp(0.3 * rng.normal(size=shape)),
            {"units": "1", "long_name": f"{name}, SD"},
        )
        each = middle[..., None] * np.exp(0.2 * rng.normal(size=(*shape, 12)))
        data[name] = (("chain", "draw", "unit"), each, {"units": unit, "long_name": name})
    data["conc_sigma"] = (
        ("chain", "draw"),
        0.7 * np.exp(0.07 * rng.normal(size=shape)),
        {"units": "mg/L", "long_name": "sigma"},
    )
    attrs = {
        "model": "OneCompartmentOral",
        "pool": '{"ka": "partial", "CL": "partial", "V": "partial"}',
        "draws_asked": 400,
    }
    posterior = xr.Dataset(data, {"unit": units, "chain": range(4), "draw": range(400)}, attrs)
    statistics = xr.Dataset({"diverging": (("chain", "draw"), np.zeros(shape, dtype=bool))})
    groups = {
        "posterior": posterior,
        "sample_stats": statistics,
        "observed_data": problem.observations.to_dataset(problem.model),
    }
    return Calibration(xr.DataTree.from_dict(groups), None, problem)


@pytest.fixture(scope="module")
def observed(calibration: Calibration) -> xr.DataArray:
    return calibration.tree["observed_data"]["conc"]


@pytest.fixture(scope="module")
def drawn(calibration: Calibration, observed: xr.DataArray) -> dict[str, Figure]:
    times = np.linspace(0, 25, 60)
    _, inputs = theophylline()
    prior = predictive.prior_readings(OneCompartmentOral, times, inputs=inputs, pool=POOL, draws=50, seed=1)
    check = predictive.percentiles(observed, predictive.study_again(calibration, seed=1)["conc"])
    return {
        "measured": figures.measured(observed),
        "prior_predictive": figures.prior_predictive(prior["conc"], observed, curves=5),
        "prior_posterior": figures.prior_posterior(calibration),
        "individual_fits": figures.individual_fits(calibration, names={k: f"subject {k}" for k in inputs["dose"]}),
        "visual_predictive_check": figures.visual_predictive_check(check, observed, ticks=[0, 1, 2, 4, 8, 12, 24]),
        "ranks": figures.ranks(calibration),
        "loo_pit": figures.loo_pit(lynx_hare()),
    }


NAMES = [
    "measured",
    "prior_predictive",
    "prior_posterior",
    "individual_fits",
    "visual_predictive_check",
    "ranks",
    "loo_pit",
]


def texts(fig: Figure) -> list[tuple[str, Any]]:
    """Return every text that is drawn, with its box in pixels."""
    seen: list[Text] = []
    draw = Text.draw

    def note(text: Text, renderer: Any) -> None:
        seen.append(text)
        draw(text, renderer)

    with pytest.MonkeyPatch.context() as patch:
        canvas = FigureCanvasAgg(fig)
        canvas.draw()  # the layout settles
        patch.setattr(Text, "draw", note)
        canvas.draw()
    shown = {id(text): text for text in seen if text.get_visible() and text.get_text().strip()}
    return [(text.get_text(), text.get_window_extent()) for text in shown.values()]


@pytest.mark.parametrize("name", NAMES)
def test_no_text_over_text_and_none_cut_off(drawn: dict[str, Figure], name: str) -> None:
    found = texts(drawn[name])
    assert len(found) > 8
    width, height = drawn[name].canvas.get_width_height()
    cut = [word for word, box in found if box.x0 < -1 or box.y0 < -1 or box.x1 > width + 1 or box.y1 > height + 1]
    assert cut == []
    over = [
        (a, b)
        for (a, one), (b, two) in combinations(found, 2)
        if one.padded(-0.5).overlaps(two.padded(-0.5)) and a != b
    ]
    assert over == []


@pytest.mark.parametrize("name", NAMES)
def test_figures_fit_a_journal(drawn: dict[str, Figure], name: str) -> None:
    fig = drawn[name]
    assert fig.get_figwidth() in (style.COLUMN, style.PAGE)
    sizes = {text.get_fontsize() for text in fig.findobj(Text) if text.get_text().strip()}
    assert 6 <= min(sizes) <= max(sizes) <= 8
    words = " ".join(word for word, _ in texts(fig))
    own = {"prior_posterior": ["(L/h)", "(1/h)", "(L)", "(mg/L)"], "ranks": ["rank"], "loo_pit": ["LOO-PIT"]}
    for unit in own.get(name, ["(mg/L)", "(h)"]):
        assert unit in words


def test_ticks_that_touch_are_seen(calibration: Calibration, observed: xr.DataArray) -> None:
    check = predictive.percentiles(observed, predictive.study_again(calibration, seed=1)["conc"])
    found = texts(figures.visual_predictive_check(check, observed, ticks=[0, 0.5, 0.7, 1, 24]))
    assert any(one.overlaps(two) for (a, one), (b, two) in combinations(found, 2) if {a, b} == {"0.5", "0.7"})


def test_colours_survive_grey_print() -> None:
    def grey(colour: str) -> float:
        return float(np.dot([0.2126, 0.7152, 0.0722], to_rgb(colour)))

    shades = sorted(grey(c) for c in (style.INK, style.BLUE, style.GREY, style.PALE_BLUE, "#FFFFFF"))
    assert min(np.diff(shades)) > 0.12


def test_figures_need_no_pyplot() -> None:
    """Its state is shared, and widgets draw from other threads."""
    folder = Path(figures.__file__).parent
    assert [name for name in ("style", "curves", "figures") if "pyplot as" in (folder / f"{name}.py").read_text()] == []


def test_prior_and_posterior_are_densities(calibration: Calibration) -> None:
    fig = figures.prior_posterior(calibration, ["CL_pop", "conc_sigma"], columns=2)
    posterior, prior = fig.axes[0].lines[:2]
    x, y = posterior.get_data()
    assert np.trapezoid(y, x) == pytest.approx(1, abs=0.03)
    centre = float(np.average(x, weights=y))
    assert centre == pytest.approx(float(calibration.posterior["CL_pop"].mean()), rel=0.02)
    x, y = prior.get_data()
    np.testing.assert_allclose(y, scipy.stats.lognorm(1.0, scale=5.0).pdf(x), rtol=1e-9)
    sigma = fig.axes[1].lines[1]
    np.testing.assert_allclose(sigma.get_ydata(), scipy.stats.halfnorm(scale=2.0).pdf(sigma.get_xdata()), rtol=1e-9)


def test_individual_fits_show_each_persons_samples(drawn: dict[str, Figure], observed: xr.DataArray) -> None:
    ax = drawn["individual_fits"].axes[8]
    assert ax.get_title() == "subject 9"
    mine = observed.where(observed["unit"] == 9, drop=True)
    dots = next(line for line in ax.lines if line.get_marker() == "o")
    np.testing.assert_array_equal(np.asarray(dots.get_xydata()), np.stack([mine["time"].values, mine.values], axis=1))


def test_readings_of_a_band_have_the_noise_of_the_sensor() -> None:
    model = OneCompartmentOral()
    draws = 20_000
    sigma = xr.DataArray(np.full(draws, 0.7), dims="member")
    flat = xr.Dataset({"conc": (("member", "time"), np.tile([3.0, 8.0], (draws, 1)))}, {"time": [1.0, 2.0]})
    made = predictive.read(model, flat, xr.Dataset({"conc_sigma": sigma}), seed=3)["conc"]
    expected = scipy.stats.norm(3.0, 0.7).ppf([0.05, 0.5, 0.95])
    np.testing.assert_allclose(np.quantile(made[:, 0], [0.05, 0.5, 0.95]), expected, atol=0.03)
    np.testing.assert_allclose(made[:, 1] - made[:, 0], 5.0, atol=1e-12)


def test_people_of_the_prior() -> None:
    people = predictive.prior_units(OneCompartmentOral, pool={"CL": "partial"}, draws=40_000, seed=2)
    low, middle, high = np.quantile(people["V"], [0.05, 0.5, 0.95])
    assert [low, middle, high] == pytest.approx(scipy.stats.lognorm(1.0, scale=42.0).ppf([0.05, 0.5, 0.95]), rel=0.04)
    logs = np.log(people["CL"].values)
    assert logs.mean() == pytest.approx(np.log(5.0), abs=0.03)
    assert logs.var() == pytest.approx(1.0 + 1.0, rel=0.05), "the population's median, and people around it"
    assert people["conc_sigma"].attrs["units"] == "mg/L"


def test_prior_readings_are_simulated_and_read() -> None:
    made = predictive.prior_readings(
        OneCompartmentOral, [0.0, 1.0, 5.0], inputs={"dose": {0.0: 320.0}}, draws=400, seed=5
    )
    people = predictive.prior_units(OneCompartmentOral, draws=400, seed=5)
    outputs = wb.simulate(OneCompartmentOral, [0.0, 1.0, 5.0], parameters=people, inputs={"dose": {0.0: 320.0}})
    errors = (made["conc"] - outputs["conc"]) / people["conc_sigma"]
    assert float(errors.std()) == pytest.approx(1, abs=0.1)
    assert made["conc"].dims == ("member", "time")


def test_a_study_done_again_has_new_people_and_the_old_design(calibration: Calibration, observed: xr.DataArray) -> None:
    again = predictive.study_again(calibration, seed=4)["conc"]
    assert again.dims == ("chain", "draw", "sample")
    np.testing.assert_array_equal(again["time"], observed["time"])
    assert again.attrs["units"] == "mg/L"
    late = again.where(again["time"] > 20, drop=True)
    spread = np.log(np.maximum(late, 0.3)).std()
    within = calibration.posterior["CL"] / calibration.posterior["V"]
    assert float(spread) > 0.3 > float(np.log(within).std("unit").mean()), "people of a study differ"
    same = predictive.study_again(calibration, seed=4)["conc"]
    xr.testing.assert_identical(again, same)
    assert not np.allclose(again, predictive.study_again(calibration, seed=5)["conc"])


def test_a_study_of_people_on_their_own_says_nothing_of_others(calibration: Calibration) -> None:
    posterior = calibration.posterior.assign_attrs(pool='{"ka": "none", "CL": "partial", "V": "partial"}')
    alone = Calibration(xr.DataTree.from_dict({"posterior": posterior}), None, calibration.problem)
    with pytest.raises(ParameterError, match="'ka'"):
        predictive.study_again(alone, seed=1)


def test_percentiles_against_pandas() -> None:
    rng = np.random.default_rng(1)
    times = np.array([0.0, 1.0, 2.0, 4.0])
    values = rng.normal(size=(20, 4))
    values[3, 1] = np.nan
    observed = xr.DataArray(values, {"unit": range(20), "time": times}, ("unit", "time"), "conc", {"units": "mg/L"})
    shape = (2, 300, 20, 4)
    coords = {"unit": range(20), "time": times}
    studies = xr.DataArray(rng.normal(size=shape), coords, ("chain", "draw", "unit", "time"), "conc")
    check = predictive.percentiles(observed, studies, quantiles=(0.25, 0.5), mass=0.8, bins=4)
    frame = pd.DataFrame(values, columns=times)
    np.testing.assert_array_equal(check["time"], times)
    np.testing.assert_allclose(check["observed"], frame.quantile([0.25, 0.5]), rtol=1e-12)
    each = [studies[..., k].stack(study=("chain", "draw")).transpose("study", "unit").values for k in range(4)]
    each[1] = np.delete(each[1], 3, axis=1)  # what was not measured is not simulated either
    for k, one in enumerate(each):
        medians = np.median(one, axis=1)
        low, middle, high = np.quantile(medians, [0.1, 0.5, 0.9])
        found = [float(check[name].sel(quantile=0.5)[k]) for name in ("low", "middle", "high")]
        assert found == pytest.approx([low, middle, high], rel=1e-12)
    assert check["low"].attrs["units"] == "mg/L"


def test_readings_of_one_time_fall_into_one_bin() -> None:
    values = xr.DataArray(np.arange(9.0), {"time": ("sample", [0, 0, 0, 0, 1, 1, 2, 2, 2])}, ("sample",))
    check = predictive.percentiles(values, values.expand_dims(chain=1, draw=3), quantiles=(0.5,), bins=3)
    np.testing.assert_array_equal(check["time"], [0, 2])
    np.testing.assert_array_equal(check["observed"].squeeze(), [2.5, 7.0])


def test_names_that_are_not_known(calibration: Calibration) -> None:
    with pytest.raises(DataError, match="did you mean 'CL_pop'"):
        figures.prior_posterior(calibration, ["CL_po"])
    with pytest.raises(DataError, match="'conc'"):
        figures.individual_fits(calibration, "cons")
    with pytest.raises(DataError, match="opened without its model"):
        figures.individual_fits(Calibration(calibration.tree))
    with pytest.raises(DataError, match="did you mean 'ka_pop'"):
        tables.summary(calibration, ["ka_po"])


def test_an_estimate_beside_a_published_one() -> None:
    rng = np.random.default_rng(0)
    draws = xr.DataArray(np.exp(rng.normal(1.1, 0.1, 40_000)), dims="draw")
    found = tables.compare(draws, tables.Reference(1.0, 0.05, log=True))
    assert found.difference == pytest.approx(2.0, abs=0.02)
    assert found.scale == "SE"
    assert found.published == "2.72 (2.51–2.94)", "exp of 1 and of 1 -+ 1.598 times 0.05"
    assert found.ours.startswith("3.00 (2.5")
    plain = tables.compare(draws, tables.Reference(3.0))
    assert plain.scale == "SD"
    assert plain.published == "3.00"
    assert plain.difference == pytest.approx((float(draws.mean()) - 3.0) / float(draws.std()), rel=1e-3)


def test_a_table_of_comparison(calibration: Calibration) -> None:
    draws = {"CL": calibration.posterior["CL_pop"], "sigma": calibration.posterior["conc_sigma"]}
    table = tables.comparison(draws, {"CL": tables.Reference(1.02, 0.0853, log=True)})
    assert list(table.columns) == ["parameter", "unit", "ours", "published", "difference", "in"]
    assert table.loc[0, "unit"] == "L/h"
    assert table.loc[1, "published"] == ""
    assert "published" not in tables.comparison(draws, {})
    with pytest.raises(DataError, match="did you mean 'sigma'"):
        tables.comparison(draws, {"sigmo": tables.Reference(0.7)})


def test_a_summary_for_print(calibration: Calibration) -> None:
    table = tables.summary(calibration)
    assert table["parameter"].tolist() == ["ka_pop", "ka_sd", "CL_pop", "CL_sd", "V_pop", "V_sd", "conc_sigma"]
    median = float(calibration.posterior["V_pop"].median())
    assert float(table.set_index("parameter").loc["V_pop", "median"]) == pytest.approx(median, rel=5e-3)
    assert "89% ETI" in table
    assert set(table["verdict"]) == {"not to be trusted yet"}, "draws that were made up carry no evidence"
    assert "verdict" not in tables.summary(lynx_hare())
    bad = calibration.tree["sample_stats"].to_dataset().map(np.ones_like)
    groups = {"posterior": calibration.posterior, "sample_stats": bad}
    failed = tables.summary(Calibration(xr.DataTree.from_dict(groups), None, calibration.problem))
    assert set(failed["verdict"]) == {"not to be trusted yet"}


def test_priors_in_a_table() -> None:
    table = tables.priors(OneCompartmentOral, POOL).set_index("symbol")
    assert table.loc["CL_pop", "prior"] == "LogNormal(median=5, sigma=1)"
    low, high = scipy.stats.lognorm(1.0, scale=5.0).ppf([0.05, 0.95])
    assert table.loc["CL_pop", "90% interval"] == f"{low:.2g}–{high:.2g}"
    assert table.loc["CL_sd", "prior"] == "HalfNormal(sigma=1)"
    assert "CL_sd" not in tables.priors(OneCompartmentOral)["symbol"].tolist()
