"""The model in a real browser: operations against NumPy and SciPy, solutions against the kernels."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.special
from conftest import need
from models import Dosing, LynxHare, Room

import workbench as wb
from workbench.base.clock import Clock
from workbench.base.errors import DeclarationError
from workbench.declare.program import SCALAR, Operation, Program
from workbench.declare.written.declaration import declared
from workbench.domains.patients.pharmacokinetics import OneCompartmentOral
from workbench.recipe.catalogue import catalogue
from workbench.simulate.browser.javascript import _body, engine, plan, refusal, script
from workbench.simulate.kernel import solve
from workbench.simulate.members import gather
from workbench.simulate.scenario import build_schedule


def evaluate(folder: Path, code: str) -> Any:
    """Return what JavaScript evaluates to in Chromium, without a network."""
    path = shutil.which("chromium") or "/usr/bin/chromium"
    need(Path(path).exists(), "Debian's chromium")
    page = folder / "page.html"
    page.write_text(
        f"<!doctype html><title></title><script>document.title = JSON.stringify((() => {{{code}}})())</script>"
    )
    command = [path, "--headless", "--no-sandbox", "--disable-gpu", "--host-resolver-rules=MAP * ~NOTFOUND",
               f"--user-data-dir={folder / 'profile'}", "--dump-dom", f"file://{page}"]  # fmt: skip
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)
    title = re.search(r"<title>(.*?)</title>", done.stdout, re.DOTALL)
    assert title, done.stderr[-500:]
    assert title[1], "the script threw"
    return json.loads(title[1].replace("&amp;", "&").replace("&lt;", "<").replace("&gt;", ">"))


GRID = [-7.5, -2.5, -1.0, -0.3, 0.0, 1e-9, 0.2, 0.7, 1.0, 1.9, 2.1, 3.5, 9.0, 40.0]
ARITY = {"where": 3} | dict.fromkeys(
    ["add", "sub", "mul", "div", "pow", "mod", "arctan2", "minimum", "maximum", "lt", "le", "gt", "ge", "eq", "ne",
     "and", "or"], 2,
)  # fmt: skip


@pytest.fixture(scope="module")
def operations(tmp_path_factory):
    """What the browser makes of every operation on a grid; NaN and infinities as words."""
    functions = []
    for name in SCALAR:
        arity = ARITY.get(name, 1)
        made = Program(("x0", "x1", "x2")[:arity], (Operation(name, tuple(range(arity))),), (arity,))
        functions.append(
            f"{json.dumps(name)}: (x) => {{ const f = []; {' '.join(_body(made, ['f[0]']))} return f[0]; }}"
        )
    cases = {name: arguments(name) for name in SCALAR}
    code = f"""{engine()}
        const functions = {{{", ".join(functions)}}}, cases = {json.dumps(cases)}, found = {{}};
        for (const name in cases) found[name] = cases[name].map((x) => String(+functions[name](x)));
        return found;"""
    return evaluate(tmp_path_factory.mktemp("operations"), code)


def arguments(name: str) -> list[list[float]]:
    match ARITY.get(name, 1):
        case 1:
            return [[a] for a in GRID]
        case 2:
            return [[a, b] for a in GRID for b in GRID[::2]]
    return [[a, 2.0, 3.0] for a in GRID]


@pytest.mark.parametrize("name", SCALAR)
def test_operations(operations, name):
    exact = {"erf": scipy.special.erf, "erfc": scipy.special.erfc, "gammaln": scipy.special.gammaln}.get(
        name, SCALAR[name]
    )
    with np.errstate(all="ignore"):
        expected = [float(exact(*case)) for case in arguments(name)]
    found = [float(text.replace("Infinity", "inf")) for text in operations[name]]
    assert any(np.isfinite(expected))
    np.testing.assert_allclose(found, expected, rtol=2e-13, atol=1e-300)


CASES: dict[str, tuple[wb.Ode, list[float], dict[str, Any]]] = {
    "one compartment": (OneCompartmentOral(), [0.0, 0.25, 1.0, 5.0, 12.0, 24.0], {"dose": {0.0: 320.0, 8.0: 100.0}}),
    "lynx and hare": (LynxHare(), list(np.arange(1900.0, 1921.0)), {}),
    "room": (
        Room(),
        list(np.linspace(0, 48, 97)),
        {"To": {0.0: 5.0, 20.0: -3.0, 48.0: 8.0}, "Q": {0.0: 0.0, 7.5: 2.0, 22.0: 0.5}},
    ),
    "dosing": (
        Dosing(),
        [1.0, 2.0, 3.5, 9.0],
        {"dose": {0.5: 100.0, 2.0: 50.0}, "infusion": {0.0: 3.0, 4.0: 0.0}, "release": {0.0: 0.0, 9.0: 2.0}},
    ),
}  # fmt: skip
HOURS = [0.0, 0.5, 2.0, 7.0, 24.0]
DOSES = {"dose": {0.0: 30.0, 6.0: 10.0}}
DOMAINS: dict[str, tuple[list[float], dict[str, Any]]] = {
    "patients: OneCompartmentOral": (HOURS, DOSES),
    "patients: OneCompartmentOralByWeight": (HOURS, {**DOSES, "weight": 62.0}),
    "patients: OneCompartmentNewborn": (HOURS, {**DOSES, "weight": 1.4, "asphyxia": 1.0}),
    "patients: TwoCompartmentIntravenous": (HOURS, DOSES),
    "patients: Glucose": (
        list(np.arange(0.0, 480.0, 5.0)),
        {"basal": {0.0: 0.012, 200.0: 0.02}, "bolus": {30.0: 4.0}, "meal": {35.0: 50.0}, "kick": {100.0: 0.5}},
    ),
    "patients: Circulation": (
        list(np.arange(0.0, 2.5, 0.05)),
        {
            "beat": {0.63 * k: 0.63 * k for k in range(5)},
            "chest": {0.3 * k: float(np.sin(0.3 * k)) for k in range(10)},
            "tip": {0.0: 0.0},
        },
    ),
    "bridges: Bearings": (
        [0.0, 5.0, 600.0, 9000.0],
        {
            "air": {0.0: 0.0, 9000.0: 2.0},
            "in_first": {0.0: 0.0, 500.0: 1.0},
            "on_axis": {0.0: 0.0},
            "in_second": {0.0: 0.0},
        },
    ),
    "power_plants: Drift": ([0.0, 1.0, 10.0, 400.0], {}),
    "power_plants: GasTurbine": (
        [0.0, 1.0, 1.5, 2.0],
        {
            "T_ambient": {0.0: 12.0, 2.0: 25.0},
            "p_ambient": {0.0: 1013.0, 2.0: 1001.0},
            "humidity": {0.0: 0.8, 2.0: 0.5},
            "discharge": {0.0: 12.0, 2.0: 11.5},
            "exhaust": {0.0: 546.0, 2.0: 549.0},
            "schedule": {0.0: 1.0, 2.0: -0.5},
        },
    ),
    "bridges: Inspected": (
        [0.0, 2.0, 4.0],
        {"before": {0.0: 80.0, 2.0: 72.0, 4.0: 65.0}, "years": {0.0: 2.0}, "age": {0.0: 10.0, 2.0: 55.0, 4.0: 90.0}},
    ),
}
"""Of each model of a domain, times in its unit and what acts on it."""
CASES |= {name: (declared(catalogue()[name]), *DOMAINS[name]) for name in DOMAINS}


def test_every_model_of_a_domain_is_among_the_cases() -> None:
    known = {name for name, plain in catalogue().items() if plain["kind"] != "Map"}
    running = {name for name in known if refusal(declared(catalogue()[name])) is None}
    assert running - set(DOMAINS) == set(), "add it to DOMAINS"


def posed(model: wb.Ode, times: list[float], inputs: dict[str, Any]) -> tuple[Any, Any]:
    """Return theta (1, 1, parameters) and what acts, without process noise."""
    clock = Clock.of(np.array(times), model.time_unit)
    ends = np.array(times[:1]), np.array(times[-1:])
    theta, _ = gather(model, None)
    return theta.values, build_schedule(model, inputs, units=None, begin=ends[0], end=ends[1], clock=clock)


def prepared(model: wb.Ode, times: list[float], inputs: dict[str, Any]) -> tuple[str, Any]:
    """Return the model's script, and theta, the plan and times as data."""
    theta, schedule = posed(model, times, inputs)
    return script(model), {"theta": theta[0, 0].tolist(), "plan": plan(schedule), "times": times}


