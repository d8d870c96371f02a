"""What a filter's likelihood has no place for."""

from typing import TYPE_CHECKING

from workbench.base.errors import DataError

if TYPE_CHECKING:
    from workbench.calibrate.problem import Problem

MOST = 10  # states, whose 65 moments are printed without loops: machine code takes minutes from there on
NOISES = ("Normal", "LogNormal", "Proportional")


def refuse_unfiltered(problem: "Problem") -> None:
    """Refuse what a filter's likelihood has no place for; DataError, which says what it takes."""
    model, expected = problem.model, "as a model with process noise is calibrated through its Kalman filter"
    if model.state_layout.size > MOST:
        raise DataError(
            f"{model.name}: got {model.state_layout.size} states; expected at most {MOST}, {expected} (wb.EnKF follows "
            "larger ones, with parameters among what it estimates)"
        )
    if model.thresholds:
        raise DataError(f"{model.name}: got events; expected none, {expected}")
    later = [name for name, term in problem.terms.items() if not term.declared.joint]
    if len(later) > 1:
        raise DataError(
            f"{model.name}: got discrepancies of {later} with joint=False; expected one of them, as what a filter "
            "leaves of an output hangs on the others"
        )
    for name in problem.measured:
        output = model.outputs[name]
        assert output.noise is not None
        if output.noise.name not in NOISES:
            raise DataError(f"output {name!r}: got noise {output.noise!r}; expected one of {list(NOISES)}, {expected}")
        if output.limits != (None, None):
            raise DataError(
                f"output {name!r}: got limits {output.limits}; expected none, {expected} (leave readings at a limit "
                "out, or declare the model without process noise)"
            )
        if output.increment:
            raise DataError(f"output {name!r}: got an increment; expected the state itself, {expected}")
