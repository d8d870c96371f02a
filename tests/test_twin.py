"""`Twin`: nothing in it changes, its verbs are those of the package, and it comes back from a store."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from models import Dosing, Room
from stored import in_layout, sampled

import workbench as wb
from workbench.base.errors import DataError, DeclarationError, StoreError
from workbench.calibrate import posterior as calibrating

TABLE = pd.DataFrame({"time": [0.0, 1.0, 3.0], "concentration [ug/mL]": [1.0, 2.0, np.nan]})
INPUTS = {"infusion": 1.0, "release": {0.0: 0.0, 9.0: 3.0}}


@pytest.fixture(scope="module")
def twin() -> wb.Twin:
    """Return a twin with everything."""
    return wb.Twin(Dosing, sampled().tree["observed_data"].to_dataset(), sampled())


def test_what_is_given_is_checked_and_kept():
    twin = wb.Twin(Dosing, TABLE)
    assert twin.model == Dosing()
    assert twin.posterior is None
    assert twin.state is None
    assert twin.observations["concentration"].values.tolist()[:2] == pytest.approx([1.0, 2.0])
    assert twin.observations["concentration"].attrs == {"units": "mg/L", "long_name": "in plasma"}
    dataset = twin.observations.assign(weight=70.0)
    assert wb.Twin(Dosing(), dataset).observations is dataset
    with pytest.raises(dataclasses.FrozenInstanceError):
        twin.model = Room()
    with pytest.raises(DataError, match="concentratoin"):
        wb.Twin(Dosing, TABLE.rename(columns={"concentration [ug/mL]": "concentratoin"}))
    with pytest.raises(DeclarationError, match="expected a model"):
        wb.Twin("Dosing")


def test_simulate_is_that_of_the_package():
    options = {"parameters": {"ka": 2.0}, "inputs": INPUTS, "start": {"depot": 5.0}}
    assert wb.Twin(Dosing).simulate([0.0, 4.0], **options).identical(wb.simulate(Dosing, [0.0, 4.0], **options))


def test_forecast_is_that_of_the_package(twin):
    options = {"inputs": {"release": 1.0}, "seed": 4}
    ours, theirs = twin.forecast([20.0, 30.0], **options), wb.forecast(sampled(), [20.0, 30.0], **options)
    assert ours.identical(theirs)
    assert wb.forecast(twin, [20.0, 30.0], **options).identical(theirs)
    assert not twin.forecast([20.0, 30.0], noise=False, **options).identical(ours)
    with pytest.raises(
        DataError, match=r"a twin without a posterior to forecast from; expected one from twin\.calibrate"
    ):
        wb.Twin(Dosing, TABLE).forecast([4.0])


def test_calibrate_gives_a_new_twin(monkeypatch):
    asked = []

    def calibrate(model, data, **options):
        asked.append((model, data, options))
        return sampled()

    monkeypatch.setattr(calibrating, "calibrate", calibrate)
    before = wb.Twin(Dosing, TABLE)
    after = before.calibrate(inputs=INPUTS, draws=10, seed=1)
    assert before.posterior is None
    assert after.posterior is sampled()
    assert after.observations is before.observations
    assert asked == [(before.model, before.observations, {"inputs": INPUTS, "draws": 10, "seed": 1})]
    with pytest.raises(DataError, match="a twin without observations to calibrate to"):
        wb.Twin(Dosing).calibrate()


@pytest.mark.parametrize("kind", ["nc", "zarr"])
def test_a_twin_comes_back(twin, tmp_path, kind):
    covariate = xr.DataArray([70, 80], dims="person", coords={"person": ["Ann", "Bob"]})
    observations = twin.observations.assign(weight=covariate)
    path = tmp_path / f"twin.{kind}"
    dataclasses.replace(twin, observations=observations).save(path)
    opened = wb.Twin.open(path, Dosing)
    assert opened.model == Dosing()
    assert opened.observations.identical(observations)
    assert opened.posterior.tree.identical(sampled().tree)
    options = {"inputs": {"release": 1.0}, "seed": 4}
    assert opened.forecast([20.0], **options).identical(twin.forecast([20.0], **options))
    assert wb.Calibration.open(path, Dosing).tree.identical(sampled().tree)


@pytest.mark.parametrize("kind", ["nc", "zarr"])
def test_a_twin_without_a_posterior_comes_back(tmp_path, kind):
    path = tmp_path / f"twin.{kind}"
    for twin in (wb.Twin(Dosing), wb.Twin(Dosing, TABLE), wb.Twin(Room)):
        twin.save(path)
        opened = wb.Twin.open(path, type(twin.model))
        assert opened.model == twin.model
        assert opened.posterior is None
        assert (opened.observations is None) == (twin.observations is None)
        assert twin.observations is None or opened.observations.identical(twin.observations)
        with pytest.raises(StoreError, match=r"got a twin without a posterior; expected Twin\.open for it"):
            wb.Calibration.open(path)
    with pytest.raises(
        StoreError, match='got a model that is not the stored one: model: got "Dosing", expected "Room"'
    ):
        wb.Twin.open(path, Dosing)


def test_a_saved_calibration_opens_as_a_twin(tmp_path):
    first = in_layout("time")
    first.save(tmp_path / "a.nc")
    twin = wb.Twin.open(tmp_path / "a.nc", Dosing)
    assert twin.observations.identical(first.tree["observed_data"].to_dataset())
    assert twin.posterior.tree.identical(first.tree)


def test_a_twin_opened_without_its_model_can_be_looked_at(twin, tmp_path):
    twin.save(tmp_path / "a.nc")
    opened = wb.Twin.open(tmp_path / "a.nc")
    assert opened.model is None
    assert "no model (opened without it)" in repr(opened)
    assert opened.posterior.summary().equals(sampled().summary())
    said = r"got a twin opened without its model; expected Twin\.open\(path, model\)"
    for verb in (lambda: opened.simulate([0.0, 1.0]), opened.calibrate, lambda: opened.save(tmp_path / "b.nc")):
        with pytest.raises(StoreError, match=said):
            verb()
    with pytest.raises(DataError, match="opened without its model"):
        opened.forecast([20.0])


def test_a_calibration_of_another_model_is_refused(tmp_path):
    with pytest.raises(
        StoreError, match="got a calibration of another model, or opened without it; expected one of the"
    ):
        wb.Twin(Room, posterior=sampled()).save(tmp_path / "a.nc")
    assert list(tmp_path.iterdir()) == []


def test_it_shows_itself(twin):
    text = repr(twin)
    assert "model         Dosing()" in text
    assert "10 of concentration measured" in text
    assert "2 chains of 200 draws" in text
    bare = wb.Twin(Room)
    assert repr(bare).splitlines()[2:] == ["  observations  no observations", "  posterior     no posterior"]
    for one, views in ((twin, 3), (bare, 1)):
        html = one._repr_html_()
        assert html.count("<summary><b>") == views
        assert html.count("<details") == html.count("</details>")
        assert html.count("<div") == html.count("</div>")
        assert "<b>posterior</b>" in html
