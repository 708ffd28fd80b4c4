"""import-model as users type it: what the original system left, or a car file, becomes a model; or nothing is there."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import pytest
from evaluation.policy_case import PolicyCase, metadata_text

from drctl.cli.app import main
from drctl.config.project import load_project
from drctl.evaluation.checkpoint import load_checkpoint
from drctl.evaluation.graph_policy import GraphPolicy
from drctl.formats.model_metadata import parse_model_metadata
from drctl.formats.network_layout import DEEP, SHALLOW
from drctl.formats.object_keys import ModelKeys
from drctl.formats.protobuf_wire import bytes_field
from drctl.operations.model_source import _locate
from drctl.operations.pretrained import find_pretrained
from drctl.secrets import Secret
from drctl.storage.directory import DirectoryStore
from drctl.storage.location import project_store_location
from drctl.storage.s3 import S3Store, StoreKeys

LEFT = ("LEFT_CAMERA", None, DEEP)
INDEX = {
    "best_checkpoint": {"name": "9_Step-900.ckpt", "avg_eval_metric": 99.5, "time_stamp": 1.0},
    "last_checkpoint": {"name": "12_Step-1300.ckpt", "avg_comp_pct": 50.0, "time_stamp": 2.0},
}

NOT_TAKEN = (
    "not taken: 10 files of TensorFlow checkpoints, 1 graph of other checkpoints, "
    "2 other files (ip/ip.json, model/.finished)"
)


@pytest.fixture(scope="module")
def graphs():
    """Graphs of small networks, by kind."""
    return {kind: PolicyCase(*LEFT, kind).graph() for kind in ("discrete", "continuous", "sac")}


@pytest.fixture
def project(make_project, monkeypatch):
    found = make_project()
    monkeypatch.chdir(found.root)
    return found


def original(folder, graphs, kind="discrete", numbers=(9, 11, 12), index=INDEX):
    """A model as DeepRacer-for-Cloud leaves it."""
    files = {f"model/model_{number}.pb": graphs[kind] for number in numbers}
    files |= {
        f"model/{number}_Step-{number}00.ckpt.{ending}": b"tensors"
        for number in numbers
        for ending in ("index", "meta", "data-00000-of-00001")
    }
    files |= {
        "model/model_metadata.json": metadata_text(*LEFT, kind).encode(),
        "model/.coach_checkpoint": b"12_Step-1300.ckpt",
        "model/.finished": b"",
        "ip/ip.json": b"{}",
        "ip/hyperparameters.json": b'{"stack_size": 4}',
        "reward_function.py": b"pass",
        "training_params.yaml": b"WORLD_NAME: reinvent_base",
        "metrics/TrainingMetrics.json": b'{"metrics": []}',
        "0/training-simtrace/3-iteration.csv": b"episode",
    }
    if index is not None:
        files["model/deepracer_checkpoints.json"] = json.dumps(index).encode()
    return put(folder, files)


def put(folder, files):
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def objects(store):
    return sorted(info.key for info in store.list())


def refusal(capsys, store, *words):
    """Run a command that must refuse, and return the lines of its message; nothing may have been written."""
    before = objects(store)
    status = main(["import-model", *map(str, words)])
    streams = capsys.readouterr()
    assert streams.out == ""
    assert status in (2, 3, 4, 5)
    assert objects(store) == before
    return streams.err.splitlines()


def test_a_folder_of_deepracer_for_cloud(tmp_path, graphs, store, capsys):
    folder = original(tmp_path / "old model", graphs)
    before = sorted(folder.rglob("*"))
    assert main(["import-model", str(folder)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{folder}: clipped_ppo, {DEEP}, LEFT_CAMERA, 3 actions; checkpoint 9, 12"
    assert lines[1] == "run beside drctl's network with its weights: the same answers"
    assert lines[2:6] == [
        "with it: 5 files about its training and races",
        NOT_TAKEN,
        "a graph holds the policy alone: a clone begins with it, and with the value network untrained",
        "data/bucket/old-model is a model with checkpoint 9, 12",
    ]
    assert "  drctl eval --model old-model" in lines
    assert "  cp data/bucket/old-model/model/model_metadata.json custom_files/model_metadata.json" in lines
    assert sorted(folder.rglob("*")) == before
    assert objects(store) == [
        f"old-model/{name}"
        for name in (
            ".drctl/import.json",
            "0/training-simtrace/3-iteration.csv",
            "ip/hyperparameters.json",
            "metrics/TrainingMetrics.json",
            "model/deepracer_checkpoints.json",
            "model/model_12.pb",
            "model/model_9.pb",
            "model/model_metadata.json",
            "reward_function.py",
            "training_params.yaml",
        )
    ]
    assert main(["list-models"]) == 0
    assert capsys.readouterr().out.splitlines()[1].startswith("old-model  imported  reinvent_base          12")
    index = json.loads(store.get("old-model/model/deepracer_checkpoints.json"))
    assert index["best_checkpoint"] == INDEX["best_checkpoint"]
    assert index["last_checkpoint"]["name"] == "12_Step-1300.ckpt"


@pytest.mark.parametrize("kind", ["discrete", "continuous", "sac"])
def test_what_was_imported_can_be_raced_and_begun_with(tmp_path, graphs, project, store, capsys, kind):
    original(tmp_path / "old", graphs, kind)
    assert main(["import-model", str(tmp_path / "old"), "-p", "teams/mine", "-c", "best"]) == 0
    keys = ModelKeys("teams/mine")
    checkpoint = load_checkpoint(store, keys, "last")
    assert (checkpoint.number, checkpoint.graph) == (9, graphs[kind])
    metadata = parse_model_metadata(store.get(keys.model_metadata), "model_metadata.json")
    case = PolicyCase(*LEFT, kind)
    (frame,) = case.stacks(1)[0]
    wanted = case.answers(case.stacks(1))[0]
    chosen = GraphPolicy(checkpoint.graph, metadata, "model_9.pb").act(frame)[0]
    assert chosen == (wanted.argmax() if kind == "discrete" else pytest.approx(wanted, abs=1e-5))
    settings = {"DR_LOCAL_S3_PRETRAINED": "True", "DR_LOCAL_S3_PRETRAINED_PREFIX": "teams/mine"}
    begun = find_pretrained(load_project(project.root, settings), project_store_location(project))
    words = ["start-training", "-q", "--set=DR_LOCAL_S3_MODEL_PREFIX=teams/mine"]
    for more in ([], ["--resume"]):
        capsys.readouterr()
        assert main([*words, *more]) == 5
        assert "drctl increment-training && drctl start-training begins a new model with it" in capsys.readouterr().err
    assert (begun.spec.checkpoint, begun.spec.is_graph, begun.stack_size) == (9, True, 1)
    spread = "" if kind == "discrete" else " and how widely it explores"
    assert begun.describe().endswith(
        f"taken out of its graph; the value network{spread} {'begins' if not spread else 'begin'} untrained"
    )


def car_file(path, *files):
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def test_a_car_file_wherever_it_lies(tmp_path, graphs, store, capsys):
    metadata = ("model_metadata.json", metadata_text(*LEFT).encode())
    car_file(tmp_path / "Red Car.tar.gz", metadata, ("agent/model.pb", graphs["discrete"]), ("worker_0.csv", b"a"))
    assert main(["import-model", str(tmp_path / "Red Car.tar.gz")]) == 0
    assert "not taken: 1 other file (worker_0.csv)" in capsys.readouterr().out
    assert store.get("Red-Car/model/model_1.pb") == graphs["discrete"]
    index = json.loads(store.get("Red-Car/model/deepracer_checkpoints.json"))
    assert (
        index["best_checkpoint"]
        == index["last_checkpoint"]
        == {
            "name": "1_Step-0.ckpt",
            "avg_eval_metric": None,
            "time_stamp": 0.0,
        }
    )
    # What upload-car-zip leaves under a prefix.
    other = DirectoryStore(Path("data/garage").absolute())
    other.put("red/carfile.tar.gz", (tmp_path / "Red Car.tar.gz").read_bytes())
    assert main(["import-model", "s3://garage/red"]) == 0
    assert main(["import-model", "s3://garage/red/carfile.tar.gz", "-p", "again"]) == 0
    assert store.get("red/model/model_1.pb") == store.get("again/model/model_1.pb") == graphs["discrete"]
    assert [info.key for info in other.list()] == ["red/carfile.tar.gz"]


def test_a_graph_and_a_prefix(tmp_path, graphs, store, capsys):
    put(tmp_path, {"mine.pb": graphs["sac"], "about.json": metadata_text(*LEFT, "sac").encode()})
    assert refusal(capsys, store, tmp_path / "mine.pb") == [
        f"error[object_not_found]: {tmp_path}/mine.pb needs the model_metadata.json that it was trained with",
        f"  where:    {tmp_path}/model_metadata.json",
        "  expected: model_metadata.json beside it, or --metadata FILE",
        f"  fix:      drctl import-model {tmp_path}/mine.pb --metadata FILE",
    ]
    assert main(["import-model", str(tmp_path / "mine.pb"), "--metadata", str(tmp_path / "about.json")]) == 0
    capsys.readouterr()
    assert store.get("mine/model/model_1.pb") == graphs["sac"]
    assert main(["import-model", "mine", "-p", "copy", "--output", "json"]) == 0
    data = json.loads(capsys.readouterr().out)["data"]
    assert {key: data[key] for key in ("prefix", "source", "checkpoints", "algorithm", "moved")} == {
        "prefix": "copy",
        "source": "data/bucket/mine",
        "checkpoints": [1],
        "algorithm": "sac",
        "moved": None,
    }
    assert refusal(capsys, store, "mine")[0] == (
        "error[conflict]: data/bucket/mine is in this project's bucket already"
    )


def test_what_follows_can_be_typed(tmp_path, graphs, project, store, capsys):
    own = project.settings.local_s3_model_prefix
    folder = str(original(tmp_path / "old", graphs))

    def clone(*words):
        assert main(["import-model", folder, *words]) == 0
        return capsys.readouterr().out.splitlines()[-1]

    begin = "DR_LOCAL_S3_PRETRAINED=True DR_LOCAL_S3_PRETRAINED_PREFIX"
    assert clone() == f"  drctl config set {begin}=old && drctl start-training"
    assert clone("-p", own) == "  drctl increment-training && drctl start-training"
    used = clone("-p", "other")  # by the model that was just imported
    assert used == f"  drctl config set DR_LOCAL_S3_MODEL_PREFIX={own}-1 {begin}=other && drctl start-training"


@pytest.mark.slow
def test_from_one_bucket_of_an_s3_server_into_another(tmp_path, graphs, project, s3_server, monkeypatch):
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    keys = StoreKeys(s3_server.access_key_id, Secret(s3_server.secret_access_key))
    (tmp_path / "credentials").write_text(
        f"[minio]\naws_access_key_id={keys.access_key_id}\naws_secret_access_key={keys.secret_access_key.reveal()}\n"
    )
    theirs = S3Store("import-theirs", endpoint_url=s3_server.endpoint_url, keys=keys)
    ours = S3Store("import-ours", endpoint_url=s3_server.endpoint_url, keys=keys)
    for one in (theirs, ours):
        one.create_bucket_if_missing()
    folder = original(tmp_path / "old", graphs)
    for path in folder.rglob("*"):
        if path.is_file():
            theirs.put(f"teams/red/{path.relative_to(folder)}", path.read_bytes())
    settings = {"CLOUD": "remote", "REMOTE_MINIO_URL": s3_server.endpoint_url, "LOCAL_S3_PROFILE": "minio"}
    words = [f"--set=DR_{name}={value}" for name, value in {**settings, "LOCAL_S3_BUCKET": "import-ours"}.items()]
    assert main([*words, "import-model", "s3://import-theirs/teams/red/"]) == 0
    assert len(objects(ours)) == 10
    assert load_checkpoint(ours, ModelKeys("red"), "best").graph == graphs["discrete"]


def test_a_dry_run_writes_nothing(tmp_path, graphs, store, capsys):
    original(tmp_path / "old", graphs)
    assert main(["import-model", str(tmp_path / "old"), "-d", "--output", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert set(document["data"]) == {
        *("store", "prefix", "source", "checkpoints", "best", "last", "sensors", "network", "algorithm"),
        *("files", "difference", "moved"),
    }
    assert (document["data"]["best"], document["data"]["last"]) == (9, 12)
    assert document["data"]["difference"] < 1e-5
    assert objects(store) == []


@pytest.mark.parametrize(
    ("numbers", "index", "taken", "note"),
    [
        ((3, 20), None, [20], "no checkpoint is named the best or the last one: took the newest, 20"),
        ((12,), INDEX, [12], "the best checkpoint 9 has no graph there"),
        ((4,), INDEX, [4], "the last checkpoint 12 has no graph there"),
    ],
)
def test_checkpoints_that_are_there(tmp_path, graphs, store, capsys, numbers, index, taken, note):
    original(tmp_path / "old", graphs, numbers=numbers, index=index)
    assert main(["import-model", str(tmp_path / "old")]) == 0
    assert f"warning: {note}\n" in capsys.readouterr().err
    assert [load_checkpoint(store, ModelKeys("old"), choice).number for choice in ("best", "last")] == taken * 2


def test_keys_of_other_software_in_the_metadata(tmp_path, graphs, store, capsys):
    folder = original(tmp_path / "old", graphs)
    content = {**json.loads(metadata_text(*LEFT)), "preprocess_type": "grey"}
    put(folder, {"model/model_metadata.json": json.dumps(content).encode()})
    assert main(["import-model", str(folder)]) == 0
    assert "preprocess_type of model_metadata.json has no meaning here, left out" in capsys.readouterr().err
    assert json.loads(store.get("old/model/model_metadata.json")) == json.loads(metadata_text(*LEFT))


def test_a_prefix_that_is_in_use(tmp_path, graphs, store, capsys):
    folder = original(tmp_path / "old", graphs)
    store.put("old/precious", b"x")
    assert refusal(capsys, store, folder) == [
        "error[conflict]: the prefix old is in use: 1 object",
        "  where:    data/bucket/old",
        "  expected: an empty prefix",
        f"  fix:      drctl import-model {folder} -p old-imported; -w moves what is there to the trash",
    ]
    assert refusal(capsys, store, folder, "-w")[0] == (
        "error[usage]: import-model asks first, and nobody can answer here"
    )
    assert main(["import-model", str(folder), "-w", "-f"]) == 0
    assert "what was at old is in the trash as " in capsys.readouterr().out
    assert store.stat("old/precious") is None
    assert main(["undo", "-w"]) == 0
    assert objects(store)[-1] == "old/precious"


def test_what_fails_halfway_leaves_everything_as_it_was(tmp_path, graphs, store, monkeypatch):
    folder = original(tmp_path / "old", graphs)
    store.put("old/precious", b"x")
    real = DirectoryStore.put

    def fail(self, key, data, **options):
        if key.endswith("deepracer_checkpoints.json"):
            raise KeyboardInterrupt
        return real(self, key, data, **options)

    monkeypatch.setattr(DirectoryStore, "put", fail)
    assert main(["import-model", str(folder), "-w", "-f"]) == 130
    assert [key for key in objects(store) if not key.startswith(".trash/")] == ["old/precious"]


def wrong_metadata(**changes):
    return json.dumps({**json.loads(metadata_text(*LEFT)), **changes}).encode()


@pytest.mark.parametrize(
    ("metadata", "said"),
    [
        ({"sensor": ["LEFT_CAMERA", "LIDAR"]}, "sees with LEFT_CAMERA, model_metadata.json says LEFT_CAMERA, LIDAR"),
        ({"sensor": ["FRONT_FACING_CAMERA"]}, "sees with LEFT_CAMERA, model_metadata.json says FRONT_FACING_CAMERA"),
        (
            {"action_space": [{"steering_angle": 0, "speed": 1}]},
            "chooses one of 3 actions, model_metadata.json has one of 1 actions",
        ),
        ({"neural_network": SHALLOW}, f"has the layers of {DEEP}, model_metadata.json says another network"),
    ],
)
def test_metadata_of_another_model(tmp_path, graphs, store, capsys, metadata, said):
    put(tmp_path / "old", {"model_7.pb": graphs["discrete"], "model_metadata.json": wrong_metadata(**metadata)})
    assert refusal(capsys, store, tmp_path / "old")[0] == f"error[file_invalid]: {tmp_path}/old/model_7.pb {said}"


def test_a_network_that_computes_something_else(tmp_path, graphs, store, capsys):
    graph = graphs["discrete"].replace(bytes_field(2, "Relu"), bytes_field(2, "Tanh"))
    put(tmp_path / "old", {"model_7.pb": graph, "model_metadata.json": metadata_text(*LEFT).encode()})
    lines = refusal(capsys, store, tmp_path / "old")
    assert lines[0] == (
        f"error[file_invalid]: {tmp_path}/old/model_7.pb has the layers of {DEEP} and computes something else"
    )


def test_sources_without_one_model(tmp_path, graphs, store, capsys):
    graph, metadata = graphs["discrete"], metadata_text(*LEFT).encode()
    empty = put(tmp_path / "empty", {"model_metadata.json": metadata})
    assert refusal(capsys, store, empty)[0] == f"error[file_invalid]: {empty} holds no graph"
    tensorflow = put(tmp_path / "tf", {"model/7_Step-9.ckpt.index": b"", "model/model_metadata.json": metadata})
    assert refusal(capsys, store, tensorflow)[-1] == (
        "  fix:      its TensorFlow checkpoint cannot be read; fetch the model_<n>.pb beside it, or its car file"
    )
    minio = put(tmp_path / "minio", {"model/model_7.pb/xl.meta": b"", "model/model_metadata.json/xl.meta": b""})
    assert "this is how MinIO keeps its objects" in refusal(capsys, store, minio)[-1]
    bare = put(tmp_path / "bare", {"model/model_7.pb": graph})
    assert refusal(capsys, store, bare)[0] == f"error[file_invalid]: {bare} holds no model_metadata.json"
    several = put(tmp_path / "all", {"a/model/model_7.pb": graph, "b/model/model_7.pb": graph})
    lines = refusal(capsys, store, several)
    assert lines[0] == f"error[file_invalid]: {several} holds graphs in 2 folders: a/model/, b/model/"
    assert lines[-1] == f"  fix:      drctl import-model {several}/a"
    two = put(tmp_path / "two", {"model/model_7.pb": graph, "model/model_metadata.json": metadata})
    put(two, {"model_metadata.json": metadata + b"\n"})  # as DRfC's upload leaves it: the same once more
    assert main(["import-model", str(two), "-d"]) == 0
    capsys.readouterr()
    put(two, {"model_metadata.json": wrong_metadata(version=4)})
    assert refusal(capsys, store, two)[0] == (
        f"error[file_invalid]: {two} holds 2 files model_metadata.json that differ: "
        "model/model_metadata.json, model_metadata.json"
    )
    (two / "model" / "model_8.pb").symlink_to("/etc/hostname")
    assert refusal(capsys, store, two)[0] == f"error[file_invalid]: {two}/model/model_8.pb is a link"


def test_words_that_mean_nothing(tmp_path, graphs, store, capsys):
    put(tmp_path, {"model_7.pb": graphs["discrete"], "model_metadata.json": metadata_text(*LEFT).encode()})
    assert refusal(capsys, store, "nothing")[0] == (
        "error[object_not_found]: there is no nothing, neither a file nor a folder nor a model in data/bucket"
    )
    assert refusal(capsys, store, tmp_path / "model_7.pb", "-c", "9x")[0] == (
        "error[usage]: --checkpoint 9x is no checkpoint"
    )
    assert refusal(capsys, store, tmp_path / "model_7.pb", "-p", "a//b")[0] == "error[usage]: 'a//b' is no prefix"
    folder = original(tmp_path / "old", graphs)
    lines = refusal(capsys, store, folder, "-c", "4")
    assert lines[0] == f"error[object_not_found]: {folder} has no graph of the checkpoint 4"
    assert lines[2] == "  expected: one of: 9, 11, 12"
    assert refusal(capsys, store, folder, "--metadata", "x")[0] == "error[usage]: --metadata goes with a .pb alone"
    assert refusal(capsys, store, folder, "--profile", "x")[0] == "error[usage]: --profile goes with s3:// alone"
    assert refusal(capsys, store, "s3://bucket/")[0] == "error[usage]: s3://bucket/ names no model"


def test_where_an_address_leads(make_project):
    project = make_project(upload_s3_bucket="mine-in-aws", upload_s3_profile="work")
    (project.data_folder / "garage").mkdir(parents=True)
    assert _locate(project, "garage", None).folder == str(project.data_folder / "garage")
    for bucket, profile, expected in [
        ("mine-in-aws", None, "work"),
        ("elsewhere", None, "work"),
        ("garage", "home", "home"),
    ]:
        found = _locate(project, bucket, profile)
        assert (found.kind, found.bucket, found.endpoint_url, found.profile) == ("s3", bucket, None, expected)
    minio = make_project(upload_s3_endpoint_url="http://localhost:9000")
    assert _locate(minio, "garage", "minio").endpoint_url == "http://localhost:9000"
    remote = make_project(cloud="remote", remote_minio_url="http://store:9000", upload_s3_bucket="mine-in-aws")
    assert _locate(remote, "elsewhere", None).endpoint_url == "http://store:9000"
    assert _locate(remote, "mine-in-aws", None).endpoint_url is None
