"""Both kinds of store, for the suite that both must pass."""

from __future__ import annotations

import pytest

from drctl.secrets import Secret
from drctl.storage.directory import DirectoryStore
from drctl.storage.s3 import S3Store, StoreKeys


def no_pause(seconds):
    """Do not wait between tries."""


@pytest.fixture(scope="session")
def make_s3_store(s3_server):
    """Return a function that opens a bucket of the test server; options replace what it passes."""

    def make(bucket, **options):
        keys = StoreKeys(s3_server.access_key_id, Secret(s3_server.secret_access_key))
        settings = {"endpoint_url": s3_server.endpoint_url, "keys": keys, "pause": no_pause}
        return S3Store(bucket, **{**settings, **options})

    return make


@pytest.fixture(scope="session")
def shared_s3_store(make_s3_store):
    """Return a bucket that tests share; making a client takes longer than most of them."""
    store = make_s3_store("conformance")
    store.create_bucket_if_missing()
    return store


@pytest.fixture(params=["directory", "s3"])
def kind(request):
    """Return which kind of store the test runs on."""
    return request.param


@pytest.fixture
def make_store(kind, request, tmp_path):
    """Return a function that opens the same empty bucket, again at each call."""
    if kind == "directory":
        return lambda: DirectoryStore(tmp_path / "data" / "bucket")
    shared = request.getfixturevalue("shared_s3_store")
    for info in shared.list():
        shared.delete(info.key)
    return lambda: shared


@pytest.fixture
def store(make_store):
    """Return an empty bucket."""
    return make_store()
