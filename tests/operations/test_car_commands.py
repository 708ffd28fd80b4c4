"""``export-car`` and ``upload-car-zip`` as a user types them, on a model that no training runs for."""

from __future__ import annotations

import io
import json
import tarfile

import pytest
from evaluation.round_track import LEFT, METADATA, STRAIGHT, constant_graph

from drctl.cli.app import main
from drctl.evaluation.golden_frames import golden_frames
from drctl.formats.object_keys import ModelKeys
from drctl.storage.directory import DirectoryStore
from drctl.storage.s3 import S3Store, StoreKeys

PREFIX = "rl-deepracer-sagemaker"
GRAPHS = {7: STRAIGHT, 12: LEFT}
SAME_ACTION = "it chooses the same action whatever it sees: is it trained?"


@pytest.fixture(scope="module")
def graphs():
    return {number: constant_graph(action) for number, action in GRAPHS.items()}


@pytest.fixture
def put_model(project, graphs):
    """Put a model as the community images leave it: index, graphs and metadata."""

    def put(prefix=PREFIX, **metadata):
        store, keys = DirectoryStore(project.data_folder / "bucket"), ModelKeys(prefix)
        store.put(keys.model_metadata, json.dumps({**METADATA, **metadata}).encode())
        index = {
            "best_checkpoint": {"name": "7_Step-70.ckpt", "avg_eval_metric": 100.0, "time_stamp": 1.0},
            "last_checkpoint": {"name": "12_Step-120.ckpt", "avg_eval_metric": 90.0, "time_stamp": 2.0},
        }
        store.put(keys.checkpoint_index, json.dumps(index).encode())
        for number, graph in graphs.items():
            store.put(keys.frozen_graph(number), graph)
        return store

    return put


@pytest.fixture
def drctl(project, capsys, monkeypatch, tmp_path):
    """Type a command in the project's folder."""
    monkeypatch.chdir(project.root)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "aws-config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "aws-credentials"))

    def type_in(*words):
        status = main(list(words))
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return type_in


def unpack(data):
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        return {member.name: archive.extractfile(member).read() for member in archive}


def test_a_stored_checkpoint_becomes_a_file_for_the_car(drctl, put_model, project, graphs):
    put_model()
    status, out, err = drctl("export-car")
    target, frames = project.root / f"{PREFIX}-12.tar.gz", len(golden_frames(json.dumps(METADATA)))
    assert (status, err) == (0, f"warning: {SAME_ACTION}\n")
    assert out == (
        f"unpacked again and run: answers as checkpoint 12 does on {frames} frames, with 1 action\n"
        f"with weights in half precision, which the car may take: the same on {frames} of them\n"
        "the best checkpoint is 7, which -b takes\n"
        f"wrote checkpoint 12 of {PREFIX} to {target.name}, {target.stat().st_size / 1e3:.1f} kB\n"
        f"Next:\n  drctl eval --model {PREFIX} --checkpoint 12 --mp4\n"
    )
    assert unpack(target.read_bytes()) == {
        "model_metadata.json": json.dumps(METADATA).encode(),
        "agent/model.pb": graphs[12],
    }

    status, out, err = drctl("export-car")
    assert (status, out) == (5, "")
    assert err.startswith(f"error[conflict]: {target.name} is there already\n")
    assert drctl("export-car", "-f")[0] == 0


def test_best_other_models_and_places(drctl, put_model, project, graphs):
    put_model("team/old")
    status, out, _ = drctl("--output", "json", "export-car", "-b", "-p", "team/old", "data")
    data = json.loads(out)["data"]
    assert status == 0
    assert (data["checkpoint"], data["prefix"], data["file"]) == (7, "team/old", "data/team-old-7.tar.gz")
    assert data["check"]["graph_difference"] == 0.0
    assert data["check"]["weights_difference"] is None
    assert unpack((project.root / data["file"]).read_bytes())["agent/model.pb"] == graphs[7]

    status, out, err = drctl("export-car", "car.zip", "--checkpoint", "7", "-p", "team/old")
    assert (status, "warning: the car takes names that end in .tar.gz\n" in err) == (0, True)
    assert drctl("export-car", "missing/car.tar.gz", "-p", "team/old")[2] == (
        "error[unavailable]: missing/car.tar.gz cannot be written: "
        "No such file or directory\n  where:    missing\n"
        "  expected: a folder that this user may write to, with room for the file\n"
    )


