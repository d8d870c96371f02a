"""Progress of a notebook, as lines of text."""

from typing import Any


class Progress:
    """Tells which cell runs; papermill writes to it, as to a file, what the notebook prints.

    Attributes
    ----------
    place
        Where the notebook is, such as "cell 3 of 9 (Data)".
    """

    def __init__(self, name: str, cells: list[Any], shown: bool) -> None:
        self.name, self.shown = name, shown
        self.places: dict[int, tuple[int, str]] = {}
        heading, number = "", 0
        for index, cell in enumerate(cells):
            if cell.cell_type == "markdown":
                lines = [line.lstrip("#").strip() for line in cell.source.splitlines() if line.startswith("#")]
                heading = lines[-1] if lines else heading
            elif cell.cell_type == "code" and cell.source.strip():
                number += 1
                self.places[index] = number, heading
        self.total, self.place, self.rest = number, "start", ""

    def start(self, cell: Any, cell_index: int) -> None:
        """Note, and print, that a cell starts."""
        if cell_index not in self.places:
            return
        number, heading = self.places[cell_index]
        self.place = f"cell {number} of {self.total}" + (f" ({heading})" if heading else "")
        if self.shown:
            print(f"{self.name}: {self.place}", flush=True)

    def write(self, text: str) -> None:
        """Print the notebook's whole lines, indented; of a line that was overwritten, its last state."""
        *lines, self.rest = (self.rest + text).split("\n")
        for line in lines:
            if self.shown and line.strip():
                print(f"    {line.rstrip().rpartition(chr(13))[2]}", flush=True)

    def flush(self) -> None:
        """Do nothing: lines are printed when they end."""
