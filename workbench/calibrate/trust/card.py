"""The trust card: gates with a figure, a threshold, a verdict, and the sentence that says what to do."""

import html
import json
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from workbench.calibrate.calibration import Calibration

Verdict = Literal["passed", "failed", "not run"]


@dataclass(frozen=True, eq=False)
class Gate:
    """One check: what was measured, what it had to be, and what that means.

    Attributes
    ----------
    name, verdict
        Which check, and how it ended.
    figure, threshold
        What was measured, and where the verdict turns.
    says
        What that means, and what to do.
    wanted
        Whether a card is incomplete without it; others cost a study of their own, or need a declaration.
    """

    name: str
    verdict: Verdict
    figure: float
    threshold: float
    says: str
    wanted: bool = True

    def __eq__(self, other: object) -> bool:
        """Whether all is equal, figures that are no numbers among them."""
        return isinstance(other, Gate) and repr(self) == repr(other)

    def __hash__(self) -> int:
        return hash(repr(self))

    @property
    def mark(self) -> str:
        """A sign for the verdict, in HTML: a tick, a cross, or a dash for what is a study of its own."""
        return "&#10003;" if self.verdict == "passed" else "&#10007;" if self.doubtful else "&#8211;"

    @property
    def doubtful(self) -> bool:
        """Whether the gate failed, or was not run where it could have been."""
        return self.verdict == "failed" or (self.verdict == "not run" and self.wanted)


@dataclass(frozen=True)
class TrustCard:
    """All gates of a calibration."""

    gates: tuple[Gate, ...]

    @property
    def passed(self) -> bool:
        """Whether no gate failed, and every gate that a calibration can run by itself was run."""
        return not self.doubts

    @property
    def failures(self) -> tuple[Gate, ...]:
        """The gates that failed."""
        return tuple(gate for gate in self.gates if gate.verdict == "failed")

    @property
    def doubts(self) -> tuple[Gate, ...]:
        """The gates that failed, and those that were not run and should have been."""
        return tuple(gate for gate in self.gates if gate.doubtful)

    @property
    def reason(self) -> str:
        """Why numbers are not to be trusted, in few words; empty where they are."""
        return "; ".join(f"{gate.name!r} {gate.verdict}" for gate in self.doubts)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return {"passed": self.passed, "gates": [asdict(gate) for gate in self.gates]}

    def to_json(self) -> str:
        """Return JSON; a figure that is no number is null."""
        made = self.to_dict()
        for gate in made["gates"]:
            for key in ("figure", "threshold"):
                gate[key] = gate[key] if abs(gate[key]) < float("inf") else None
        return json.dumps(made, indent=1)

    @staticmethod
    def from_json(text: str) -> "TrustCard":
        """Return the card written by `to_json`."""
        gates: list[dict[str, Any]] = json.loads(text)["gates"]
        for gate in gates:
            gate.update({k: float("nan") for k in ("figure", "threshold") if gate[k] is None})
        return TrustCard(tuple(Gate(**gate) for gate in gates))

    def __str__(self) -> str:
        return "\n".join(f"{gate.verdict:8s} {gate.name}: {gate.says}" for gate in self.gates)

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{g.mark} {g.verdict}</td><td>{html.escape(g.name)}</td><td>{html.escape(g.says)}</td></tr>"
            for g in self.gates
        )
        return f"<table><thead><tr><th>verdict</th><th>gate</th><th></th></tr></thead><tbody>{rows}</tbody></table>"


def trust(calibration: "Calibration") -> TrustCard:
    """Return the card of a calibration.

    Gates that need the declaration are those that were written with the file, where it was opened without its model.
    """
    from workbench.calibrate.discrepancy import confounding
    from workbench.calibrate.identify import identify
    from workbench.calibrate.sbc import sbc
    from workbench.calibrate.trust import agreement, convergence, data_quality, enough, fit, modes

    tree = calibration.tree
    made = [*convergence.gates(calibration.posterior, tree["sample_stats"].to_dataset()), modes.gate(calibration)]
    made += [g.gate(calibration) for g in (data_quality, enough, fit, agreement, identify)]
    made += [_optional(g.gate(calibration)) for g in (confounding, sbc)]
    if calibration.problem is None and calibration.written:
        known = {gate.name: gate for gate in calibration.written.gates}
        made = [known.get(g.name, g) if g.verdict == "not run" else g for g in made]
    return TrustCard(tuple(made))


def _optional(gate: Gate) -> Gate:
    return replace(gate, wanted=False)
