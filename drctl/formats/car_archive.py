"""``carfile.tar.gz``: what the physical car loads, a frozen graph and its metadata (contract 1.6).

An archive may come from anywhere, so nothing of it is ever unpacked to disk: it is read as a stream, within limits, and
only the two files that matter are kept.
"""

from __future__ import annotations

import gzip
import io
import tarfile
import zlib
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import IO, TYPE_CHECKING, Final, Self, cast

from drctl.errors import FormatError

if TYPE_CHECKING:
    from collections.abc import Iterator

METADATA_NAME: Final = "model_metadata.json"
GRAPH_NAME: Final = "agent/model.pb"

_GZIP: Final = b"\x1f\x8b"
_ZIP: Final = b"PK\x03\x04"
_MEBIBYTE: Final = 1 << 20
_CHUNK: Final = 1 << 16  # bytes

# Headers whose content `tarfile` reads into memory to make sense of the header behind them.
_EXTENSIONS: Final = (
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)
_LARGEST_EXTENSION: Final = 1 << 16  # bytes


@dataclass(frozen=True)
class ArchiveLimits:
    """What an archive may hold at most; far more than any car's, far less than would hurt this machine.

    Attributes:
        graph_bytes: Of a graph. The largest of the three networks on two cameras has 230 MB.
        metadata_bytes: Of ``model_metadata.json``.
        unpacked_bytes: Of everything together, unpacked, names and padding included.
        members: Files and folders.
    """

    graph_bytes: int = 512 * _MEBIBYTE
    metadata_bytes: int = _MEBIBYTE
    unpacked_bytes: int = 1024 * _MEBIBYTE
    members: int = 10_000


@dataclass(frozen=True)
class CarArchive:
    """What an archive holds.

    Attributes:
        graph: Content of the frozen graph.
        graph_name: Its name in the archive.
        metadata: Content of ``model_metadata.json``.
        metadata_name: Its name in the archive.
        others: Names of the other files, in the order of the archive.
    """

    graph: bytes
    graph_name: str
    metadata: bytes
    metadata_name: str
    others: tuple[str, ...]


def read_car_archive(stream: IO[bytes], source: str, limits: ArchiveLimits | None = None) -> CarArchive:
    """Read a car file without writing anything.

    The graph is ``agent/model.pb``, or the only ``.pb`` wherever it lies, as the car's software finds it.

    Args:
        stream: The file, at its beginning.
        source: Its name for messages.
        limits: None for the usual ones.

    Returns:
        The two files that a model needs; their content is not looked at.

    Raises:
        FormatError: It is no such archive, is damaged or too large, holds a link or a name that leads elsewhere, or
            has not exactly one graph and one ``model_metadata.json``.
    """
    limits = limits or ArchiveLimits()
    graphs: dict[str, bytes] = {}
    metadata: dict[str, bytes] = {}
    others: list[str] = []
    for name, content in _read_members(stream, source, limits):
        found = _wanted(name, graphs, metadata)
        if found is None:
            others.append(name)
        elif name in found:
            raise _refusal(f"{source} holds {name} twice", source)
        elif content is not None:
            found[name] = content
    graph_name = _choose_graph(list(graphs), source)
    metadata_name = _choose_metadata(list(metadata), source)
    others += [name for name in graphs if name != graph_name]
    return CarArchive(graphs[graph_name], graph_name, metadata[metadata_name], metadata_name, tuple(others))


def write_car_archive(graph: bytes, metadata: bytes) -> bytes:
    """Return a car file: the same bytes for the same two files, whoever packs them and when.

    Args:
        graph: Content of ``model_<n>.pb``.
        metadata: Content of ``model_metadata.json``.
    """
    packed = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=packed, mode="wb", filename="", mtime=0) as zipped,
        tarfile.open(fileobj=zipped, mode="w", format=tarfile.USTAR_FORMAT) as archive,
    ):
        for name, content in ((METADATA_NAME, metadata), (GRAPH_NAME, graph)):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            member.mode = 0o644
            archive.addfile(member, io.BytesIO(content))
    return packed.getvalue()


def _wanted(name: str, graphs: dict[str, bytes], metadata: dict[str, bytes]) -> dict[str, bytes] | None:
    path = PurePosixPath(name)
    if path.name == METADATA_NAME:
        return metadata
    return graphs if path.suffix == ".pb" else None


