"""The front door: the example of README.md runs as printed, and what it names exists."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_example_runs_as_printed(tmp_path: Path) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    command = [sys.executable, "-W", "error", "-c", code]
    run = subprocess.run(command, check=False, capture_output=True, text=True, cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    assert re.search(r"^CL +\d", run.stdout, re.MULTILINE), run.stdout
    assert "ok" in run.stdout


def test_what_it_links_to_exists() -> None:
    links = re.findall(r"\]\(((?!https?:)[^)]+)\)", README) + re.findall(
        r"`((?:docs|benchmarks|data|notebooks)/[^`]*)`", README
    )
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []
    targets = set(re.findall(r"^make (\w+)", README, re.MULTILINE))
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert targets
    assert all(f"\n{target}:" in makefile for target in targets)
