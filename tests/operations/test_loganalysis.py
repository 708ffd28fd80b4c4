"""JupyterLab on a project's models: started, found, asked, stopped; and the notebook that it opens."""

from __future__ import annotations

import importlib.util
import json
import socket
import urllib.error
import urllib.request

import pytest
from analysis.written_model import write_model_into

from drctl.analysis.notebook.plan import SHIPPED
from drctl.cli.app import main
from drctl.operations.loganalysis import SERVER


@pytest.fixture
def type_in(project, monkeypatch, capsys):
    monkeypatch.chdir(project.root)

    def run(*words):
        capsys.readouterr()
        status = main([*words, "--output", "json"])
        document = json.loads(capsys.readouterr().out)
        return status, document["data"] if document["ok"] else document["errors"]

    yield run
    SERVER.stop(project.root / "tmp" / "loganalysis")


@pytest.fixture
def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.mark.slow
def test_start_find_ask_stop(type_in, project, free_port):
    status, started = type_in("start-loganalysis", "-p", str(free_port))
    assert (status, started["was_running"], started["port"]) == (0, False, free_port)
    address = f"http://127.0.0.1:{free_port}"
    token = started["url"].partition("?token=")[2]
    assert started["url"] == f"{address}/lab/tree/log-analysis.ipynb?token={token}"
    with urllib.request.urlopen(f"{address}/api/contents?token={token}") as answer:
        assert [one["name"] for one in json.load(answer)["content"]] == ["log-analysis.ipynb"]
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(f"{address}/api/contents")
    assert token not in (project.root / "tmp" / "loganalysis" / "jupyterlab.log").read_text()
    assert type_in("url-loganalysis")[1]["url"] == started["url"]
    assert type_in("start-loganalysis")[1] == {**started, "was_running": True}
    assert type_in("start-loganalysis", "-p", "1")[1][0]["what"] == f"JupyterLab runs already, on port {free_port}"
    assert type_in("stop-loganalysis") == (0, {"was_running": True})
    assert type_in("stop-loganalysis") == (0, {"was_running": False})
    status, [problem] = type_in("url-loganalysis")
    assert (status, problem["what"], problem["fix"]) == (4, "JupyterLab is not running", "drctl start-loganalysis")


def test_without_the_extra(type_in, project, monkeypatch):
    found = importlib.util.find_spec
    lacking = ("jupyterlab", "pandas")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in lacking else found(name))
    status, [problem] = type_in("start-loganalysis")
    assert status == 4
    assert problem["what"] == "log analysis needs packages that are not installed: jupyterlab, pandas"
    assert problem["fix"] == "pip install 'drctl[analysis]'"
    assert not (project.root / "loganalysis").exists()


def test_a_port_that_is_taken(type_in, project):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        status, [problem] = type_in("start-loganalysis", "-p", str(port))
    assert status == 4
    assert problem["what"] == f"port {port} cannot be used: Address already in use"
    assert problem["fix"] == f"drctl start-loganalysis -p {port + 1}"
    assert not (project.root / "loganalysis").exists()


@pytest.mark.slow
@pytest.mark.parametrize("is_ours", [True, False])
@pytest.mark.filterwarnings("ignore")
def test_the_notebook_runs(project, is_ours, monkeypatch, tmp_path):
    import nbformat
    from nbclient import NotebookClient

    bucket = project.data_folder / "bucket"
    write_model_into(bucket, "rl-deepracer-sagemaker", is_ours=is_ours, has_race=is_ours)
    folder = project.root / "loganalysis"
    folder.mkdir()
    for name, value in {"IPYTHONDIR": tmp_path / "i", "MPLCONFIGDIR": tmp_path / "m"}.items():
        monkeypatch.setenv(name, str(value))
    notebook = nbformat.reads(SHIPPED.read_text(), as_version=4)
    NotebookClient(
        notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
    ).execute()
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    pictures = sum("image/png" in output.get("data", {}) for output in outputs)
    assert pictures >= (7 if is_ours else 6)
    assert any("4 iterations, 20 training episodes" in output.get("text", "") for output in outputs)
