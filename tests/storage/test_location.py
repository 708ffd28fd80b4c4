"""Which store a project's settings mean, and what a location carries."""

from __future__ import annotations

import json
import stat

import pytest

from drctl.config.project import load_project
from drctl.errors import ConfigError, FormatError, UnavailableError
from drctl.secrets import Secret
from drctl.storage.directory import DirectoryStore
from drctl.storage.location import (
    StoreLocation,
    create_bucket,
    describe,
    open_store,
    project_store_location,
    read_store_keys,
    write_store_keys,
)
from drctl.storage.s3 import StoreKeys


def location_of(folder, **settings):
    (folder / "run.env").touch()
    overrides = {f"DR_{name}": value for name, value in settings.items()}
    return project_store_location(load_project(folder, overrides, environment={}))


def test_processes_keep_objects_in_the_project(tmp_path):
    location = location_of(tmp_path, DOCKER_STYLE="process", LOCAL_S3_BUCKET="mine", CLOUD="azure")
    assert location == StoreLocation("directory", "mine", folder=str(tmp_path / "data" / "mine"))
    assert describe(location) == str(tmp_path / "data" / "mine")
    store = open_store(location)
    assert isinstance(store, DirectoryStore)
    assert create_bucket(location) is False
    assert not (tmp_path / "data").exists()
    store.put("a", b"")
    assert (tmp_path / "data" / "mine" / "a").exists()


@pytest.mark.parametrize("style", ["compose", "swarm"])
def test_containers_keep_objects_in_a_server_on_this_machine(tmp_path, style):
    location = location_of(tmp_path, DOCKER_STYLE=style)
    keys_file = str(tmp_path / "tmp" / "secrets" / "store-keys.json")
    assert location == StoreLocation("s3", "bucket", endpoint_url="http://127.0.0.1:9000", keys_file=keys_file)


@pytest.mark.parametrize("style", ["process", "compose"])
def test_a_remote_server_has_an_address_and_a_profile(tmp_path, style):
    location = location_of(
        tmp_path, DOCKER_STYLE=style, CLOUD="remote", REMOTE_MINIO_URL="http://nas:9000", LOCAL_S3_PROFILE="minio"
    )
    assert location == StoreLocation(
        "s3", "bucket", endpoint_url="http://nas:9000", region="us-east-1", profile="minio"
    )
    assert describe(location) == "s3://bucket at http://nas:9000"


def test_a_remote_server_without_address_is_told(tmp_path):
    with pytest.raises(ConfigError, match="DR_REMOTE_MINIO_URL"):
        location_of(tmp_path, CLOUD="remote")


def test_amazon_has_a_region_and_a_profile_or_a_role(tmp_path):
    location = location_of(tmp_path, CLOUD="aws", AWS_APP_REGION="eu-central-1", LOCAL_S3_PROFILE="racer")
    assert location == StoreLocation("s3", "bucket", region="eu-central-1", profile="racer")
    assert location_of(tmp_path, CLOUD="aws").profile is None
    assert describe(location) == "s3://bucket at Amazon S3 (eu-central-1)"


@pytest.mark.parametrize(
    "location",
    [
        StoreLocation("directory", "bucket", folder="/srv/data/bucket"),
        StoreLocation("s3", "bucket", endpoint_url="http://minio:9000", keys_file="/run/secrets/store"),
    ],
)
def test_a_location_survives_json(location):
    assert StoreLocation.from_json(json.loads(json.dumps(location.to_json()))) == location


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"kind": "directory", "bucket": "b"},
        {"kind": "s3", "bucket": "b", "folder": "/x"},
        {"kind": "ftp", "bucket": "b", "folder": None},
        {"kind": "s3", "bucket": "b", "secret": "x"},
    ],
)
def test_other_json_is_refused(data):
    with pytest.raises(FormatError, match="this is not a store's location"):
        StoreLocation.from_json(data)


def test_a_keys_file_is_for_its_owner_and_opens_the_store(tmp_path, s3_server):
    path = tmp_path / "store-keys.json"
    write_store_keys(path, StoreKeys(s3_server.access_key_id, Secret(s3_server.secret_access_key)))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    location = StoreLocation("s3", "by-keys-file", endpoint_url=s3_server.endpoint_url, keys_file=str(path))
    assert create_bucket(location) is True
    open_store(location).put("a", b"1")
    assert open_store(location).get("a") == b"1"
    assert s3_server.secret_access_key not in json.dumps(location.to_json()) + repr(read_store_keys(path))


def test_a_keys_file_that_is_none_is_told_without_quoting_it(tmp_path):
    path = tmp_path / "store-keys.json"
    with pytest.raises(UnavailableError, match="the store's access key cannot be read: No such file or directory"):
        read_store_keys(path)
    path.write_text('{"secret": "hunter2"}')
    with pytest.raises(FormatError) as caught:
        read_store_keys(path)
    assert caught.value.problems[0].where == str(path)
    assert "hunter2" not in repr(caught.value.problems)
