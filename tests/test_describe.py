"""What a declaration says of itself: its meaning changes the digest, words and layout do not."""

import dataclasses
import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from types import SimpleNamespace

import numpy as np
import pytest

import workbench as wb
from workbench.base.errors import DeclarationError
from workbench.declare.describe import differences, digest, document, table
from workbench.declare.noise import from_dict as noise_from_dict
from workbench.declare.prior import from_dict as prior_from_dict

BODY = '''
class Tank(wb.Ode):
    """A tank that drains."""

    time_unit = "h"
    level = wb.State("m", start=2.0, bounds=(0, None), long_name="height of the water")
    k = wb.Parameter("m**0.5/h", prior=wb.prior.LogNormal(median=0.5, sigma=0.3))
    area = wb.Parameter("m**2", value=4.0, bounds=(1, 10))
    inflow = wb.Input("m**3/h", kind="previous")
    rain = wb.Input("m", kind="impulse", into="level")
    gauge = wb.Output("m", noise=wb.noise.StudentT(nu=4.0, sigma=wb.prior.HalfNormal(0.1)))

    def rhs(self, t, x, u, p):
        return {"level": u.inflow / p.area - p.k * wb.math.sqrt(x.level)}

    def observe(self, t, x, u, p):
        return {"gauge": x.level}
'''


def born(*changes: tuple[str, str], **names):
    """Return the model of BODY with pieces of its text replaced."""
    body = BODY
    for old, new in changes:
        assert old in body
        body = body.replace(old, new)
    scope = {"wb": wb, **names}
    exec(body, scope)
    return scope["Tank"]()


RATE = 'return {"level": u.inflow / p.area - p.k * wb.math.sqrt(x.level)}'


@pytest.mark.parametrize(
    "change",
    [
        ('"m", start=2.0', '"m", start=2.5'),
        ('"m", start=2.0', '"m", start=wb.prior.HalfNormal(2.0)'),
        ("bounds=(0, None)", "bounds=(0, 9)"),
        ("median=0.5", "median=0.6"),
        ("median=0.5", "mu=0.5"),
        ("LogNormal(median=0.5, sigma=0.3)", "Gamma(alpha=0.5, beta=0.3)"),
        ("value=4.0", "value=4.5"),
        ('kind="previous"', 'kind="linear"'),
        ("StudentT(nu=4.0", "StudentT(nu=5.0"),
        ("HalfNormal(0.1)", "HalfNormal(0.2)"),
        ("HalfNormal(0.1)", "HalfCauchy(0.1)"),
        ('time_unit = "h"', 'time_unit = "h"\n    rtol = 1e-7'),
        ('time_unit = "h"', 'time_unit = "hour"'),
        ("u.inflow / p.area", "2 * u.inflow / p.area"),
        ("- p.k * wb.math.sqrt", "+ p.k * wb.math.sqrt"),
        ('return {"gauge": x.level}', 'return {"gauge": 1.000000000000001 * x.level}'),
    ],
    ids=lambda change: change[1][-32:],
)
def test_meaning_changes_the_digest(change):
    assert digest(born(change)) != digest(born())
    said = differences(born(change), born())
    assert said
    assert all(": got " in one and ", expected " in one for one in said)


@pytest.mark.parametrize(
    "change",
    [
        (RATE, "# water leaves by gravity (Torricelli)\n" + " " * 8 + RATE),
        (RATE, "out = p.k * wb.math.sqrt(x.level)\n" + " " * 8 + 'return {"level": (u.inflow / p.area) - out}'),
        (RATE, 'return {"level": u.inflow / p.area - p.k * outflow(x.level)}'),
        ("    def rhs(self, t, x, u, p):", '    def rhs(self, t, x, u, p):\n        """Torricelli."""'),
        ("A tank that drains.", "A tank, draining."),
        ("height of the water", "depth"),
        ("start=2.0", "start=2"),
        ("bounds=(0, None)", "bounds=[0.0, float('inf')]"),
        ("LogNormal(median=0.5, sigma=0.3)", "LogNormal(sigma=0.3, median=0.5)"),
    ],
    ids=range(9),
)
def test_words_and_layout_do_not(change):
    changed = born(change, outflow=wb.math.sqrt)
    assert differences(changed, born()) == []
    assert digest(changed) == digest(born())


