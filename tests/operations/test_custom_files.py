"""Custom files go up and down, changed ones only, and none is lost."""

from __future__ import annotations

import pytest

from drctl.config.project import load_project
from drctl.errors import ConflictError, ObjectNotFoundError, UsageError
from drctl.operations.custom_files import chosen_files, download_custom_files, upload_custom_files

USUAL = {"hyperparameters.json": b"{}", "model_metadata.json": b"{ }", "reward_function.py": b"pass\n"}


@pytest.fixture
def make_project(tmp_path):
    def make(**settings):
        (tmp_path / "run.env").touch()
        overrides = {f"DR_{name}": value for name, value in settings.items()}
        return load_project(tmp_path, overrides, environment={})

    return make


@pytest.fixture
def bucket(tmp_path):
    return tmp_path / "data" / "bucket"


def write(folder, files):
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


def read(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith(".drctl-store-")
    }


def changes(result):
    return {one["name"]: one["change"] for one in result.data["files"]}


def test_uploads_what_is_new_or_changed(make_project, bucket):
    project = make_project()
    write(project.custom_files, {**USUAL, "tracks/mine.npy": b"rows"})
    result = upload_custom_files(project)
    assert changes(result) == dict.fromkeys([*USUAL, "tracks/mine.npy"], "new")
    assert read(bucket / "custom_files") == {**USUAL, "tracks/mine.npy": b"rows"}
    assert [message.text for message in result.messages][-1] == "4 of 4 files copied to data/bucket/custom_files"

    write(project.custom_files, {"reward_function.py": b"PASS\n", "new.txt": b""})  # of the same length
    before = (bucket / "custom_files" / "hyperparameters.json").stat()
    result = upload_custom_files(project)
    assert changes(result) == {
        "hyperparameters.json": "unchanged",
        "model_metadata.json": "unchanged",
        "new.txt": "new",
        "reward_function.py": "changed",
        "tracks/mine.npy": "unchanged",
    }
    assert result.data["copied"] == 2
    assert (bucket / "custom_files" / "reward_function.py").read_bytes() == b"PASS\n"
    assert (bucket / "custom_files" / "hyperparameters.json").stat() == before
    assert "changed    reward_function.py" in [message.text for message in result.messages]

    texts = [message.text for message in upload_custom_files(project).messages]
    assert texts[-1] == "nothing to copy: data/bucket/custom_files has the same 5 files"


def test_upload_leaves_clutter_here_and_deletes_nothing_there(make_project, bucket):
    project = make_project()
    clutter = {".gitkeep": b"", "__pycache__/reward_function.pyc": b"", "reward_function.py~": b"", ".git/a/b": b""}
    write(project.custom_files, {**USUAL, **clutter})
    write(bucket, {"custom_files/old.txt": b"stays"})
    upload_custom_files(project)
    assert read(bucket / "custom_files") == {**USUAL, "old.txt": b"stays"}


def test_files_go_to_the_prefix_and_keys_of_the_settings(make_project, bucket):
    project = make_project(
        LOCAL_S3_CUSTOM_FILES_PREFIX="shared/files", LOCAL_S3_REWARD_KEY="rewards/fast.py", LOCAL_S3_BUCKET="bucket"
    )
    write(project.custom_files, USUAL)
    upload_custom_files(project)
    assert read(bucket) == {
        "shared/files/hyperparameters.json": b"{}",
        "shared/files/model_metadata.json": b"{ }",
        "rewards/fast.py": b"pass\n",
    }
    for path in list(project.custom_files.iterdir()):
        path.unlink()
    assert changes(download_custom_files(project)) == dict.fromkeys(USUAL, "new")
    assert read(project.custom_files) == USUAL


def test_a_key_below_the_prefix_names_the_file_at_the_same_place(make_project, bucket):
    project = make_project(LOCAL_S3_REWARD_KEY="custom_files/reward_b.py")
    write(project.custom_files, {**USUAL, "reward_b.py": b"b"})
    assert chosen_files(project)["reward_function.py"] == (
        project.custom_files / "reward_b.py",
        "custom_files/reward_b.py",
    )
    upload_custom_files(project)
    assert read(bucket / "custom_files") == {**USUAL, "reward_b.py": b"b"}
    assert set(changes(download_custom_files(project)).values()) == {"unchanged"}

    (project.custom_files / "reward_b.py").unlink()
    assert chosen_files(project)["reward_function.py"][0].name == "reward_function.py"
    upload_custom_files(project)
    assert read(bucket / "custom_files")["reward_b.py"] == b"pass\n"


def test_nothing_to_upload_is_told(make_project, bucket):
    project = make_project()
    with pytest.raises(UsageError) as caught:
        upload_custom_files(project)
    assert str(caught.value) == "there are no custom files to upload"
    assert not bucket.exists()


def test_downloads_what_is_new(make_project, bucket):
    project = make_project()
    write(bucket / "custom_files", USUAL)
    write(project.custom_files, {"model_metadata.json": b"{ }", "notes.txt": b"only here"})
    result = download_custom_files(project)
    assert changes(result) == {
        "hyperparameters.json": "new",
        "model_metadata.json": "unchanged",
        "reward_function.py": "new",
    }
    assert read(project.custom_files) == {**USUAL, "notes.txt": b"only here"}
    assert [message.text for message in result.messages][-1] == "2 of 3 files copied to custom_files"


def test_download_keeps_local_files_that_differ(make_project, bucket, tmp_path):
    project = make_project()
    write(bucket / "custom_files", USUAL)
    mine = {"hyperparameters.json": b'{"lr": 1}', "reward_function.py": b"mine"}
    write(project.custom_files, mine)
    with pytest.raises(ConflictError) as caught:
        download_custom_files(project)
    assert [(problem.what, problem.fix) for problem in caught.value.problems] == [
        ("custom_files/hyperparameters.json differs from the bucket's", "drctl download-custom-files -f"),
        ("custom_files/reward_function.py differs from the bucket's", "drctl download-custom-files -f"),
    ]
    assert read(project.custom_files) == mine

    result = download_custom_files(project, force=True)
    assert read(project.custom_files) == USUAL
    assert read(tmp_path / result.data["kept_in"]) == mine
    assert f"the replaced files are in {result.data['kept_in']}" in [message.text for message in result.messages]


def test_an_empty_bucket_is_told(make_project, bucket):
    with pytest.raises(ObjectNotFoundError) as caught:
        download_custom_files(make_project())
    assert str(caught.value) == "the bucket has no custom files"
    assert caught.value.problems[0].fix == "drctl upload-custom-files"
    assert not bucket.exists()


def test_upload_makes_a_missing_bucket_when_asked(make_project, s3_server, tmp_path, monkeypatch):
    (tmp_path / "credentials").write_text(
        f"[minio]\naws_access_key_id = {s3_server.access_key_id}\n"
        f"aws_secret_access_key = {s3_server.secret_access_key}\n"
    )
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    project = make_project(
        CLOUD="remote",
        REMOTE_MINIO_URL=s3_server.endpoint_url,
        LOCAL_S3_PROFILE="minio",
        LOCAL_S3_BUCKET="made-by-upload",
    )
    write(project.custom_files, USUAL)
    with pytest.raises(Exception, match="there is no bucket 'made-by-upload'") as caught:
        upload_custom_files(project)
    assert caught.value.problems[0].fix == "drctl upload-custom-files --create-bucket"
    result = upload_custom_files(project, create_missing_bucket=True)
    assert result.messages[0].text == "bucket made-by-upload created"
    assert set(changes(upload_custom_files(project)).values()) == {"unchanged"}
