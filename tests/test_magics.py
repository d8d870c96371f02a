"""`%load_ext workbench` and `workbench lab`: thin words over what is tested elsewhere."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from click.testing import CliRunner
from IPython.core.interactiveshell import InteractiveShell
from models import LynxHare

import workbench as wb
from workbench.base.errors import ParameterError, WorkbenchError
from workbench.base.share import data_file, notebooks
from workbench.cli import main
from workbench.report.start_page import PAGE, furnish


@pytest.fixture
def shell() -> Any:
    made = InteractiveShell()
    made.run_line_magic("load_ext", "workbench")
    made.user_ns |= {"LynxHare": LynxHare, "pelts": pd.read_csv(data_file("lynx_hare.csv"), comment="#")}
    return made


def test_a_panel_of_names_in_the_notebook(shell: Any) -> None:
    panel = shell.run_line_magic("build", "LynxHare pelts")
    assert panel.recipe.columns == wb.build(LynxHare, shell.user_ns["pelts"]).recipe.columns
    assert shell.run_line_magic("build", "").view["sections"]
    with pytest.raises(ParameterError, match="cannot be read"):
        shell.run_line_magic("build", "none.yaml")
    with pytest.raises(ParameterError, match="expected a model or a saved twin, and data"):
        shell.run_line_magic("build", "a b c")


def test_names_that_are_not_there(shell: Any) -> None:
    with pytest.raises(ParameterError, match=r"unknown name 'LynxHar'.*did you mean 'LynxHare'"):
        shell.run_line_magic("explore", "LynxHar")


def test_notebooks_are_listed_and_run(shell: Any, capsys: Any, tmp_path: Path) -> None:
    shell.run_line_magic("notebooks", "")
    listed = capsys.readouterr().out
    assert all(name in listed for name in notebooks())
    tiny = Path(__file__).parent / "notebooks" / "tiny.ipynb"
    done = shell.run_line_magic("run_notebook", f"{tiny} -o {tmp_path / 'run'}")
    assert done.report.is_file()
    for line, message in (
        ("", "got no notebook"),
        (f"{tiny} x", "expected key=value"),
        ("tyni", "unknown notebook 'tyni'"),
    ):
        with pytest.raises(WorkbenchError, match=message):
            shell.run_line_magic("run_notebook", line)


def test_a_folder_is_furnished_once(tmp_path: Path) -> None:
    folder = furnish(tmp_path / "here")
    page = json.loads((folder / PAGE).read_text("utf-8"))
    linked = re.findall(r"\]\((\S+\.ipynb)\)", page["cells"][0]["source"])
    assert sorted(linked) == sorted(path.name for path in notebooks().values())
    assert all((folder / name).is_file() for name in linked)
    assert (folder / "data" / "theophylline.csv").is_file()
    (folder / PAGE).write_text("mine")
    furnish(folder)
    assert (folder / PAGE).read_text() == "mine", "what is there is left as it is"
    with pytest.raises(WorkbenchError, match="which is no folder"):
        furnish(folder / PAGE)
    refused = CliRunner().invoke(main, ["lab", str(folder / PAGE)])
    assert refused.exit_code == 2
    assert "which is no folder" in refused.output


@pytest.mark.slow
def test_a_real_jupyterlab_opens_on_it(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    asked = {"JUPYTER_PORT": str(port), "JUPYTER_TOKEN": "t", "JUPYTER_CONFIG_DIR": str(tmp_path / "config")}
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "jupyter_server_config.json").write_text('{"ServerApp": {"allow_root": true}}')
    command = [sys.executable, "-m", "workbench.cli", "lab", str(tmp_path / "folder"), "--no-browser"]
    process = subprocess.Popen(command, env={**os.environ, **asked}, start_new_session=True, stderr=subprocess.DEVNULL)
    try:
        for _ in range(120):
            time.sleep(0.5)
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/?token=t", timeout=5) as reply:
                    assert reply.url.endswith(f"/lab/tree/{PAGE}?token=t") or f"/lab/tree/{PAGE}" in reply.url
                    break
            except OSError:
                assert process.poll() is None
        else:
            pytest.fail("JupyterLab did not answer")
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)
    assert (tmp_path / "folder" / "00_quickstart.ipynb").is_file()
