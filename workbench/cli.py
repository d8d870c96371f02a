"""The command line: `workbench run`, `workbench list`, `workbench lab`, `workbench demo`."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from workbench.base.errors import WorkbenchError
from workbench.base.plainfile import read_plain
from workbench.base.share import notebook as find
from workbench.base.share import notebooks, title

if TYPE_CHECKING:
    from workbench.report.notebook import Run

DEMO = "patient_pharmacokinetics"
DOUBTED = 3  # the exit status of a run whose report strikes numbers through


class _Refused(click.ClickException):
    """An error of the workbench: one sentence, no traceback."""

    exit_code = 2

    def show(self, file: Any = None) -> None:
        click.echo(f"workbench: {self.message}", err=True)


class _Group(click.Group):
    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except WorkbenchError as error:
            raise _Refused(str(error)) from error


def _version(ctx: click.Context, option: click.Parameter, asked: bool) -> None:
    from workbench.report.provenance import version

    if asked:
        click.echo(f"workbench {version()}")
        ctx.exit()


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Show the version.")
def main() -> None:
    """A research workbench for digital twins."""


@main.command("run")
@click.argument("name")
@click.option("-p", "--parameter", "texts", multiple=True, metavar="KEY=VALUE", help="Set a parameter (repeatable).")
@click.option("-f", "--file", "file", metavar="FILE", help="Read parameters from a YAML or JSON file.")
@click.option("-o", "--output", metavar="FOLDER", help="The run folder (default: runs/NAME).")
@click.option("--code", is_flag=True, help="Put the code into the report, folded.")
def run(name: str, texts: Sequence[str], file: str | None, output: str | None, code: bool) -> None:
    """Run the notebook NAME (or the path of one) and write its run folder.

    Exit status: 0 when the report is written; 2 when it is not (a mistake, or a cell that failed); 3 when it is
    written, and strikes numbers through that failed the trust card of their calibration.
    """
    from workbench.report.notebook import run_notebook
    from workbench.report.parameters import read_pairs

    path = find(name)
    given = {**(read_plain(Path(file)) if file else {}), **read_pairs(path, texts)}
    _end(run_notebook(path, given, output=output or Path("runs") / path.stem, code=code))


@main.command("list")
@click.argument("names", nargs=-1)
def list_notebooks(names: Sequence[str]) -> None:
    """List notebooks with their parameters: type, range, default, meaning."""
    from workbench.report.annotations import describe
    from workbench.report.parameters import notebook_parameters

    known = {name: find(name) for name in names} or notebooks()
    if not known:
        click.echo("There are no notebooks.")
    for place, (name, path) in enumerate(known.items()):
        click.echo(f"{chr(10) if place else ''}{name}: {title(path)}")
        fields = notebook_parameters(path).model_fields
        rows = [
            (key, describe(field), json.dumps(field.default, ensure_ascii=False), field.description or "")
            for key, field in fields.items()
        ]
        click.echo(_aligned([("parameter", "takes", "default", "meaning"), *rows]) if rows else "  no parameters")


@main.command("demo")
@click.option("-o", "--output", metavar="FOLDER", default="runs/demo", show_default=True, help="The run folder.")
def demo(output: str) -> None:
    """Calibrate the population pharmacokinetics of theophylline and compare with the published values.

    Exit status as of `workbench run`.
    """
    from workbench.report.notebook import run_notebook

    done = run_notebook(DEMO, output=output)
    with (done.folder / "tables" / "population.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    columns = [name for name in ("parameter", "unit", "ours", "published") if rows and name in rows[0]] or list(rows[0])
    click.echo(f"\n{_aligned([tuple(columns), *(tuple(row[name] for name in columns) for row in rows)])}\n")
    _end(done)


@main.command("lab")
@click.argument("folder", default="workbench-notebooks")
@click.option("--browser/--no-browser", default=True, help="Whether to open a browser.")
def lab(folder: str, browser: bool) -> None:
    """Open JupyterLab on a FOLDER with the notebooks (default: workbench-notebooks), at a start page.

    Notebooks and data that are not there yet are copied into it; what is there is left as it is.
    """
    from workbench.report.start_page import furnish, start

    raise SystemExit(start(furnish(Path(folder)), browser=browser))


def _end(done: "Run") -> None:
    """Print where the report is; end with a status of its own where it holds numbers not to be trusted."""
    click.echo(done.report)
    if done.doubts:
        why = "; ".join(dict.fromkeys(done.doubts.values()))
        count = len(done.doubts)
        click.echo(f"workbench: {count} of its numbers and tables are not to be trusted: {why}", err=True)
        raise SystemExit(DOUBTED)


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    texts = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join(f"  {text}" for text in [texts[0], "  ".join("-" * width for width in widths), *texts[1:]])


if __name__ == "__main__":
    main()
