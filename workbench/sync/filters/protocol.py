"""The protocol of filters: a state of plain arrays that goes in and comes out, and what a run writes down."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from workbench.base.errors import DataError

if TYPE_CHECKING:
    import xarray as xr

    from workbench.sync.filters.plant import Plant

Array = NDArray[np.float64]
USED, MISSING, REFUSED, AT_LIMIT = 0, 1, 2, 3
PREDICT, UPDATE = 1, 2
_MASK = 2**64 - 1


@dataclass(frozen=True, eq=False)
class FilterState:
    """What a filter knows at one time: nothing else is needed to go on.

    Attributes
    ----------
    time
        In the model's time unit, on the clock of the data.
    names
        (Z,) states, then estimated parameters, whose numbers are phi (see `scale`).
    arrays
        Of Gaussian filters `mean` (Z,), `covariance` and `diffuse` (Z, Z); of ensembles `members` (B, Z), of particles
        also `log_weights` (B,) and, between prediction and update, what is `expected` of the readings: mean, variance.
    random
        (6,) state of NumPy's PCG64.
    log_evidence
        Sum so far.
    """

    time: float
    names: tuple[str, ...]
    arrays: Mapping[str, Array]
    random: NDArray[np.uint64]
    log_evidence: float = 0.0

    def generator(self) -> np.random.Generator:
        """Return a random generator that goes on from here; the state itself stays as it is."""
        a, b, c, d, has, spare = (int(v) for v in self.random)
        made = np.random.PCG64()
        made.state = {
            "bit_generator": "PCG64", "state": {"state": a << 64 | b, "inc": c << 64 | d},
            "has_uint32": has, "uinteger": spare,
        }  # fmt: skip
        return np.random.Generator(made)

    def moved(
        self, time: float, arrays: Mapping[str, Array], rng: np.random.Generator, evidence: Array
    ) -> "FilterState":
        """Return the state at another time; `evidence` (C,) is added one by one, so that parts add up as the whole."""
        total = float(np.cumsum(np.concatenate([[self.log_evidence], evidence]))[-1])
        return replace(self, time=time, arrays=dict(arrays), random=_words(rng), log_evidence=total)

    def to_dataset(self) -> "xr.Dataset":
        """Return the state as a Dataset, which any store keeps; `from_dataset` reads it back."""
        import xarray as xr

        dims = {"mean": ("name",), "covariance": ("name", "name_"), "diffuse": ("name", "name_"),
                "members": ("member", "name"), "log_weights": ("member",),
                "expected": ("moment", "reading")}  # fmt: skip
        halves = np.stack([self.random >> np.uint64(32), self.random & np.uint64(2**32 - 1)], axis=1)
        halves = halves.ravel().astype(np.uint32)  # which JSON keeps, too
        data = {n: (dims[n], v) for n, v in self.arrays.items() if v.size} | {"random": (("word",), halves)}
        attrs = {"time": self.time, "log_evidence": self.log_evidence}
        return xr.Dataset(data, {"name": list(self.names)}, attrs)

    @staticmethod
    def from_dataset(dataset: "xr.Dataset") -> "FilterState":
        """Return the state that `to_dataset` wrote; DataError where it is none."""
        missing = {"random", "name"} - {str(n) for n in dataset.variables}
        if missing or not {"time", "log_evidence"} <= dataset.attrs.keys():
            raise DataError(f"got a dataset without {sorted(missing) or 'time'}; expected the state of a filter")
        arrays = {str(n): np.array(v.values, dtype=float) for n, v in dataset.data_vars.items() if n != "random"}
        names, random = tuple(map(str, dataset["name"].values)), dataset["random"].values.astype(np.uint64)
        if random.shape != (12,):
            raise DataError(f"got {random.size} words of a random stream; expected 12, the state of a filter")
        random = random[::2] << np.uint64(32) | random[1::2]
        return FilterState(float(dataset.attrs["time"]), names, arrays, random, float(dataset.attrs["log_evidence"]))


def begin(time: float, names: tuple[str, ...], arrays: Mapping[str, Array], rng: np.random.Generator) -> FilterState:
    """Return the first state of a filter."""
    return FilterState(time, names, arrays, _words(rng))


def _words(rng: np.random.Generator) -> NDArray[np.uint64]:
    kept: Any = rng.bit_generator.state
    state, increment = kept["state"]["state"], kept["state"]["inc"]
    words = [state >> 64, state & _MASK, increment >> 64, increment & _MASK, kept["has_uint32"], kept["uinteger"]]
    return np.array(words, dtype=np.uint64)


class Records(NamedTuple):
    """What a run writes down of C cycles, Z states and parameters, K outputs and M measured elements.

    `forecast` and `analysis` are (C, 2, Z): mean and SD, of parameters as the filter holds them (Gaussian filters phi,
    ensembles their values); `outputs` (C, 4, K): mean and SD before, then after the readings; `innovation` (C, 2, M):
    reading minus forecast, and its SD; `flag` (C, M); `evidence` (C,); `replaced` (C,) members that failed; `size` (C,)
    the effective number of members. `history` keeps what smoothers need, or has length 0.
    """

    forecast: Array
    analysis: Array
    outputs: Array
    innovation: Array
    flag: NDArray[np.int8]
    evidence: Array
    replaced: NDArray[np.int64]
    size: Array
    history: tuple[Array, ...]


def records(plant: "Plant", cycles: int, history: tuple[tuple[int, ...], ...], *, keep: bool) -> Records:
    """Return empty records; those of smoothers, of these shapes for each cycle, where `keep` says so."""
    z, k, m = len(plant.names), plant.model.output_layout.size, plant.plan.y.shape[1]
    kept = tuple(np.full((cycles if keep else 0, *shape), np.nan) for shape in history)
    return Records(
        np.full((cycles, 2, z), np.nan), np.full((cycles, 2, z), np.nan), np.full((cycles, 4, k), np.nan),
        np.full((cycles, 2, m), np.nan), np.zeros((cycles, m), dtype=np.int8), np.zeros(cycles),
        np.zeros(cycles, dtype=np.int64), np.full(cycles, np.nan), kept,
    )  # fmt: skip


def accept(plant: "Plant", state: FilterState, cycle: int, what: int) -> None:
    """Refuse a state that is not the one before a cycle; DataError says which is expected."""
    plan, unit = plant.plan, plant.model.time_unit
    ends = plan.until[plan.leg[1:] - 1]
    if state.names != plant.names:
        raise DataError(f"got a state of {list(state.names)}; expected one of {list(plant.names)}")
    if not 0 <= cycle < ends.size:
        raise DataError(f"got cycle {cycle}; expected one of 0 to {ends.size - 1}, as there are {ends.size} readings")
    before = float(ends[cycle - 1]) if cycle else plant.begin
    expected = before if what & PREDICT else float(ends[cycle])
    if abs(state.time - expected) > 1e-9 * max(abs(expected), 1.0):
        older = "; these readings are older than the state" if state.time > ends[cycle] else ""
        raise DataError(
            f"got a state at t = {state.time:.6g} {unit}; expected the one at {expected:.6g} {unit} that "
            f"{'goes before' if what & PREDICT else 'was carried to'} the readings at {ends[cycle]:.6g} {unit}{older}"
        )


def _refuse_arrays(state: FilterState, holds: tuple[str, ...]) -> None:
    """Refuse arrays that are not those of a filter, of other shapes, or with NaN: compiled loops look at neither."""
    z, b = len(state.names), len(state.arrays.get("members", ()))
    shapes = {"mean": (z,), "covariance": (z, z), "members": (b, z), "log_weights": (b,)}
    for name in holds:
        if name not in state.arrays:
            raise DataError(f"got a state with {sorted(state.arrays)}; expected one with {list(holds)}, of this filter")
        values = state.arrays[name]
        if values.shape != shapes[name]:
            raise DataError(f"got a state whose {name} has shape {values.shape}; expected {shapes[name]}")
        if np.isnan(values).any():
            raise DataError(f"got a state whose {name} holds NaN; expected numbers")
    if "covariance" in holds:
        _refuse_negative(state)


def _refuse_negative(state: FilterState) -> None:
    """Refuse a covariance that is none: not symmetric, or with a variance below zero in some direction."""
    P = state.arrays["covariance"]
    sd = np.sqrt(np.abs(np.diag(P)))
    sd[sd == 0.0] = 1.0
    R = P / np.outer(sd, sd)
    if not np.allclose(R, R.T, atol=1e-9):
        raise DataError("got a covariance that is not symmetric; expected P equal to its transpose")
    values, directions = np.linalg.eigh(R)
    if values[0] < -1e-9 * max(values[-1], 1.0):
        most = np.argsort(-np.abs(directions[:, 0]))[:2]
        raise DataError(
            f"got a covariance that is not positive definite: in units of its SDs its smallest eigenvalue is "
            f"{values[0]:.3g}, mostly along {[state.names[k] for k in most]}; expected none below 0"
        )


class Cyclic:
    """What filters share that run in a compiled loop over cycles: their steps are parts of it.

    `holds` names the arrays of their states.
    """

    holds: ClassVar[tuple[str, ...]]
    tight: ClassVar[bool] = False

    def predict(self, plant: "Plant", state: FilterState, cycle: int) -> FilterState:
        """Return the state carried to a cycle's readings; DataError if it is not the one before it."""
        return self._checked(plant, state, (cycle, cycle + 1), PREDICT)[0]

    def update(self, plant: "Plant", state: FilterState, cycle: int) -> FilterState:
        """Return the state after a cycle's readings; DataError if it was not carried to them."""
        return self._checked(plant, state, (cycle, cycle + 1), UPDATE)[0]

    def run(self, plant: "Plant", state: FilterState, *, keep: bool = False) -> tuple[FilterState, Records]:
        """Return the last state of all cycles of the plan, and what was written down."""
        return self._checked(plant, state, (0, len(plant.plan.y)), PREDICT | UPDATE, keep=keep)

    def between(self, plant: "Plant", state: FilterState, first: int, last: int) -> tuple[FilterState, Records]:
        """Return the state after cycles `first` to `last` - 1, from the one before them, and what was written down."""
        if first == last:
            return state, records(plant, 0, (), keep=False)
        return self._checked(plant, state, (first, last), PREDICT | UPDATE)

    def _checked(
        self, plant: "Plant", state: FilterState, span: tuple[int, int], what: int, *, keep: bool = False
    ) -> tuple[FilterState, Records]:
        accept(plant, state, span[0], what)
        _refuse_arrays(state, self.holds)
        return self._run(plant, state, span, what, keep=keep)

    def _run(
        self, plant: "Plant", state: FilterState, span: tuple[int, int], what: int, *, keep: bool
    ) -> tuple[FilterState, Records]:
        raise NotImplementedError


class Filter(Protocol):
    """What every filter offers; cycles are counted by the plant's plan, solved to 1e-11 where the filter is `tight`."""

    tight: ClassVar[bool]

    def pieces(self, model: Any) -> int | None:
        """Return into how many legs a gap between readings is cut for process noise."""

    def init(self, plant: "Plant", seed: int | None) -> FilterState:
        """Return the state when the clock starts."""

    def predict(self, plant: "Plant", state: FilterState, cycle: int) -> FilterState:
        """Return the state carried to a cycle's readings."""

    def update(self, plant: "Plant", state: FilterState, cycle: int) -> FilterState:
        """Return the state after a cycle's readings."""

    def run(self, plant: "Plant", state: FilterState, *, keep: bool = False) -> tuple[FilterState, Records]:
        """Return the last state of all cycles of the plan, and what was written down."""
