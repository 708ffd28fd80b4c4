import json

import pytest

from drctl.cli.app import main
from drctl.config.env_file import parse_env_file
from drctl.resources import resource_folder

CUSTOM_FILES = ["hyperparameters.json", "model_metadata.json", "reward_function.py"]


@pytest.fixture(autouse=True)
def _clean_shell(monkeypatch):
    import os

    for name in list(os.environ):
        if name.startswith("DR_"):
            monkeypatch.delenv(name)


@pytest.fixture
def drctl(capsys):
    def run(*arguments):
        status = main([str(word) for word in arguments])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return run


@pytest.fixture
def project(tmp_path, monkeypatch):
    (tmp_path / "run.env").write_text("# my run\nDR_WORLD_NAME=oval  # wide\nDR_CAR_NAME=Blitz\n")
    (tmp_path / "system.env").write_text("DR_WORKERS=2\r\n# DR_LINK_LISTEN=\r\nDR_WEBVIEWER_TOKEN=hunter2\r\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_init_makes_a_project_that_is_valid(tmp_path, drctl):
    folder = tmp_path / "new"
    status, out, err = drctl("init", folder)
    assert (status, err) == (0, "")
    assert out.splitlines() == [
        "wrote system.env",
        "wrote run.env",
        *(f"wrote custom_files/{name}" for name in CUSTOM_FILES),
        f"{folder} is a project",
        "Next:",
        f"  cd {folder}",
        "  drctl start-training",
    ]
    for name in ("system.env", "run.env", *(f"custom_files/{name}" for name in CUSTOM_FILES)):
        assert (folder / name).read_bytes() == (resource_folder("defaults") / name).read_bytes()
    status, out, err = drctl("--project", folder, "config", "check")
    assert (status, err) == (0, "")
    assert out.splitlines() == [
        "run 0: model rl-deepracer-sagemaker on reinvent_base, 1 worker, engine process, store local",
        "the settings are valid",
    ]


def test_init_overwrites_nothing(tmp_path, drctl, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run.env").write_text("DR_WORKERS=2\n")
    (tmp_path / "custom_files").mkdir()
    (tmp_path / "custom_files/reward_function.py").write_text("mine")
    (tmp_path / "custom_files/model_metadata.json").symlink_to("elsewhere.json")
    status, out, _ = drctl("init")
    assert status == 0
    assert (tmp_path / "run.env").read_text() == "DR_WORKERS=2\n"
    assert (tmp_path / "custom_files/reward_function.py").read_text() == "mine"
    assert not (tmp_path / "custom_files/elsewhere.json").exists()
    assert "kept run.env as it is\n" in out
    assert "wrote system.env\n" in out
    assert "cd " not in out
    status, out, _ = drctl("init")
    assert status == 0
    assert f"{tmp_path} was a project already; nothing changed\n" in out


def test_init_where_it_cannot_write(tmp_path, drctl):
    (tmp_path / "file").touch()
    status, out, err = drctl("init", tmp_path / "file" / "new")
    assert (status, out) == (4, "")
    assert err == (
        f"error[unavailable]: cannot write {tmp_path}/file/new/system.env: Not a directory\n"
        f"  where:    {tmp_path}/file/new/system.env\n"
        "  expected: a folder that this user may write to\n"
    )


def test_show_tells_value_and_origin(project, drctl, monkeypatch):
    monkeypatch.setenv("DR_CAR_NAME", "Donner")
    (project / "run.env").write_text("DR_WORLD_NAME=oval\nDR_OA_NUMBER_OF_OBSTACLES=2\nFOO=1\nDR_CAR_NAME=Blitz\n")
    status, out, err = drctl("--set", "DR_SEED=7", "config", "show")
    assert status == 0
    lines = {line.partition("=")[0]: " ".join(line.split()) for line in out.splitlines()}
    assert lines["DR_WORLD_NAME"] == "DR_WORLD_NAME=oval # run.env:1"
    assert lines["DR_WORKERS"] == "DR_WORKERS=2 # system.env:1"
    assert lines["DR_SEED"] == "DR_SEED=7 # --set"
    assert lines["DR_RUN_ID"] == "DR_RUN_ID=0 # default"
    assert lines["DR_CAR_NAME"] == "DR_CAR_NAME=Donner # environment, overrides Blitz"
    assert lines["DR_DISPLAY_NAME"] == "DR_DISPLAY_NAME=Donner # default"
    assert lines["DR_WEBVIEWER_TOKEN"] == ("DR_WEBVIEWER_TOKEN=[REDACTED] # system.env:3")
    assert lines["DR_OA_NUMBER_OF_OBSTACLES"] == (
        "DR_OA_NUMBER_OF_OBSTACLES=2 # run.env:2, unused: only when DR_RACE_TYPE is OBJECT_AVOIDANCE"
    )
    assert "hunter2" not in out + err
    assert err == "warning: FOO (run.env:3) is no setting, and no value uses it\n"


def test_show_as_json(project, drctl):
    status, out, err = drctl("config", "show", "--output", "json")
    assert (status, err) == (0, "")
    document = json.loads(out)
    assert (document["version"], document["command"], document["ok"]) == (1, "config show", True)
    assert set(document["data"]) == {"project", "settings", "notes"}
    rows = {row["name"]: row for row in document["data"]["settings"]}
    assert rows["DR_WORKERS"] == {
        "name": "DR_WORKERS",
        "value": "2",
        "origin": "system.env:1",
        "is_default": False,
        "state": "used",
    }
    assert "hunter2" not in out


def test_check_reports_every_mistake(project, drctl):
    (project / "run.env").write_text("DR_WORLDNAME=x\nDR_KEEP_GB=much\n")
    status, out, err = drctl("config", "check")
    assert (status, out) == (3, "")
    assert err == (
        "error[config_invalid]: there is no setting DR_WORLDNAME\n"
        "  where:    run.env:1\n"
        "  expected: closest is DR_WORLD_NAME\n"
        "  fix:      rename it to DR_WORLD_NAME in run.env:1\n"
        "error[config_invalid]: DR_KEEP_GB is 'much'\n"
        "  where:    run.env:2\n"
        "  expected: a number, 0 or more\n"
        "  fix:      drctl config set DR_KEEP_GB=10.0\n"
    )


def test_check_names_what_this_version_cannot_do(project, drctl, monkeypatch):
    monkeypatch.setenv("DR_WORKERS", "8")
    status, out, err = drctl("--set", "DR_RACE_TYPE=HEAD_TO_MODEL", "config", "check")
    assert status == 0
    assert out == "run 0: model rl-deepracer-sagemaker on oval, 8 workers, engine process, store local\n"
    assert err == (
        "warning: DR_WORKERS=8 in this shell wins over 2 in the files\n"
        "warning: DR_RACE_TYPE is HEAD_TO_MODEL, which start-training does not take: it races two models that are "
        "trained (--set); --set DR_RACE_TYPE=TIME_TRIAL\n"
    )


def test_commands_outside_a_project(tmp_path, drctl, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for command in (["config", "show"], ["config", "check"], ["config", "set", "DR_WORKERS=2"], ["update-env"]):
        status, out, err = drctl(*command)
        assert (status, out) == (3, "")
        assert err == (
            f"error[config_invalid]: {tmp_path} is not a project\n"
            "  expected: a run.env in this folder or in one above it\n"
            "  fix:      drctl init\n"
        )
    assert list(tmp_path.iterdir()) == []


def test_set_changes_one_line_of_the_right_file(project, drctl):
    status, out, err = drctl("config", "set", "DR_WORKERS=4", "DR_WORLD_NAME=reinvent_base", "DR_SEED=3")
    assert (status, err) == (0, "")
    assert out == "DR_WORKERS=4 in system.env\nDR_WORLD_NAME=reinvent_base in run.env\nDR_SEED=3 in run.env\n"
    assert (project / "system.env").read_bytes() == (
        b"DR_WORKERS=4\r\n# DR_LINK_LISTEN=\r\nDR_WEBVIEWER_TOKEN=hunter2\r\n"
    )
    assert (project / "run.env").read_text() == (
        "# my run\nDR_WORLD_NAME=reinvent_base  # wide\nDR_CAR_NAME=Blitz\nDR_SEED=3\n"
    )
    assert sorted(path.name for path in project.iterdir()) == ["run.env", "system.env"]


def test_set_uses_the_file_that_sets_it_now(project, drctl):
    (project / "run.env").write_text("DR_WORKERS=3\n")
    status, out, _ = drctl("config", "set", "DR_WORKERS=4")
    assert (status, out) == (0, "DR_WORKERS=4 in run.env\n")
    assert (project / "run.env").read_text() == "DR_WORKERS=4\n"
    assert (project / "system.env").read_text().startswith("DR_WORKERS=2")


def test_set_goes_below_the_commented_line(project, drctl):
    assert drctl("config", "set", "DR_LINK_LISTEN=0.0.0.0")[0] == 0
    assert (project / "system.env").read_bytes().splitlines()[1:3] == [b"# DR_LINK_LISTEN=", b"DR_LINK_LISTEN=0.0.0.0"]


def test_set_keeps_references_and_takes_older_names_over(project, drctl):
    (project / "run.env").write_text("DR_KINESIS_STREAM_ENABLE=True\n")
    status, out, err = drctl("config", "set", "DR_KINESIS_STREAM_ENABLE=False", "DR_RACER_NAME=$DR_CAR_NAME the 2nd")
    assert (status, err) == (0, "")
    assert out == "DR_CAMERA_KVS_ENABLE=False in run.env\nDR_RACER_NAME=$DR_CAR_NAME the 2nd in run.env\n"
    assert (project / "run.env").read_text() == 'DR_CAMERA_KVS_ENABLE=False\nDR_RACER_NAME="$DR_CAR_NAME the 2nd"\n'
    assert "DR_RACER_NAME=FastCar the 2nd " in drctl("config", "show")[1]


def test_set_writes_nothing_when_one_value_is_wrong(project, drctl):
    before = (project / "system.env").read_bytes(), (project / "run.env").read_bytes()
    status, out, err = drctl("config", "set", "DR_SEED=3", "DR_WORKERS=four", "DR_CLOUD=remote")
    assert (status, out) == (3, "")
    assert err == (
        "error[config_invalid]: DR_WORKERS is 'four'\n"
        "  where:    system.env, not written\n"
        "  expected: an integer from 1 to 64\n"
        "  fix:      drctl config set DR_WORKERS=4\n"
        "error[config_invalid]: DR_CLOUD is remote and DR_REMOTE_MINIO_URL has no value\n"
        "  where:    DR_CLOUD system.env:4\n"
        "  expected: the address of the S3 server\n"
        "  fix:      drctl config set DR_REMOTE_MINIO_URL=http://HOST:9000\n"
    )
    assert ((project / "system.env").read_bytes(), (project / "run.env").read_bytes()) == before


def test_set_mends_one_of_two_mistakes(project, drctl):
    (project / "run.env").write_text("DR_SEED=x\nDR_KEEP_GB=much\n")
    status, out, err = drctl("config", "set", "DR_SEED=3")
    assert (status, out) == (0, "DR_SEED=3 in run.env\n")
    assert err == "warning: still wrong: DR_KEEP_GB is 'much' (run.env:2); drctl config set DR_KEEP_GB=10.0\n"


@pytest.mark.parametrize(
    ("assignment", "error"),
    [
        (
            "DR_WORKER=4",
            (
                "error[config_invalid]: there is no setting DR_WORKER\n"
                "  expected: closest is DR_WORKERS\n"
                "  fix:      drctl config set DR_WORKERS=4\n"
            ),
        ),
        (
            "DR_WEBVIEWER_TOKENS=hunter3",
            (
                "error[config_invalid]: there is no setting DR_WEBVIEWER_TOKENS\n"
                "  expected: closest is DR_WEBVIEWER_TOKEN\n"
                "  fix:      drctl config set DR_WEBVIEWER_TOKEN=VALUE\n"
            ),
        ),
        (
            "DR_MINIO_URL=x",
            (
                "error[config_invalid]: DR_MINIO_URL cannot be set\n"
                "  expected: it is worked out from DR_CLOUD and DR_REMOTE_MINIO_URL\n"
            ),
        ),
        (
            "DR_CAR_NAME=a\nDR_SEED=1",
            (
                "error[config_invalid]: the value of DR_CAR_NAME has a line break\n"
                "  expected: one line\n"
                "  fix:      drctl config set DR_CAR_NAME=VALUE\n"
            ),
        ),
    ],
)
def test_set_refuses(project, drctl, assignment, error):
    before = (project / "run.env").read_bytes()
    assert drctl("config", "set", assignment) == (3, "", error)
    assert (project / "run.env").read_bytes() == before


def test_set_reports_a_reference_to_nothing(project, drctl):
    status, out, err = drctl("config", "set", "DR_CAR_NAME=$NOBODY")
    assert (status, out) == (3, "")
    assert err.startswith("error[config_invalid]: DR_CAR_NAME uses $NOBODY, which has no value\n")


def test_the_fix_of_a_misspelt_name_can_be_typed(project, drctl):
    err = drctl("config", "set", "DR_CARNAME=my car")[2]
    assert "  fix:      drctl config set 'DR_CAR_NAME=my car'\n" in err


def test_set_needs_an_equals_sign(project, drctl):
    status, out, err = drctl("config", "set", "DR_WORKERS")
    assert (status, out) == (2, "")
    assert err == (
        "error[usage]: DR_WORKERS sets nothing\n  expected: NAME=VALUE\n  fix:      drctl config set DR_WORKERS=VALUE\n"
    )


def test_set_hides_secrets_and_warns_of_the_shell(project, drctl, monkeypatch):
    monkeypatch.setenv("DR_WORKERS", "8")
    status, out, err = drctl("config", "set", "DR_WEBVIEWER_TOKEN=it's $ecret", "DR_WORKERS=3")
    assert (status, out) == (0, "DR_WEBVIEWER_TOKEN=[REDACTED] in system.env\nDR_WORKERS=3 in system.env\n")
    assert err == "warning: DR_WORKERS=8 in this shell wins over it\n"
    written = parse_env_file((project / "system.env").read_text(), "system.env").assignments[-1]
    assert written.parts == ("it's $ecret",)


def test_set_keeps_mode_and_link(project, drctl):
    real = project / "shared.env"
    (project / "system.env").rename(real)
    (project / "system.env").symlink_to(real)
    real.chmod(0o640)
    assert drctl("config", "set", "DR_WORKERS=5")[0] == 0
    assert (project / "system.env").is_symlink()
    assert real.read_text().startswith("DR_WORKERS=5")
    assert real.stat().st_mode & 0o777 == 0o640


def test_explain(project, drctl):
    status, out, err = drctl("config", "explain", "DR_WORKERS")
    assert (status, err) == (0, "")
    assert out.splitlines() == [
        "DR_WORKERS: Workers that simulate at the same time.",
        "  values:    an integer from 1 to 64",
        "  default:   1",
        "  file:      system.env",
        "  read by:   engine, trainer",
        "  commands:  start-training",
        "  available: now",
        "  value:     2",
        "  origin:    system.env:1",
    ]


def test_explain_older_retired_and_derived_names(project, drctl):
    out = drctl("config", "explain", "train_round_robin_advance_distance")[1]
    assert out.startswith(
        "DR_TRAIN_ROUND_ROBIN_ADVANCE_DISTANCE is the older name of DR_TRAIN_ROUND_ROBIN_ADVANCE_DIST\n"
        "DR_TRAIN_ROUND_ROBIN_ADVANCE_DIST: "
    )
    assert "  unit:      fraction of a lap\n" in out
    assert "  used when: DR_TRAIN_CHANGE_START_POSITION is True\n" in out
    assert drctl("config", "explain", "DR_COACH_IMAGE")[1] == (
        "DR_COACH_IMAGE does nothing any more: the trainer starts without a launcher; delete the line\n"
    )
    assert drctl("config", "explain", "DR_MINIO_URL")[1] == (
        "DR_MINIO_URL is worked out from DR_CLOUD and DR_REMOTE_MINIO_URL\n"
    )
    assert "  available: with a later part: models\n" in drctl("config", "explain", "DR_DROA_URL")[1]


def test_explain_needs_no_project(tmp_path, drctl, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status, out, _ = drctl("config", "explain", "workers", "--output", "json")
    assert status == 0
    data = json.loads(out)["data"]
    assert (data["name"], data["default"], data["file"]) == ("DR_WORKERS", "1", "system.env")
    assert "value" not in data


def test_explain_an_unknown_name(project, drctl):
    status, out, err = drctl("config", "explain", "DR_WORLDNAME")
    assert (status, out) == (2, "")
    assert err == (
        "error[usage]: there is no setting DR_WORLDNAME\n"
        "  expected: closest is DR_WORLD_NAME\n"
        "  fix:      drctl config explain DR_WORLD_NAME\n"
    )


def test_update_env_checks(project, drctl):
    status, out, err = drctl("update-env")
    assert (status, err) == (0, "")
    assert out.splitlines() == [
        "run 0: model rl-deepracer-sagemaker on oval, 2 workers, engine process, store local",
        "the settings are valid",
        "every command reads the env files anew; there is nothing to reload and no record of what changed",
    ]
    (project / "run.env").write_text("DR_WORKERS=0\n")
    status, out, err = drctl("update-env")
    assert (status, out) == (3, "")
    assert "DR_WORKERS is '0'" in err