def _choose_graph(names: list[str], source: str) -> str:
    if not names:
        raise _refusal(f"{source} holds no graph", source)
    usual = [name for name in names if name == GRAPH_NAME or name.endswith(f"/{GRAPH_NAME}")] or names
    if len(usual) > 1:
        raise _refusal(f"{source} holds {len(usual)} graphs: {_list(usual)}", source)
    return usual[0]


def _choose_metadata(names: list[str], source: str) -> str:
    if not names:
        raise _refusal(f"{source} holds no {METADATA_NAME}", source)
    if len(names) > 1:
        raise _refusal(f"{source} holds {len(names)} files {METADATA_NAME}: {_list(names)}", source)
    return names[0]


def _read_members(stream: IO[bytes], source: str, limits: ArchiveLimits) -> Iterator[tuple[str, bytes | None]]:
    """Give every file's name, and its content where it is one of those that matter."""
    start = stream.read(len(_ZIP))
    stream.seek(0)
    if start == _ZIP:
        raise _refusal(f"{source} is a ZIP archive, whatever its name says", source, "unzip it and name its folder")
    if not start.startswith(_GZIP):
        raise _refusal(f"{source} is not a .tar.gz archive", source)
    try:
        with gzip.GzipFile(fileobj=stream) as unzipped:
            content = cast("IO[bytes]", _Bounded(unzipped, source, limits.unpacked_bytes))
            with tarfile.open(fileobj=content, mode="r|", tarinfo=_Member) as archive:
                yield from _walk(archive, source, limits)
            while content.read(_CHUNK):  # the checksum stands at the end
                pass
    except (EOFError, zlib.error, gzip.BadGzipFile, tarfile.TarError, UnicodeError, ValueError) as error:
        raise _refusal(f"{source} is damaged or cut short: {error}", source, "download it again") from error


def _walk(archive: tarfile.TarFile, source: str, limits: ArchiveLimits) -> Iterator[tuple[str, bytes | None]]:
    for count, member in enumerate(archive, 1):
        if count > limits.members:
            raise _refusal(f"{source} holds more than {limits.members} files", source)
        name = _check_name(member, source)
        if member.isdir():
            continue
        if not member.isfile() or member.issparse():
            kind = "a link" if member.issym() or member.islnk() else "neither a file nor a folder"
            raise _refusal(f"{source}: {name} is {kind}", source)
        path = PurePosixPath(name)
        if path.name == METADATA_NAME:
            limit = limits.metadata_bytes
        elif path.suffix == ".pb":
            limit = limits.graph_bytes
        else:
            yield name, None
            continue
        if not 0 <= member.size <= limit:
            raise _refusal(f"{source}: {name} has {member.size} bytes, {limit} at most", source)
        content = archive.extractfile(member)
        yield name, b"" if content is None else content.read()


def _check_name(member: tarfile.TarInfo, source: str) -> str:
    """Return a member's name without a leading ``./``, or refuse one that leads out of the archive."""
    name = member.name.removeprefix("./") or "."
    parts = name.split("/")
    is_elsewhere = name.startswith("/") or ".." in parts or "\\" in name or name[1:2] == ":"
    if is_elsewhere or any(ord(character) < 32 or ord(character) == 127 for character in name):
        raise _refusal(f"{source} holds the name {member.name!r}, which leads out of the archive", source)
    return name


class _Member(tarfile.TarInfo):
    """A header; one that announces a long name or a table of attributes announces a short one."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        """Read a header; see `tarfile.TarInfo.frombuf`."""
        member = super().frombuf(buf, encoding, errors)
        if member.type in _EXTENSIONS and not 0 <= member.size <= _LARGEST_EXTENSION:
            raise tarfile.ReadError("a header is too long")
        return member


class _Bounded:
    """A stream that refuses to give more than a number of bytes."""

    def __init__(self, stream: gzip.GzipFile, source: str, limit: int) -> None:
        self._stream = stream
        self._source = source
        self._limit = limit
        self._left = limit

    def read(self, size: int) -> bytes:
        data = self._stream.read(min(size, self._left + 1))
        self._left -= len(data)
        if self._left < 0:
            raise _refusal(f"{self._source} unpacks to more than {self._limit} bytes", self._source)
        return data


def _list(names: list[str]) -> str:
    shown = sorted(names)[:4]
    return ", ".join(shown) + (", ..." if len(names) > len(shown) else "")


def _refusal(what: str, source: str, fix: str | None = None) -> FormatError:
    expected = f"a .tar.gz archive with one {METADATA_NAME} and one frozen graph, such as {GRAPH_NAME}"
    return FormatError(what, where=source, expected=expected, fix=fix)