def test_the_order_of_declarations_does_not():
    lines = BODY.splitlines(keepends=True)
    k = next(i for i, line in enumerate(lines) if "k = wb" in line)
    swapped = "".join([*lines[:k], lines[k + 1], lines[k], *lines[k + 2 :]])
    scope = {"wb": wb}
    exec(swapped, scope)
    assert list(scope["Tank"].quantities) != list(type(born()).quantities)
    assert digest(scope["Tank"]()) == digest(born())


def test_a_constant_counts_wherever_it_stands():
    change = (RATE, 'return {"level": u.inflow / p.area - p.k * wb.math.sqrt(x.level) * factor}')
    two, three = born(change, factor=2.0), born(change, factor=3.0)
    assert document(two)["source"] == document(three)["source"]
    assert digest(two) != digest(three)
    assert differences(three, two) == [
        'rhs.level: got "((u.inflow / p.area) - ((p.k * sqrt(x.level)) * 3.0))", '
        'expected "((u.inflow / p.area) - ((p.k * sqrt(x.level)) * 2.0))"'
    ]


def test_a_setting_counts():
    change = ('    """A tank that drains."""', "    count: int = 3\n    lengths: tuple = (1.0, 2.0)")
    tank = born(change)
    other = type(tank)(lengths=(1.0, 2.5))
    assert document(tank)["settings"] == {"count": 3, "lengths": [1.0, 2.0]}
    assert differences(other, tank) == ["settings.lengths: got [1.0, 2.5], expected [1.0, 2.0]"]
    assert digest(other) != digest(tank)
    with pytest.raises(DeclarationError, match=r"Tank\.count: got a setting of type object; expected numbers"):
        document(type(tank)(count=object()))


def test_a_quantity_that_is_gone_is_one_sentence():
    added = ("    inflow", "    leak = wb.Parameter('1', value=1.0)\n    inflow")
    used = born(added, ("p.k * wb", "p.leak * p.k * wb"))
    assert "leak: got it declared, expected no such quantity" in differences(used, born())
    assert "leak: got no such quantity, expected it declared" in differences(born(), used)


def test_digest_of_the_document_is_that_of_the_model_after_json():
    tank = born()
    read = json.loads(json.dumps(document(tank)))
    assert read == document(tank)
    assert digest(read) == digest(tank)
    assert differences(read, tank) == []
    assert differences(dataclasses.replace(tank), tank) == []


def test_document_holds_what_makes_the_same_quantities():
    quantities = document(born())["quantities"]
    model = born()
    for name, quantity in type(model).quantities.items():
        said = dict(quantities[name])
        kind = getattr(wb, said.pop("quantity"))
        if isinstance(said.get("prior"), dict):
            said["prior"] = prior_from_dict(said["prior"])
        if isinstance(said.get("noise"), dict):
            said["noise"] = noise_from_dict(said["noise"])
        if "bounds" in said:
            said["bounds"] = tuple(said["bounds"])
        assert kind(**said) == quantity


PURE = """
class Pure(wb.Ode):
    time_unit = "h"
    a = wb.State("1", start=1.0)
    k = wb.Parameter("1/h", value=1.0)
    late = wb.Parameter("h", value=1.0)

    def rhs(self, t, x, u, p):
        y = x.a
        for _ in range({count}): y = y * y
        y = wb.math.where((x.a > 1) & (t < p.late), wb.math.minimum(y, 2), abs(x.a) ** 0.5)
        z = wb.math.clip(y, 0, 1) + wb.math.dot([y, 2.0], [x.a, wb.math.exp(-y % 2)])
        return {{"a": p.k * z / (1 + t / p.late)}}
"""


def pure(count: int):
    scope = {"wb": wb}
    exec(PURE.format(count=count), scope)
    return scope["Pure"]()


def test_formulas_mean_what_the_equations_compute():
    model = pure(1)
    formula = document(model)["equations"]["rhs"]["a"]
    names = {name: getattr(np, name) for name in ("where", "minimum", "maximum", "absolute", "exp", "negative")}
    for a, t in [(0.3, 1.0), (1.7, 2.0), (1.2, 0.5), (5.0, 0.4), (-2.0, 4.0)]:
        x, p = SimpleNamespace(a=a), SimpleNamespace(k=0.4, late=1.5)
        assert eval(formula, {"x": x, "p": p, "t": t, **names}) == model.rhs(t, x, None, p)["a"]


