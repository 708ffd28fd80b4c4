"""carfile.tar.gz: what is read from it, and what is refused before a byte of it is kept."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
import tracemalloc
import zipfile

import pytest

from drctl.errors import FormatError
from drctl.formats.car_archive import ArchiveLimits, CarArchive, read_car_archive, write_car_archive

GRAPH, METADATA = ("agent/model.pb", b"graph"), ("model_metadata.json", b"{}")


def entry(name, **attributes):
    member = tarfile.TarInfo(name)
    for key, value in attributes.items():
        setattr(member, key, value)
    return member


def archive(*files, entries=(), form=tarfile.PAX_FORMAT):
    """The bytes of a .tar.gz with files of (name, content), and members that are none behind them."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", format=form) as tar:
        for name, content in files:
            tar.addfile(entry(name, size=len(content)), io.BytesIO(content))
        for member in entries:
            tar.addfile(member, io.BytesIO(bytes(member.size)) if member.size else None)
    return buffer.getvalue()


def read(data, **limits):
    return read_car_archive(io.BytesIO(data), "car.tar.gz", ArchiveLimits(**limits))


def refusal(data, **limits):
    with pytest.raises(FormatError) as caught:
        read(data, **limits)
    (problem,) = caught.value.problems
    assert problem.where == "car.tar.gz"
    assert problem.expected == (
        "a .tar.gz archive with one model_metadata.json and one frozen graph, such as agent/model.pb"
    )
    return problem.what


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_a_car_file(form):
    data = archive(METADATA, ("log.csv", b"a,b"), GRAPH, entries=[entry("agent", type=tarfile.DIRTYPE)], form=form)
    assert read(data) == CarArchive(b"graph", "agent/model.pb", b"{}", "model_metadata.json", ("log.csv",))


@pytest.mark.parametrize(
    ("names", "graph"),
    [
        (("./agent/model.pb", "./model_metadata.json"), "agent/model.pb"),
        (("my car/agent/model.pb", "my car/model_metadata.json"), "my car/agent/model.pb"),
        (("model_48.pb", "model_metadata.json"), "model_48.pb"),
        (("agent/model.pb", "model_48.pb", "model_metadata.json"), "agent/model.pb"),
    ],
)
def test_where_the_files_may_lie(names, graph):
    found = read(archive(*((name, name.encode()) for name in names)))
    assert found.graph_name == graph
    assert found.metadata.endswith(b"model_metadata.json")
    assert set(found.others) == {name for name in names if name.endswith(".pb")} - {graph, f"./{graph}"}


@pytest.mark.parametrize(
    "name", ["../agent/model.pb", "a/../../model.pb", "/etc/model.pb", "C:model.pb", "a\\..\\model.pb", "a\nb.pb"]
)
def test_names_that_lead_elsewhere(name):
    assert refusal(archive(METADATA, GRAPH, (name, b"x"))) == (
        f"car.tar.gz holds the name {name!r}, which leads out of the archive"
    )


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (tarfile.SYMTYPE, "a link"),
        (tarfile.LNKTYPE, "a link"),
        (tarfile.FIFOTYPE, "neither a file nor a folder"),
        (tarfile.CHRTYPE, "neither a file nor a folder"),
    ],
)
def test_links_and_devices(kind, said):
    member = entry("agent/model.pb", type=kind, linkname="/etc/passwd")
    assert refusal(archive(METADATA, entries=[member])) == f"car.tar.gz: agent/model.pb is {said}"


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ([METADATA], "car.tar.gz holds no graph"),
        ([GRAPH], "car.tar.gz holds no model_metadata.json"),
        (
            [METADATA, ("model/model_1.pb", b""), ("model/model_2.pb", b"")],
            "car.tar.gz holds 2 graphs: model/model_1.pb, model/model_2.pb",
        ),
        (
            [METADATA, GRAPH, ("model/model_metadata.json", b"{}")],
            "car.tar.gz holds 2 files model_metadata.json: model/model_metadata.json, model_metadata.json",
        ),
        ([METADATA, METADATA, GRAPH], "car.tar.gz holds model_metadata.json twice"),
        ([METADATA, GRAPH, ("./agent/model.pb", b"other")], "car.tar.gz holds agent/model.pb twice"),
    ],
)
def test_what_it_must_hold(files, said):
    assert refusal(archive(*files)) == said


def test_size_limits():
    data = archive(METADATA, GRAPH, ("log", bytes(100_000)))
    assert refusal(data, graph_bytes=4) == "car.tar.gz: agent/model.pb has 5 bytes, 4 at most"
    assert refusal(data, metadata_bytes=1) == "car.tar.gz: model_metadata.json has 2 bytes, 1 at most"
    assert refusal(data, unpacked_bytes=90_000) == "car.tar.gz unpacks to more than 90000 bytes"
    assert refusal(data, members=2) == "car.tar.gz holds more than 2 files"


def test_a_bomb_takes_no_memory():
    bomb = archive(METADATA, ("zeros", bytes(32 << 20)), GRAPH)  # 32 MiB in 32 kB
    header = archive(
        METADATA, GRAPH, entries=[entry("name", type=tarfile.XHDTYPE, size=32 << 20)], form=tarfile.USTAR_FORMAT
    )
    tracemalloc.start()
    assert refusal(bomb, unpacked_bytes=30 << 20) == f"car.tar.gz unpacks to more than {30 << 20} bytes"
    assert refusal(header) == "car.tar.gz is damaged or cut short: a header is too long"
    assert tracemalloc.get_traced_memory()[1] < 2 << 20
    tracemalloc.stop()


def test_other_files():
    zipped = io.BytesIO()
    with zipfile.ZipFile(zipped, "w") as file:
        file.writestr("model_metadata.json", "{}")
    assert refusal(zipped.getvalue()) == "car.tar.gz is a ZIP archive, whatever its name says"
    assert refusal(b"hello") == refusal(b"") == "car.tar.gz is not a .tar.gz archive"
    assert refusal(gzip.compress(b"hello")).startswith("car.tar.gz is damaged or cut short: ")


def test_a_damaged_archive_is_refused_wherever_it_ends():
    data = archive(METADATA, GRAPH, ("log", os.urandom(3000)))
    for end in range(2, len(data), 97):
        assert refusal(data[:end]).startswith("car.tar.gz is damaged or cut short: ")
    changed = bytearray(data)
    changed[-6] ^= 1  # in the checksum
    assert refusal(bytes(changed)).startswith("car.tar.gz is damaged or cut short: ")


def test_a_written_car_file_is_read_back_and_the_same_for_everybody():
    data = write_car_archive(b"graph", b"{}")
    assert read(data) == CarArchive(b"graph", "agent/model.pb", b"{}", "model_metadata.json", ())
    assert data == write_car_archive(b"graph", b"{}")
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        members = [(one.name, one.mode, one.uid, one.uname, one.mtime) for one in tar]
    assert members == [("model_metadata.json", 0o644, 0, "", 0), ("agent/model.pb", 0o644, 0, "", 0)]
    assert data[4:8] == bytes(4)  # the time that gzip writes
