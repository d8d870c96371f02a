"""Every mistake a person makes in a declaration is refused when the class is born, with got, expected, nearest name."""
# ruff: noqa: E501 - one mistake a row

import math

import numpy as np
import pytest

import workbench as wb
from workbench.base.errors import DeclarationError

GOOD = """
class Room(wb.Ode):
    time_unit = "h"
    T = wb.State("degC", start=20.0, bounds=(-50, 60))
    heat = wb.State("kWh", start=0.0)
    R = wb.Parameter("K/kW", prior=wb.prior.LogNormal(median=5.0, sigma=0.3))
    C = wb.Parameter("kWh/K", prior=wb.prior.LogNormal(median=2.0, sigma=0.3), bounds=(0, None))
    T0 = wb.Parameter("degC", value=18.0, bounds=(0, 40))
    To = wb.Input("degC")
    Q = wb.Input("kW", kind="previous")
    boost = wb.Input("kWh", kind="impulse", into="heat")
    T_meas = wb.Output("degC", noise=wb.noise.Normal(sigma=wb.prior.HalfNormal(0.5)))

    def rhs(self, t, x, u, p):
        loss = (x.T - u.To) / p.R
        return {"T": (u.Q - loss) / p.C, "heat": u.Q}

    def observe(self, t, x, u, p):
        return {"T_meas": x.T + wb.math.maximum(p.T0 - x.T, 0.0)}
"""
LOSS = "loss = (x.T - u.To) / p.R"
RATES = 'return {"T": (u.Q - loss) / p.C, "heat": u.Q}'
SEEN = 'return {"T_meas": x.T + wb.math.maximum(p.T0 - x.T, 0.0)}'
R_PRIOR = "wb.prior.LogNormal(median=5.0, sigma=0.3)"
NOISE = "wb.noise.Normal(sigma=wb.prior.HalfNormal(0.5))"
STEP = '"T": (u.Q - loss) / p.C'
WHERE = "wb.math.where(condition, a, b)"

