"""A real JupyterLab with a real browser: a server on a folder of notebooks, and a page of Debian's Chromium in it."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from conftest import need

TOKEN = "workbench"
PRIVATE = ("JUPYTER_CONFIG", "JUPYTER_RUNTIME", "JUPYTERLAB_SETTINGS", "JUPYTERLAB_WORKSPACES")
PATIENCE = 120_000  # ms: a busy machine starts a kernel slowly


def notebook(path: Path, *cells: str) -> None:
    """Write a notebook of code cells."""
    made = [
        {"cell_type": "code", "id": f"c{k}", "metadata": {}, "execution_count": None, "outputs": [], "source": cell}
        for k, cell in enumerate(cells)
    ]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    path.write_text(json.dumps({"cells": made, "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}), "utf-8")


@contextmanager
def chromium() -> Iterator[Any]:
    """Yield a browser; the test is skipped where there is none."""
    path = shutil.which("chromium") or "/usr/bin/chromium"
    need(Path(path).exists(), "Debian's chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as tool:
        browser = tool.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@contextmanager
def server(folder: Path) -> Iterator[str]:
    """Yield the address of a JupyterLab on a folder, which is stopped in the end."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = {"ServerApp.port": port, "ServerApp.root_dir": folder, "ServerApp.open_browser": False,
               "IdentityProvider.token": TOKEN, "ServerApp.allow_root": True}  # fmt: skip
    command = [sys.executable, "-m", "jupyterlab", *(f"--{key}={value}" for key, value in options.items())]
    private = {f"{name}_DIR": str(folder / f".{name}") for name in PRIVATE}
    silent = Path(private["JUPYTERLAB_SETTINGS_DIR"], "@jupyterlab/apputils-extension/notification.jupyterlab-settings")
    silent.parent.mkdir(parents=True)  # else it asks whether to fetch news, and takes the keyboard
    silent.write_text('{"fetchNews": "false", "checkForUpdates": false}', "utf-8")
    with (folder / "server.log").open("w") as log:
        process = subprocess.Popen(command, env={**os.environ, **private}, stdout=log, stderr=log)
        try:
            address = f"http://127.0.0.1:{port}"
            _await(f"{address}/api/status?token={TOKEN}", process, folder / "server.log")
            yield address
        finally:
            process.terminate()
            process.wait(30)


def _await(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(300):
        assert process.poll() is None, log.read_text()[-2000:]
        try:
            with urllib.request.urlopen(address, timeout=2):
                return
        except OSError:
            time.sleep(0.2)
    raise AssertionError(log.read_text()[-2000:])


def opened(browser: Any, address: str, name: str) -> Any:
    """Return a page with a notebook, its kernel ready."""
    page = browser.new_page(viewport={"width": 1200, "height": 1000})
    page.set_default_timeout(PATIENCE)
    page.goto(f"{address}/lab/tree/{name}?token={TOKEN}&reset")
    page.wait_for_selector(".jp-NotebookPanel .jp-Cell")
    page.wait_for_selector('.jp-NotebookPanel-toolbar [data-status="idle"]')
    return page


def run(page: Any, cell: int) -> Any:
    """Run a cell by the keyboard, and return it when it has ended."""
    found = page.locator(".jp-Notebook .jp-Cell").nth(cell)
    prompt = found.locator(".jp-InputArea-prompt")
    for _ in range(20):  # a kernel that has just come up may not hear
        found.locator(".cm-content").click()
        page.keyboard.press("Control+Enter")
        page.wait_for_timeout(1000)
        if "[ ]" not in str(prompt.text_content()):
            break
    found.locator(".jp-InputArea-prompt", has_text=re.compile(r"\[\d+\]:")).wait_for()
    return found