def test_a_formula_of_shared_parts_stays_short():
    long = document(pure(60))["equations"]["rhs"]["a"]
    assert len(long) < 2500
    assert "sha256:" in long
    assert digest(pure(60)) != digest(pure(61))
    assert digest(pure(60)) == digest(pure(60))


class UsesPyTensor(wb.Ode):
    """Equations that call PyTensor."""

    time_unit = "h"
    a = wb.State("1", start=1.0)
    k = wb.Parameter("1/h", value=1.0)

    def rhs(self, t, x, u, p):
        import pytensor.tensor as pt

        return {"a": -p.k * pt.exp(x.a)}  # decay


def test_equations_that_call_pytensor_count_by_their_text():
    said = document(UsesPyTensor())
    assert "pt.exp(x.a)" in said["equations"]["rhs"]
    assert "decay" not in said["equations"]["rhs"]
    assert "# decay" in said["source"]["rhs"]
    scope = {"wb": wb}
    exec(
        "class UsesPyTensor(wb.Ode):\n    time_unit = 'h'\n    a = wb.State('1', start=1.0)\n"
        "    k = wb.Parameter('1/h', value=1.0)\n    def rhs(self, t, x, u, p):\n"
        "        import pytensor.tensor as pt\n        return {'a': -p.k * pt.exp(x.a)}",
        scope,
    )
    with pytest.raises(DeclarationError, match=r"Tensor\.rhs: got equations that call PyTensor and whose text is not"):
        document(scope["UsesPyTensor"]())


def test_docstring_holds_the_table_once():
    tank = type(born())
    assert tank.__doc__.startswith("A tank that drains.\n\n====")
    assert tank.__doc__.count("\nlevel ") == 1
    assert re.search(r"^k +parameter +m\*\*0\.5/h +LogNormal\(median=0\.5, sigma=0\.3\)$", tank.__doc__, re.MULTILINE)
    assert re.search(r"^area +parameter +m\*\*2 +4, known +1 to 10$", tank.__doc__, re.MULTILINE)

    class Deeper(tank):
        extra = wb.Output("m")

        def observe(self, t, x, u, p):
            return {"gauge": x.level, "extra": x.level}

    assert Deeper.__doc__.startswith("Deeper.\n\n====")
    assert Deeper.__doc__.count("====\n") == tank.__doc__.count("====\n")
    assert wb.Ode.__doc__.startswith("A system of ordinary differential equations")
    assert "====" not in wb.Ode.__doc__


def test_table_rows():
    rows = {row.name: row for row in table(born())}
    assert table(type(born())) == list(rows.values())
    assert list(rows) == ["level", "k", "area", "inflow", "rain", "gauge"]
    assert rows["level"] == ("level", "state", "m", "starts at 2", "at least 0", "height of the water")
    assert rows["inflow"].says == "each value holds until the next"
    assert rows["rain"].says == "impulses into level"
    assert rows["gauge"].says == "StudentT(nu=4.0, sigma=HalfNormal(sigma=0.1)) noise"


class Reader(HTMLParser):
    """Collects balanced tags, and the texts of cells and headings."""

    def __init__(self):
        super().__init__()
        self.open, self.texts = list[str](), list[tuple[str, str]]()

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append((self.open[-1] if self.open else "", data))


def test_html_is_whole_and_escaped():
    model = born(("height of the water", "<b onload=alert(1)>&amp; water"))
    view = model._repr_html_()
    reader = Reader()
    reader.feed(view)
    reader.close()
    assert reader.open == []
    assert [text for tag, text in reader.texts if tag == "summary"] == ["States ", "Parameters ", "Inputs ", "Outputs "]
    assert ("td", "<b onload=alert(1)>&amp; water") in reader.texts
    assert "<b onload" not in view
    (text,) = [text for tag, text in reader.texts if tag == "pre"]
    assert text.startswith("Tank()\n=====")
    assert 'style="display:none"' in view  # where the style is stripped, the text shows and the sections do not
    assert not re.search(r"https?://|<script|#[0-9a-f]{3}", view)


def test_what_a_class_needs_at_birth_is_light():
    code = (
        "import sys, workbench.declare.show as show\nprint(*sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(run.stdout.split()) & {"pint", "pandas", "xarray", "pytensor", "pymc", "scipy", "numba"} == set()