def test_a_car_file_that_is_imported_again_gives_the_same_car_file(drctl, put_model, project):
    put_model()
    assert drctl("export-car", "first.tar.gz")[0] == 0
    assert drctl("import-model", "first.tar.gz", "-p", "again", "-f")[0] == 0
    assert drctl("export-car", "second.tar.gz", "-p", "again")[0] == 0
    assert (project.root / "first.tar.gz").read_bytes() == (project.root / "second.tar.gz").read_bytes()


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (
            ["export-car", "-b", "--checkpoint", "3"],
            2,
            (
                "error[usage]: -b and --checkpoint 3 do not go together\n  expected: one of them\n"
                "  fix:      drctl export-car --checkpoint 3\n"
            ),
        ),
        (
            ["export-car", "--checkpoint", "newest"],
            2,
            (
                "error[usage]: --checkpoint newest is no checkpoint\n  expected: best, last or a checkpoint's number\n"
                "  fix:      drctl export-car --checkpoint last\n"
            ),
        ),
        (
            ["upload-car-zip", "-L"],
            2,
            (
                "error[usage]: upload-car-zip asks first, and nobody can answer here\n"
                "  expected: -f, which does not ask\n  fix:      drctl upload-car-zip -L -f\n"
            ),
        ),
        (
            ["upload-car-zip", "-f"],
            3,
            (
                "error[config_invalid]: there is no bucket to upload to\n  where:    default\n"
                "  expected: the name of a bucket in Amazon S3; -L uploads to the project's own\n"
                "  fix:      drctl config set DR_UPLOAD_S3_BUCKET=NAME\n"
            ),
        ),
    ],
)
def test_command_lines_that_are_refused(drctl, put_model, words, status, said):
    put_model()
    assert drctl(*words) == (status, "", said)


def test_models_that_no_car_can_drive_are_refused_and_nothing_is_written(drctl, put_model, project):
    put_model(lidar_config={}, sensor=["FRONT_FACING_CAMERA", "LIDAR"])
    status, _, err = drctl("export-car", "car.tar.gz")
    assert status == 3
    assert "model_12.pb sees with FRONT_FACING_CAMERA, model_metadata.json says FRONT_FACING_CAMERA, LIDAR" in err

    assert drctl("export-car", "car.tar.gz", "--checkpoint", "8")[2].startswith(
        f"error[object_not_found]: checkpoint 8 of {PREFIX} is not in the store\n"
    )
    assert drctl("export-car", "-p", "rl-deepracer-sage")[2].endswith(f"  fix:      drctl export-car -p {PREFIX}\n")
    assert not (project.root / "car.tar.gz").exists()


def test_an_upload_to_the_projects_own_bucket(drctl, put_model, graphs):
    store = put_model()
    key = f"{PREFIX}-1/carfile.tar.gz"
    status, out, err = drctl("upload-car-zip", "-L", "-f")
    assert (status, err) == (0, f"warning: {SAME_ACTION}\n")
    assert out.splitlines()[-3] == f"uploaded checkpoint 12 of {PREFIX} to {store.name}/{key}"
    assert unpack(store.get(key))["agent/model.pb"] == graphs[12]

    status, out, _ = drctl(
        "--output", "json", "upload-car-zip", "-L", "-f", "-b", "--set", "DR_UPLOAD_S3_PREFIX=cars/x"
    )
    data = json.loads(out)["data"]
    assert (status, data["key"], data["was_replaced"], data["checkpoint"]) == (0, "cars/x/carfile.tar.gz", False, 7)
    assert json.loads(drctl("--output", "json", "upload-car-zip", "-Lf")[1])["data"]["was_replaced"] is True


@pytest.mark.slow
def test_an_upload_to_another_bucket(drctl, put_model, s3_server, tmp_path, graphs):
    put_model()
    keys = f"aws_access_key_id={s3_server.access_key_id}\naws_secret_access_key={s3_server.secret_access_key}\n"
    (tmp_path / "aws-credentials").write_text(f"[racer]\n{keys}")
    (tmp_path / "aws-config").write_text(f"[profile racer]\nendpoint_url={s3_server.endpoint_url}\n")
    drctl("config", "set", "DR_UPLOAD_S3_BUCKET=car-models", "DR_UPLOAD_S3_PROFILE=racer")
    status, _, err = drctl("upload-car-zip", "-f")
    assert (status, "car-models" in err) == (4, True)  # there is no such bucket

    from drctl.secrets import Secret

    store = S3Store(
        "car-models",
        endpoint_url=s3_server.endpoint_url,
        keys=StoreKeys(s3_server.access_key_id, Secret(s3_server.secret_access_key)),
    )
    store.create_bucket_if_missing()
    status, out, _ = drctl("upload-car-zip", "-f")
    assert (status, out.splitlines()[-3]) == (
        0,
        f"uploaded checkpoint 12 of {PREFIX} to s3://car-models/{PREFIX}-1/carfile.tar.gz",
    )
    assert unpack(store.get(f"{PREFIX}-1/carfile.tar.gz"))["agent/model.pb"] == graphs[12]