# what is wrong: (text of GOOD, what stands there instead, words that the error must hold)
MISTAKES = {
    # names and shapes of what rhs and observe return
    "missing derivative": (', "heat": u.Q', "", "Room.rhs: got no derivative of state 'heat'; expected one for each of 'T', 'heat'"),
    "extra derivative": ('"heat": u.Q', '"heat": u.Q, "Q": u.Q', "Room.rhs: got unknown state 'Q'; expected one of 'T', 'heat'"),
    "misspelt derivative": ('"heat": u.Q', '"heta": u.Q', "got unknown state 'heta'; expected one of 'T', 'heat'; did you mean 'heat'?"),
    "missing output": (SEEN, "return {}", "Room.observe: got no output 'T_meas'; expected one for each of 'T_meas'"),
    "misspelt output": ('{"T_meas"', '{"T_mess"', "Room.observe: got unknown output 'T_mess'; expected one of 'T_meas'; did you mean 'T_meas'?"),
    "nothing returned": (RATES, "pass", "Room.rhs: got NoneType; expected a dict with the names 'T', 'heat'"),
    "list returned": (RATES, "return [u.Q, u.Q]", "Room.rhs: got list of 2; expected a dict with the names 'T', 'heat'"),
    "comma after the dict": (SEEN, SEEN + ",", "Room.observe: got tuple of 1; expected a dict with the names 'T_meas'"),
    "array returned": (RATES, "return np.zeros(2)", "Room.rhs: got ndarray of 2; expected a dict"),
    "list for a scalar": ('"heat": u.Q', '"heat": [u.Q, u.Q]', "Room.rhs: got list of shape (2,) for 'heat'; expected a scalar (shape ())"),
    "array for a scalar": ('"heat": u.Q', '"heat": np.ones(3)', "got ndarray of shape (3,) for 'heat'; expected a scalar (shape ())"),
    "text for a scalar": ('"heat": u.Q', '"heat": "Q"', "got str of shape (1,) for 'heat'; expected a scalar (shape ())"),
    "none for a scalar": ('"heat": u.Q', '"heat": None', "got NoneType of shape none for 'heat'; expected a scalar"),
    "vector of tensors": ('"heat": u.Q', '"heat": pt.stack([u.Q, u.Q])', "Room.rhs: got 1 dimensions for 'heat'; expected a scalar (shape ())"),
    "rhs of too few arguments": ("rhs(self, t, x, u, p)", "rhs(self, x, u, p)", "Room: got rhs(self, x, u, p); expected rhs(self, t, x, u, p)"),
    "rhs in another order": ("rhs(self, t, x, u, p)", "rhs(self, x, t, u, p)", "Room: got rhs(self, x, t, u, p); expected rhs(self, t, x, u, p)"),
    "observe of too few arguments": ("observe(self, t, x, u, p)", "observe(self, x, p)", "Room: got observe(self, x, p); expected observe(self, t, x, u, p)"),
    "no observe": ("def observe", "def observation", "Room.observe: got no output 'T_meas'; expected one for each of 'T_meas'"),
    "assignment to a state": (LOSS, LOSS + "; x.T = 3.0", "Room.rhs: got an assignment to state 'T'; expected a value returned in the dict"),
    # names that are read
    "unknown state in rhs": ("(x.T - u.To)", "(x.TT - u.To)", "Room.rhs: got unknown state 'TT'; expected one of 'T', 'heat'; did you mean 'T'?"),
    "unknown state in observe": ("{\"T_meas\": x.T", "{\"T_meas\": x.Temp", "Room.observe: got unknown state 'Temp'; expected one of 'T', 'heat'"),
    "misspelt parameter": ("/ p.R", "/ p.r", "Room.rhs: got unknown parameter 'r'; expected one of 'R', 'C', 'T0'; did you mean 'R'?"),
    "misspelt input": ("u.To)", "u.Tout)", "Room.rhs: got unknown input 'Tout'; expected one of 'To', 'Q'; did you mean 'To'?"),
    "state read as an input": ("(x.T - u.To)", "(u.T - u.To)", "Room.rhs: got unknown input 'T'; expected one of 'To', 'Q'"),
    "impulse read in rhs": ('"heat": u.Q', '"heat": u.Q + u.boost', "Room.rhs: got unknown input 'boost'; expected one of 'To', 'Q'"),
    "unknown name by key": ("/ p.R", '/ p["Rr"]', "got unknown parameter 'Rr'; expected one of 'R', 'C', 'T0'; did you mean 'R'?"),
    "unused parameter": ("(x.T - u.To) / p.R", "u.Q * x.T / u.To", "got parameter 'R', which no equation uses; expected it in rhs, observe or a start"),
    "unused parameter beside PyTensor": ("/ p.R", "/ pt.exp(1.0)", "got parameter 'R', which no equation uses; expected it in rhs, observe or a start"),
    "unused input": ("x.T - u.To", "x.T - x.T", "got input 'To', which no equation uses; expected it in rhs, observe or a start"),
    "misspelt parameter beside PyTensor": ("/ p.R", "/ pt.exp(p.r)", "Room.rhs: got unknown parameter 'r'; expected one of 'R', 'C', 'T0'; did you mean 'R'?"),
    # starts, bounds, values
    "no start": ("start=20.0, ", "", "Room.T: got no start; expected start= a number, a parameter's name or a prior, or start(self, p)"),
    "two starts": ("    def observe", "    def start(self, p):\n        return {'T': p.T0}\n\n    def observe", "Room.T: got a start in the state and in start(self, p); expected one of them"),
    "start outside bounds": ("start=20.0", "start=80.0", "Room.T: got start 80; expected it within the bounds -50 to 60"),
    "start is no number": ("start=20.0", "start=[20.0]", "Room.T: got start of shape (1,); expected a number, or dims=('cell',) for a vector"),
    "start not finite": ("start=20.0", "start=math.nan", "Room.T: got start nan; expected it within the bounds -50 to 60"),
    "start of an unknown parameter": ("start=20.0", "start='Tstart'", "Room.T.start: got unknown parameter 'Tstart'; expected one of 'R', 'C', 'T0'"),
    "start's prior outside bounds": ("start=20.0", "start=wb.prior.Normal(20, 2)", "Room.T: got start Normal(mu=20, sigma=2) with values from -inf to inf; expected them within the bounds -50 to 60 (TruncatedNormal takes lower= and upper=)"),
    "start parameter's value outside the state's bounds": ("start=20.0, bounds=(-50, 60)", "start='T0', bounds=(20, 60)", "Room.T: got start 'T0' with 18; expected it within the bounds 20 to 60"),
    "start parameter's prior outside the state's bounds": ('start=20.0, bounds=(-50, 60))', "start='T1', bounds=(-50, 60))\n    T1 = wb.Parameter('degC', prior=wb.prior.Uniform(10, 90))", "Room.T: got start 'T1' with Uniform(lower=10, upper=90) with values from 10 to 90; expected them within the bounds -50 to 60"),
    "start parameter of another unit": ("start=20.0", "start='R'", "Room.T.start: got 'R' with units K/kW and °C; expected degC"),
    "start expression of another unit": ("start=20.0, bounds=(-50, 60))", "bounds=(-50, 60))\n\n    def start(self, p):\n        return {'T': p.T0 * p.R}\n", "Room.start: got 'T' = (p.T0 * p.R) with units"),
    "unknown state in start": ("    def observe", "    def start(self, p):\n        return {'Tt': p.T0}\n\n    def observe", "Room.start: got unknown state 'Tt'; expected one of 'T', 'heat'; did you mean 'T'?"),
    "prior outside bounds": ("prior=wb.prior.LogNormal(median=2.0, sigma=0.3)", "prior=wb.prior.Normal(2, 1)", "Room.C: got prior Normal(mu=2, sigma=1) with values from -inf to inf; expected them within the bounds 0 to inf (TruncatedNormal takes lower= and upper=)"),
    "value outside bounds": ("value=18.0", "value=48.0", "Room.T0: got value 48; expected it within the bounds 0 to 40"),
    "value outside its prior": ("value=18.0", "value=18.0, prior=wb.prior.Uniform(20, 30)", "Room.T0: got value 18; expected one that Uniform(lower=20, upper=30) allows"),
    "value is no number": ("value=18.0", "value='18'*2+'x'", "Room.T0: got value '1818x'; expected a number or a prior"),
    "neither prior nor value": ("value=18.0, ", "", "Room.T0: got neither prior nor value; expected prior=wb.prior... or value=number"),
    "number as prior": (R_PRIOR, "5.0", "Room.R: got prior=5.0; expected one such as wb.prior.Normal(mu=0, sigma=1)"),
    "prior as unit": ('"K/kW", prior=', "", "as a unit; expected the unit first, then prior=..."),
    "bounds turned round": ("bounds=(0, 40)", "bounds=(40, 0)", "Room.T0: got bounds 40 to 0; expected the lower below the upper"),
    "bounds of one number": ("bounds=(0, 40)", "bounds=40", "Room.T0: got bounds=40; expected a pair such as (0, None)"),
    "bounds of no numbers": ("bounds=(0, 40)", "bounds=('a', 'b')", "Room.T0: got bounds=('a', 'b'); expected a pair such as (0, None)"),
    # units
    "unknown unit": ('"kWh/K"', '"kWhr/K"', "Room.C: got unknown unit 'kWhr/K'; expected one that pint knows, such as 'kW', 'mg/L', 'degC' or '1'; did you mean 'Wh'?"),
    "unit is no text": ('"kWh/K"', "3", "Room.C: got 3 as a unit; expected text such as 'kW', 'mg/L' or '1' for a pure number"),
    "no time_unit": ('time_unit = "h"', "pass", "Room: got no time_unit; expected one such as time_unit = 'h'"),
    "time_unit is no time": ('time_unit = "h"', 'time_unit = "K"', "Room.time_unit: got 'K' ([temperature]); expected a unit convertible to 's' ([time])"),
    "unknown time_unit": ('time_unit = "h"', 'time_unit = "hourr"', "Room.time_unit: got unknown unit 'hourr'; expected one that pint knows, such as 'kW', 'mg/L', 'degC' or '1'; did you mean 'hour'?"),
    "sum of unlike units": ("(u.Q - loss)", "(u.Q - x.T)", "Room.rhs: got 'u.Q - x.T' with units kW and °C; expected the same unit on both sides"),
    "rate of another dimension": ('"heat": u.Q', '"heat": u.To', "Room.rhs: got 'heat' = u.To with units °C and kWh/h; expected kWh/h"),
    "rate per minute": ('time_unit = "h"', 'time_unit = "min"', "Room.rhs: got 'T' = ((u.Q - ((x.T - u.To) / p.R)) / p.C) with units K⋅kW/kWh and °C/min, which differ by a factor of 0.0166667; expected °C/min: declare the quantities in units that fit"),
    "factor of a thousand": ('Q = wb.Input("kW"', 'Q = wb.Input("W"', "Room.rhs: got 'u.Q - ((x.T - u.To) / p.R)' with units W and °C⋅kW/K, which differ by a factor of 0.001"),
    "output of another unit": ('T_meas = wb.Output("degC"', 'T_meas = wb.Output("kWh"', "Room.observe: got 'T_meas'"),
    "unit inside exp": (STEP, '"T": (u.Q - loss) / p.C * wb.math.exp(x.T)', "Room.rhs: got 'exp(x.T)' with units °C and 1; expected a pure number (divide by a reference value first)"),
    "unit in an exponent": (STEP, '"T": (u.Q - loss) / p.C * 2.0 ** x.T', "Room.rhs: got '2 ** x.T' with units °C and 1; expected a pure number"),
    "unlike units in where": (STEP, '"T": wb.math.where(x.T > 20, x.T, u.Q)', "Room.rhs: got 'where(...)' with units kW and °C; expected the same unit for each of its values"),
    "unlike units compared": (STEP, '"T": wb.math.where(x.T > u.Q, 0.0, (u.Q - loss) / p.C)', "Room.rhs: got 'x.T > u.Q' with units °C and kW; expected the same unit on both sides"),
    # priors and noise
    "unknown prior": ("wb.prior.LogNormal(median=5.0", "wb.prior.Lognormal(median=5.0", "wb.prior: got unknown prior 'Lognormal'; expected one of 'AsymmetricLaplace', "),
    "prior's argument missing": (R_PRIOR, "wb.prior.LogNormal(median=5.0)", "LogNormal: got 'median'; expected 'sigma' or 'tau'"),
    "prior's argument unknown": (R_PRIOR, "wb.prior.LogNormal(median=5.0, sd=0.3)", "LogNormal: got unknown argument 'sd'; expected one of 'mu', 'sigma', 'tau', 'median'"),
    "prior's arguments both": (R_PRIOR, "wb.prior.LogNormal(mu=1, median=5.0, sigma=0.3)", "LogNormal: got both 'mu' and 'median'; expected one of them"),
    "prior's spread both": (R_PRIOR, "wb.prior.LogNormal(mu=1, sigma=0.3, tau=2)", "LogNormal: got 'mu', 'sigma', 'tau'; expected 'sigma' or 'tau'"),
    "prior's argument negative": (R_PRIOR, "wb.prior.LogNormal(median=5.0, sigma=-0.3)", "LogNormal: got sigma=-0.3; expected a number above 0"),
    "prior's ends turned round": (R_PRIOR, "wb.prior.Uniform(lower=3, upper=3)", "Uniform: got lower=3, upper=3; expected lower < upper"),
    "unknown noise": (NOISE, "wb.noise.Gauss(sigma=1.0)", "wb.noise: got unknown noise 'Gauss'; expected one of 'Normal', 'LogNormal', 'StudentT'"),
    "misspelt noise": (NOISE, "wb.noise.normal(sigma=1.0)", "wb.noise: got unknown noise 'normal'; expected one of 'Normal', 'LogNormal', 'StudentT', 'Laplace', 'Proportional', 'Combined', 'AR1', 'Poisson', 'NegativeBinomial'; did you mean 'Normal'?"),
    "noise's argument unknown": (NOISE, "wb.noise.Normal(sd=1.0)", "wb.noise.Normal: got unknown argument 'sd'; expected one of 'sigma'"),
    "noise's argument missing": (NOISE, "wb.noise.Normal()", "wb.noise.Normal: got no 'sigma'; expected a number above 0 or a prior for it"),
    "noise's argument twice": (NOISE, "wb.noise.Normal(1.0, sigma=1.0)", "wb.noise.Normal: got 'sigma' twice; expected it once"),
    "noise's arguments too many": (NOISE, "wb.noise.Normal(0.0, 1.0)", "wb.noise.Normal: got 2 arguments; expected ['sigma']"),
    "noise negative": (NOISE, "wb.noise.Normal(sigma=-1.0)", "wb.noise.Normal: got sigma=-1; expected a finite number above 0"),
    "noise prior allows negatives": (NOISE, "wb.noise.Normal(sigma=wb.prior.Normal(1, 1))", "wb.noise.Normal: got sigma=Normal(mu=1, sigma=1), which allows negative values; expected a positive prior such as HalfNormal"),
    "noise's argument is a text": (NOISE, "wb.noise.Normal(sigma='0.5 K')", "wb.noise.Normal: got sigma='0.5 K'; expected a number above 0 or a prior"),
    "prior as noise": (NOISE, "wb.prior.HalfNormal(0.5)", "Room.T_meas: got noise=HalfNormal(sigma=0.5); expected one such as wb.noise.Normal(sigma=0.5)"),
    # names of quantities
    "declared twice": ("    Q = ", "    R = wb.Input('1')\n    Q = ", "Room: got 'R' declared twice; expected each name once"),
    "a method of a quantity's name": ("    def observe", "    def R(self):\n        return 1\n\n    def observe", "Room: got 'R' declared twice; expected each name once"),
    "one quantity under two names": ("    Q = ", "    R2 = R\n    Q = ", "Room: got one quantity for both 'R' and 'R2'; declare two"),
    "name that a noise implies": ("    Q = ", "    T_meas_sigma = wb.Parameter('1', value=1)\n    Q = ", "Room: got a quantity named 'T_meas_sigma', the name of a result that a start, a noise, a sensor or an event implies; expected another name"),
    "name that a start implies": ("start=20.0, bounds=(-50, 60))", "start=wb.prior.Normal(20, 2))\n    T_start = wb.Parameter('degC', value=1)", "Room: got a quantity named 'T_start', the name of a result that a start, a noise, a sensor or an event implies; expected another name"),
    "reserved name": ("    Q = ", "    chain = wb.Input('1')\n    Q = ", "Room: got a quantity named 'chain'; that name is taken, choose another"),
    "name of a model's own": ("    Q = ", "    outputs = wb.Input('1')\n    Q = ", "Room: got a quantity named 'outputs'; that name is taken, choose another"),
    "private name": ("    Q = ", "    _R = wb.Input('1')\n    Q = ", "Room: got a quantity named '_R'; that name is taken, choose another"),
    "no state": ("class Room(wb.Ode):", "class Room(wb.Ode):\n    time_unit = 'h'\n    def rhs(self, t, x, u, p): return {}\nclass Rest:", "Room: got no state; expected at least one wb.State"),
    "rtol is a text": ('time_unit = "h"', 'time_unit = "h"; rtol = "1e-6"', "Room.rtol: got '1e-6'; expected a number between 0 and 1"),
    "atol negative": ('time_unit = "h"', 'time_unit = "h"; atol = -1e-6', "Room.atol: got -1e-06; expected a number between 0 and 1"),
    # inputs
    "unknown kind": ('kind="previous"', 'kind="step"', "Room.Q: got unknown kind 'step'; expected one of 'linear', 'previous', 'impulse'"),
    "misspelt kind": ('kind="previous"', 'kind="Previus"', "expected one of 'linear', 'previous', 'impulse'; did you mean 'previous'?"),
    "impulse into nothing": (', into="heat"', "", "Room.boost: got kind='impulse' and into=None; expected into= naming a state for an impulse, and for an impulse only"),
    "into without impulse": ('kind="previous"', 'into="heat"', "Room.Q: got kind='linear' and into='heat'; expected into= naming a state for an impulse, and for an impulse only"),
    "impulse into an unknown state": ('into="heat"', 'into="heats"', "Room.boost: got unknown state 'heats'; expected one of 'T', 'heat'; did you mean 'heat'?"),
    "impulse of another dimension": ('boost = wb.Input("kWh"', 'boost = wb.Input("kW"', "Room.boost: got an impulse into 'heat' with units kW and kWh; expected kWh, the unit of that state"),
    "impulse of another scale": ('boost = wb.Input("kWh"', 'boost = wb.Input("Wh"', "Room.boost: got an impulse into 'heat' with units Wh and kWh, which differ by a factor of 0.001; expected kWh, the unit of that state"),
    # Python and NumPy on symbols
    "if": (LOSS, LOSS + "\n        if x.T > u.To: loss = 0.0", "Room.rhs: got Python's if, and, or, not, min or max on the symbol '(x.T > u.To)', whose value is not known yet; expected " + WHERE),
    "and": (LOSS, LOSS + "\n        on = x.T > u.To and u.Q > 0", "Python's if, and, or, not, min or max on the symbol '(x.T > u.To)', whose value is not known yet"),
    "chained comparison": (LOSS, LOSS + "\n        on = 10 < x.T < 20", "Python's if, and, or, not, min or max on the symbol '(x.T > 10)'"),
    "equality": (LOSS, LOSS + "\n        loss = wb.math.where(x.T == u.To, 0.0, loss)", "Room.rhs: got 'x.T == u.To' or its opposite; expected a comparison by <, <=, > or >="),
    "inequality": (LOSS, LOSS + "\n        loss = wb.math.where(20 != x.T, 0.0, loss)", "Room.rhs: got 'x.T == 20' or its opposite; expected a comparison by <, <=, > or >="),
    "equality of NumPy's number": (LOSS, LOSS + "\n        loss = wb.math.where(np.float64(20) == x.T, 0.0, loss)", "Room.rhs: got 'x.T == 20' or its opposite"),
    "min": (LOSS, LOSS + "\n        low = min(x.T, u.To)", "Python's if, and, or, not, min or max on the symbol '(u.To < x.T)', whose value is not known yet; expected " + WHERE + ", wb.math.minimum, wb.math.maximum"),
    "bool of a state": (LOSS, LOSS + "\n        loss = loss if x.heat else 0.0", "on the symbol 'x.heat', whose value is not known yet"),
    "if beside PyTensor": (LOSS, LOSS + "\n        loss = loss if pt.exp(p.R) > 2 else 0.0", "Room: got what PyTensor's symbols do not allow (TensorVariable cannot be converted to Python boolean"),
    "numpy function": (STEP, '"T": np.exp(-loss)', "Room.rhs: got numpy.exp on the symbol '-((x.T - u.To) / p.R)'; expected wb.math.exp"),
    "numpy of two arguments": (STEP, '"T": np.maximum(loss, 0.0)', "Room.rhs: got numpy.maximum on the symbol '((x.T - u.To) / p.R)'; expected wb.math.maximum"),
    "numpy name that differs": (STEP, '"T": np.abs(loss)', "expected wb.math.absolute"),
    "numpy function of its own": (STEP, '"T": np.where(x.T > 20, 1.0, 0.0)', "Room.rhs: got numpy.where on the symbol '(x.T > 20)'; expected wb.math.where"),
    "numpy function that wb.math lacks": (STEP, '"T": np.heaviside(loss, 0.0)', "got numpy.heaviside on the symbol '((x.T - u.To) / p.R)'; expected a function of wb.math"),
    "numpy array of symbols": (STEP, '"T": np.array([loss, loss]).sum()', "Room.rhs: got numpy on the symbol '((x.T - u.To) / p.R)'; expected wb.math"),
    "PyTensor array of symbols": (STEP, '"T": pt.as_tensor([loss, p.r]).sum()', "Room.rhs: got unknown parameter 'r'"),
    "array times a symbol": (STEP, '"T": np.ones(2) * loss', "Room.rhs: got an expression of shape (2,) for 'T'; expected a scalar (shape ())"),
    "symbol times an array": (STEP, '"T": loss * np.ones(2)', "Room.rhs: got an expression of shape (2,) for 'T'; expected a scalar (shape ())"),
    "math function": (STEP, '"T": math.exp(-loss)', "Room.rhs: got a plain number asked of the symbol '-((x.T - u.To) / p.R)' (by float() or the math module); expected wb.math, as in wb.math.exp(...)"),
    "float": (STEP, '"T": float(loss)', "got a plain number asked of the symbol"),
    "int": (STEP, '"T": int(loss)', "got a plain number asked of the symbol"),
    "round": (STEP, '"T": round(loss, 2)', "got a plain number asked of the symbol"),
    "floor division": (STEP, '"T": loss // 2.0', "Room.rhs: got '((x.T - u.To) / p.R) // 2'; expected wb.math.floor(a / b)"),
    "index": (STEP, '"T": x.T[0]', "Room.rhs: got an index on 'x.T', which is a scalar; expected the scalar itself"),
    "loop": (STEP, '"T": sum(x.T)', "Room.rhs: got a loop over 'x.T', which is a scalar; expected the scalar itself"),
    "sum of a text": (STEP, '"T": loss + "1"', "Room.rhs: got '((x.T - u.To) / p.R) + ...' with str"),
    "PyTensor function that kernels lack": (STEP, '"T": pt.round(loss)', "Room.rhs: got PyTensor's RoundHalfToEven, which kernels do not know; expected a function of wb.math"),
}  # fmt: skip


def born(source: str) -> type:
    """Run a class statement and return the class."""
    import pytensor.tensor as pt

    names = {"wb": wb, "np": np, "math": math, "pt": pt}
    exec(source, names)
    return names["Room"]


def test_the_good_one_is_born():
    assert list(born(GOOD).quantities) == "T heat R C T0 To Q boost T_meas".split()


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistake_is_refused_at_birth(mistake):
    right, wrong, says = MISTAKES[mistake]
    assert GOOD.count(right) == 1
    with pytest.raises(DeclarationError) as error:
        born(GOOD.replace(right, wrong))
    assert says in str(error.value)