@pytest.fixture(scope="module")
def solutions(tmp_path_factory):
    codes = []
    for name, case in CASES.items():
        text, data = prepared(*case)
        codes.append(
            f"{{ {text} const d = {json.dumps(data)}; const s = solve(model, method, d.theta, d.plan, d.times, "
            f"{{rtol: 1e-9, atol: 1e-12}}); found[{json.dumps(name)}] = {{status: s.status, steps: s.steps, "
            f"states: [...s.states], outputs: [...s.outputs]}}; }}"
        )
    return evaluate(
        tmp_path_factory.mktemp("solutions"), f"{engine()} const found = {{}}; {' '.join(codes)} return found;"
    )


@pytest.mark.parametrize("name", CASES)
def test_solutions_are_those_of_the_kernel(solutions, name):
    model, times, inputs = CASES[name]
    tight = type(model.name, (type(model),), {"rtol": 1e-11, "atol": 1e-13, "__doc__": "The same, tighter."})()
    theta, schedule = posed(tight, times, inputs)
    exact = solve(tight, theta, schedule, rows=np.array([0, len(times)]), times=np.array(times))
    made = solutions[name]
    assert made["status"] == 0
    for kind, known in (("states", exact.states[0]), ("outputs", exact.outputs[0])):
        np.testing.assert_allclose(np.reshape(made[kind], known.shape), known, rtol=1e-6, atol=1e-9, err_msg=kind)


def test_what_fails_says_so(tmp_path):
    class Blast(wb.Ode):
        """x' = x^2 from 1: infinite at t = 1."""

        time_unit = "s"
        x = wb.State("1", start=1.0)
        k = wb.Parameter("1/s", value=1.0)
        y = wb.Output("1")

        def rhs(self, t, x, u, p):
            return {"x": p.k * x.x**2}

        def observe(self, t, x, u, p):
            return {"y": x.x}

    text, data = prepared(Blast(), [0.0, 0.5, 2.0], {})
    code = f"{engine()} {text} const d = {json.dumps(data)}; const s = solve(model, method, d.theta, d.plan, d.times);"
    found = evaluate(tmp_path, f"{code} return [s.status, ...[...s.outputs].map(String)];")
    assert found[0] in (1, 2)
    assert float(found[1]) == 1.0
    assert float(found[2]) == pytest.approx(2.0, rel=1e-6)
    assert found[3] == "NaN"


def test_models_that_a_browser_cannot_run():
    class Bounce(wb.Ode):
        """A ball."""

        time_unit = "s"
        height = wb.State("m", start=1.0)
        speed = wb.State("m/s", start=0.0)
        floor = wb.Event("m", direction="falling")

        def rhs(self, t, x, u, p):
            return {"height": x.speed, "speed": -9.81}

        def events(self, t, x, u, p):
            return {"floor": x.height}

    with pytest.raises(DeclarationError, match=r"got Bounce has events; expected a wb.Ode of at most 64 states"):
        script(Bounce())
