from __future__ import annotations

import errno
import itertools
import threading

from drctl.engines.logs import RotatingLog, follow, last_lines
from drctl.stack.plan import LogPolicy

POLICY = LogPolicy(max_bytes=100, files=3)


def test_a_full_log_is_put_aside_and_the_oldest_goes(tmp_path):
    path = tmp_path / "logs" / "trainer.log"
    log = RotatingLog(path, POLICY)
    for number in range(10):
        log.write(f"{number}".encode() * 59 + b"\n")
    log.close()
    names = sorted(file.name for file in path.parent.iterdir())
    assert names == ["trainer.log", "trainer.log.1", "trainer.log.2"]
    assert [(path.parent / name).read_text()[0] for name in names] == ["9", "8", "7"]
    assert all(file.stat().st_size <= POLICY.max_bytes for file in path.parent.iterdir())


def test_a_second_log_goes_on_where_the_first_ended(tmp_path):
    path = tmp_path / "trainer.log"
    for text in (b"one\n", b"two\n"):
        log = RotatingLog(path, POLICY)
        log.write(text)
        log.close()
    assert path.read_text() == "one\ntwo\n"


def test_a_full_disk_loses_output_and_says_so(tmp_path):
    log = RotatingLog(tmp_path / "trainer.log", POLICY)

    class Full:
        def write(self, _data):
            raise OSError(errno.ENOSPC, "No space left on device")

    real, log._file = log._file, Full()
    log.write(b"12345678")
    log._file = real
    log.write(b"after\n")
    log.close()
    text = (tmp_path / "trainer.log").read_text()
    assert text == "\n[drctl: 8 bytes of output were lost while the disk was full]\nafter\n"


def test_last_lines_reach_into_the_file_before(tmp_path):
    path = tmp_path / "worker-0.log"
    assert last_lines(path, 3) == []
    (tmp_path / "worker-0.log.1").write_text("a\nb\n")
    path.write_text("c\n")
    assert last_lines(path, 2) == ["b", "c"]
    assert last_lines(path, 0) == []


def test_following_goes_on_in_the_new_file(tmp_path):
    path = tmp_path / "trainer.log"
    path.write_text("old\nolder\nlast\n")
    lines = follow(path, lambda: False, lines=2)
    assert list(itertools.islice(lines, 2)) == ["older", "last"]
    path.replace(tmp_path / "trainer.log.1")
    path.write_text("new\n")
    assert next(lines) == "new"
    with path.open("a") as file:
        file.write("half")

    def finish_line():
        with path.open("a") as file:
            file.write(" line\n")

    timer = threading.Timer(0.3, finish_line)
    timer.start()
    assert next(lines) == "half line"
    timer.join()
    lines.close()


def test_following_ends_with_the_run(tmp_path):
    path = tmp_path / "trainer.log"
    path.write_text("one\nno line end")
    assert list(follow(path, lambda: True, lines=5)) == ["one", "no line end"]
    assert list(follow(tmp_path / "none.log", lambda: True, lines=5)) == []
