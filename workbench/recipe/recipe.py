"""`wb.Recipe`: a twin before it is calibrated, as one piece of plain data that a file keeps and a form edits."""

import dataclasses
import hashlib
import html
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.base.errors import DataError, ParameterError, unknown
from workbench.base.plainfile import plain_text, read_plain
from workbench.declare.discrepancy import Discrepancy
from workbench.declare.model import Model, as_model
from workbench.declare.written.code import code_of, literal
from workbench.declare.written.declaration import declared, written
from workbench.declare.written.discrepancy import code_of_discrepancy, discrepancy, plain_discrepancy
from workbench.recipe.columns import Read, read, source_of, write_table

if TYPE_CHECKING:
    from workbench.calibrate.calibration import Calibration

SIZES = {"draws": 1000, "tune": 1000, "chains": 4, "seed": 1}
_SAID = "Saved by workbench: `workbench run twin -f FILE` runs it, wb.build(FILE) opens it."


@dataclass(frozen=True, repr=False)
class Recipe:
    """All that makes a twin; nothing in it is computed, and equal recipes give equal numbers.

    Parameters
    ----------
    model
        The declaration as plain data (see `workbench.declare.written.declaration.written`).
    data
        Path of a CSV or netCDF file, or None; or a DataFrame, which is written beside the file when saved.
    sha256
        What the file's hash must be; None: any.
    columns, inputs
        As in `wb.read`.
    pool
        As in `wb.calibrate`, in words: "complete", "none" or "partial" for each parameter that is not complete.
    discrepancy
        For each output that has one, the settings of its `wb.Discrepancy`; or what `wb.calibrate` takes.
    draws, tune, chains, seed
        As in `wb.calibrate`.
    """

    model: Mapping[str, Any]
    data: Any = None
    sha256: str | None = None
    columns: Mapping[str, Any] = field(default_factory=dict)
    inputs: Mapping[str, Any] = field(default_factory=dict)
    pool: Mapping[str, str] = field(default_factory=dict)
    discrepancy: Any = field(default_factory=dict)
    draws: int = SIZES["draws"]
    tune: int = SIZES["tune"]
    chains: int = SIZES["chains"]
    seed: int = SIZES["seed"]

    def __post_init__(self) -> None:
        for part in ("columns", "inputs"):
            given = getattr(self, part)
            if not isinstance(given, Mapping):
                raise ParameterError(f"{part}: got {given!r}; expected names with what belongs to them")
            plain = {name: source_of(one, f"{part}, {name!r}").to_dict() for name, one in given.items()}
            object.__setattr__(self, part, plain)
        object.__setattr__(self, "discrepancy", _settings(self.discrepancy))
        if isinstance(self.data, Path):
            object.__setattr__(self, "data", self.data.as_posix())

    @staticmethod
    def of(model: Any, data: Any = None, **rest: Any) -> "Recipe":
        """Return the recipe of a declared model; other arguments are those of the class."""
        return Recipe(written(as_model(model)), data, **rest)

    @staticmethod
    def open(path: str | Path) -> "Recipe":
        """Return the recipe in a YAML file; a data file that is not where it was is looked for beside it.

        Raises
        ------
        ParameterError
            If it is no such file, or has keys that no recipe has.
        """
        path = Path(path).expanduser()
        plain = read_plain(path)
        for key in plain:
            if key not in Recipe.__dataclass_fields__:
                raise ParameterError(unknown("key", str(key), Recipe.__dataclass_fields__, str(path)))
        if "model" not in plain:
            raise ParameterError(f"got {str(path)!r} without a model; expected a file that a recipe was saved to")
        file = plain.get("data")
        if (
            isinstance(file, str)
            and not Path(file).expanduser().is_file()
            and (path.parent / Path(file).name).is_file()
        ):
            plain["data"] = (path.parent / Path(file).name).absolute().as_posix()
        return Recipe(**plain)

    def save(self, path: str | Path) -> "Recipe":
        """Write the recipe as YAML, with the hash of its data file; return it as `open` reads it.

        A DataFrame is written beside it, as `<name>.data.csv`.
        """
        path = Path(path).expanduser()
        made = self.kept(path)
        path.write_text(f"# {_SAID}\n{plain_text(made.plain())}", encoding="utf-8")
        return made

    def kept(self, path: Path) -> "Recipe":
        """Return the recipe with its data in a file, by that file's whole path, and its hash."""
        data = self.data
        if data is None:
            return self
        if not isinstance(data, str):
            data = write_table(data, path.with_suffix(".data.csv"))
        place = Path(data).expanduser().absolute()
        return dataclasses.replace(self, data=place.as_posix(), sha256=digest(place))

    def plain(self) -> dict[str, Any]:
        """Return it as plain data for JSON and YAML; ParameterError where the data are a DataFrame."""
        if not isinstance(self.data, str | None):
            raise ParameterError("got data that are not in a file; expected a path, or save(), which writes one")
        return json.loads(json.dumps({name: getattr(self, name) for name in Recipe.__dataclass_fields__}))  # type: ignore[no-any-return]

    @cached_property
    def declared(self) -> Model:
        """The model; DeclarationError where it cannot be."""
        return declared(self.model)

    def read(self) -> Read:
        """Return readings and inputs as `wb.read` does; DataError where the file is not the one that was saved."""
        if self.data is None:
            raise DataError(f"{self.declared.name}: got no data; expected a file or a table")
        if self.sha256 is not None and isinstance(self.data, str) and (got := digest(self.data)) != self.sha256:
            raise DataError(
                f"data: got {self.data} with SHA-256 {got[:12]}...; expected {self.sha256[:12]}..., the file that the "
                "recipe was saved with (without sha256= any file will do)"
            )
        return read(self.declared, self.data, columns=self.columns, inputs=self.inputs)

    @property
    def discrepancies(self) -> list[Discrepancy] | None:
        """What `wb.calibrate` takes; None where there are none."""
        return [discrepancy(name, given) for name, given in self.discrepancy.items()] or None

    def calibrate(self, *, progress: Any = True) -> "Calibration":
        """Return `wb.calibrate` of all this."""
        from workbench.calibrate.posterior import calibrate

        data = self.read()
        return calibrate(
            self.declared,
            data.readings,
            inputs=data.inputs,
            pool=dict(self.pool) or None,
            discrepancy=self.discrepancies,
            draws=self.draws,
            tune=self.tune,
            chains=self.chains,
            seed=self.seed,
            progress=progress,
        )

    def code(self) -> str:
        """Return the Python that does the same, the declaration included."""
        name, terms = self.model["name"], self.discrepancies
        lines = ["import workbench as wb", "", "", code_of(self.model), ""]
        if self.data is not None:
            where = literal(self.data) if isinstance(self.data, str) else "table"
            lines += [
                "readings, inputs = wb.read(",
                f"    {name},",
                f"    {where},",
                f"    columns={_mapping(self.columns)},",
                f"    inputs={_mapping(self.inputs)},",
                ")",
                "calibration = wb.calibrate(",
                f"    {name},",
                "    readings,",
                "    inputs=inputs,",
                *([f"    pool={literal(dict(self.pool))},"] if self.pool else []),
                *([f"    discrepancy=[{', '.join(map(code_of_discrepancy, terms))}],"] if terms else []),
                *(f"    {size}={getattr(self, size)}," for size in SIZES),
                ")",
                "calibration.trust",
            ]
        return "\n".join(lines) + "\n"

    def __repr__(self) -> str:
        data = "no data" if self.data is None else self.data if isinstance(self.data, str) else "a table"
        sizes = ", ".join(f"{size}={getattr(self, size)}" for size in SIZES)
        return f"Recipe({self.model.get('name')}, {data}, {sizes})"

    def _repr_html_(self) -> str:
        rows = {**self.columns, **self.inputs, **{name: {"pool": way} for name, way in self.pool.items()}}
        rows |= {f"discrepancy of {name}": given for name, given in self.discrepancy.items()}
        said = {name: ", ".join(f"{key}: {value}" for key, value in one.items()) for name, one in rows.items()}
        lines = "".join(f"<tr><th>{html.escape(n)}</th><td>{html.escape(one)}</td></tr>" for n, one in said.items())
        table = (
            f"<details><summary>Columns, inputs, pooling, discrepancies</summary><table>{lines}</table></details>"
            if rows
            else ""
        )
        code = f"<details><summary>As code</summary><pre>{html.escape(self.code())}</pre></details>"
        return f"<div><b>{html.escape(repr(self))}</b>{self.declared._repr_html_()}{table}{code}</div>"


def _settings(given: Any) -> dict[str, Any]:
    """Return the settings of each discrepancy by its output, of plain data or of declared ones."""
    if isinstance(given, Discrepancy):
        given = [given]
    if isinstance(given, list | tuple) and all(isinstance(one, Discrepancy) for one in given):
        if len({one.output for one in given}) < len(given):
            raise ParameterError("discrepancy: got two of an output; expected one")
        given = {one.output: one for one in given}
    if not isinstance(given, Mapping):
        raise ParameterError(f"discrepancy: got {given!r}; expected outputs with their settings, or wb.Discrepancy")
    made = {n: one if isinstance(one, Discrepancy) else discrepancy(str(n), one) for n, one in given.items()}
    return {name: plain_discrepancy(one) for name, one in made.items()}


def _mapping(sources: Mapping[str, Any]) -> str:
    short = {n: given["column"] if set(given) == {"column"} else given for n, given in sources.items()}
    return literal(short)


def digest(path: str | Path) -> str:
    """Return the SHA-256 of a file; DataError where there is none."""
    try:
        with Path(path).expanduser().open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"data: got {str(path)!r}; expected the path of a file ({error.strerror})") from None
