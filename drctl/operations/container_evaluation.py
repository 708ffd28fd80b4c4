"""Race a stored model in a container: the same evaluation as on this machine, watched from here."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from drctl import errors
from drctl.config.transfer import settings_to_json
from drctl.engines.container_run import give_to_container
from drctl.engines.engine import Preview
from drctl.engines.evaluation_container import preview_container, refuse_running, run_container
from drctl.engines.evaluation_process import evaluation_folder
from drctl.errors import DrctlError, FailedError, Problem
from drctl.operations.container_store import location_inside, provide_store, store_notes
from drctl.operations.containers import check_evaluation_machine, plan_evaluation
from drctl.operations.evaluation import Report, Watch
from drctl.operations.evaluation_part import REQUEST_FILE, RESULT_FILE, Told, result_from_json
from drctl.operations.race_preparation import EvaluationRequest, RacePreparation, prepare_races
from drctl.result import Message, Result
from drctl.stack.container_stack import EVALUATION_FOLDER
from drctl.storage.location import describe, project_store_location

if TYPE_CHECKING:
    from drctl.config.project import Project

_WORDS_KEPT: Final = 8


def check_container_races(project: Project, request: EvaluationRequest, report: Report) -> RacePreparation:
    """Find out, without OpenVINO, all that can be known before a container is started; starts the store's server.

    Raises:
        DrctlError: What stands against it, all problems at once.
    """
    check_evaluation_machine(project)
    refuse_running(plan_evaluation(project))
    for note in store_notes(project):
        report(note)
    provide_store(project, lambda command: report(Message(f"$ {command}")))
    return prepare_races(project, request, loads_graphs=False)


def race_in_container(project: Project, request: EvaluationRequest, *, watch: Watch, report: Report) -> Result:
    """Race in a container of this machine; see `drctl.operations.evaluation.evaluate`.

    The container is removed with the end of this call, whatever ends it.
    """
    check_container_races(project, request, report)
    plan = plan_evaluation(project)
    inside = _make_folder(project, request)
    last: list[str] = []
    with run_container(plan, lambda command: report(Message(f"$ {command}"))) as lines:
        for line in lines:
            told = Told.from_line(line)
            if told.view is not None:
                watch(told.view)
            elif told.message is not None:
                report(told.message)
                last = [*last, told.message.text][-_WORDS_KEPT:]
    try:
        content = json.loads((inside / RESULT_FILE).read_text())
    except (FileNotFoundError, ValueError) as error:
        raise FailedError(
            "the container of the evaluation ended without a result",
            where="\n".join([plan.part.name, *last]),
            fix="run it again; when the machine lacks memory, one track at a time",
        ) from error
    if "error" in content:
        raise _error_of(content)
    return result_from_json(content["result"])


def preview_in_container(project: Project) -> Preview:
    """Tell what `race_in_container` would start."""
    return preview_container(plan_evaluation(project))


def _make_folder(project: Project, request: EvaluationRequest) -> Path:
    """Write what the container reads into the folder that it sees, for its user alone."""
    settings = project.settings
    inside = evaluation_folder(project.root, settings.run_id) / EVALUATION_FOLDER
    shutil.rmtree(inside, ignore_errors=True)
    (inside / "tracks").mkdir(mode=0o700, parents=True)
    content = {
        "settings": settings_to_json(settings),
        "request": request.to_json(),
        "store": location_inside(project).to_json(),
        "place": describe(project_store_location(project)),
    }
    (inside / REQUEST_FILE).write_text(json.dumps(content, indent=1) + "\n")
    for name in dict.fromkeys(request.tracks or (settings.world_name,)):
        track = project.root / "tracks" / f"{name}.npy"
        if track.is_file():
            shutil.copyfile(track, inside / "tracks" / track.name)
    inside.chmod(0o700)
    for path in (inside, *inside.rglob("*")):
        give_to_container(path)
    return inside


def _error_of(content: dict[str, Any]) -> DrctlError:
    kind = getattr(errors, content["error"], FailedError)
    found: DrctlError = kind.from_problems([Problem(**problem) for problem in content["problems"]])
    return found
