"""Read a stored model for analysis: quick for long trainings, and content with what there is.

Prefixes of the community images hold metrics and traces alone; what else is missing is noted, never an error.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

import yaml

from drctl.analysis.drive import Drive
from drctl.analysis.iterations import Iteration, iteration_from_summary, iterations_from_metrics
from drctl.analysis.laps import Race
from drctl.analysis.record import Coverage, ModelRecord
from drctl.errors import DrctlError, FormatError, ObjectNotFoundError
from drctl.evaluation.checkpoint import stored_models
from drctl.formats.checkpoint_index import checkpoint_number, parse_checkpoint_index
from drctl.formats.evaluation_metrics import parse_evaluation_metrics
from drctl.formats.manifest import parse_manifest
from drctl.formats.model_metadata import ModelMetadata, parse_model_metadata
from drctl.formats.simtrace import parse_rows
from drctl.formats.training_metrics import parse_training_metrics

if TYPE_CHECKING:
    from drctl.formats.object_keys import ModelKeys
    from drctl.storage.objects import ObjectInfo, ObjectStore

THREADS: Final = 16
SUMMARIES: Final = 5000
"""So many iterations are read at most, evenly spread over the training."""

TRACE_ITERATIONS: Final = 60
TRACE_BYTES: Final = 48e6
RACES: Final = 30

_TRACE: Final = re.compile(r"(?:(\d)/)?training-simtrace/(\d+)-iteration\.csv")
_METRICS: Final = re.compile(r"TrainingMetrics(?:_(\d+))?\.json")
_RACE: Final = re.compile(r"evaluation/evaluation-(\d{14})\.json")
_PARAMS: Final = re.compile(r"training_params(?:_\d+)?\.yaml")

Item = TypeVar("Item")
Got = TypeVar("Got")


@dataclass(frozen=True)
class _Trace:
    iteration: int
    slot: int
    info: ObjectInfo


class _Reader:
    """One model in a store; notes what cannot be read."""

    def __init__(self, store: ObjectStore, keys: ModelKeys) -> None:
        self.store = store
        self.keys = keys
        self.objects = {info.key: info for info in store.list(keys.prefix)}
        if not keys.metrics_prefix.startswith(f"{keys.prefix}/"):
            self.objects |= {info.key: info for info in store.list(keys.metrics_prefix)}
        self.unreadable: list[str] = []

    def below(self, prefix: str, pattern: re.Pattern[str]) -> list[tuple[re.Match[str], ObjectInfo]]:
        """Return the objects whose keys, from a prefix on, match; in order of their keys."""
        found = []
        for key, info in self.objects.items():
            if key.startswith(f"{prefix}/") and (match := pattern.fullmatch(key[len(prefix) + 1 :])):
                found.append((match, info))
        return found

    def parse(self, key: str, parser: Callable[[bytes], Got]) -> Got | None:
        """Return what a parser makes of an object; None, noted, where it is gone or not what it should be."""
        if key not in self.objects:
            return None
        try:
            return parser(self.store.get(key))
        except (FormatError, ObjectNotFoundError, ValueError, KeyError, TypeError, yaml.YAMLError):
            self.unreadable.append(key)
            return None

    def all(self, items: Sequence[Item], read: Callable[[Item], Got | None]) -> list[Got]:
        """Read several things at once; what could not be read is left out."""
        with ThreadPoolExecutor(THREADS) as pool:
            return [got for got in pool.map(read, items) if got is not None]


@dataclass(frozen=True)
class Limits:
    """How much of a long training's traces is read.

    Attributes:
        trace_iterations: Iterations, at most: half of them the newest, half spread over the training.
        trace_bytes: Size of their files, at most; fewer iterations are read then.
        races: Races, the newest.
    """

    trace_iterations: int = TRACE_ITERATIONS
    trace_bytes: float = TRACE_BYTES
    races: int = RACES


def read_model(store: ObjectStore, keys: ModelKeys, limits: Limits | None = None) -> ModelRecord:
    """Read everything that the analysis of a model needs.

    Args:
        store: The bucket.
        keys: Of the model.
        limits: Of the traces; None for those of the report.

    Raises:
        ObjectNotFoundError: Nothing that can be analysed lies under the prefix.
        UnavailableError: The store does not answer.
    """
    reader, limits = _Reader(store, keys), limits or Limits()
    missing: list[str] = []
    metadata = reader.parse(keys.model_metadata, lambda data: parse_model_metadata(data, keys.model_metadata))
    hyperparameters = reader.parse(keys.hyperparameters, _mapping) or {}
    iterations = _read_iterations(reader, hyperparameters, missing)
    drive, coverage = _read_traces(reader, limits, _fastest(iterations), missing)
    races = _read_races(reader, limits.races)
    if not iterations and not races and not len(drive):
        raise _nothing(store, keys)
    best, last = _read_index(reader, missing)
    reward = _read_reward(reader)
    _note_missing(missing, metadata, hyperparameters, reward)
    return ModelRecord(
        name=keys.prefix,
        place=f"{store.name}/{keys.prefix}",
        iterations=iterations,
        drive=drive,
        races=races,
        metadata=metadata,
        hyperparameters=hyperparameters,
        worlds=_read_worlds(reader, missing),
        conditions=_read_conditions(reader),
        reward_source=reward,
        best_checkpoint=best,
        last_checkpoint=last,
        missing=tuple(missing),
        coverage=coverage(tuple(reader.unreadable)),
    )


def spread(items: Sequence[Item], count: int) -> list[Item]:
    """Return at most so many items, evenly spread, the first and the last among them."""
    if len(items) <= count:
        return list(items)
    if count < 2:
        return list(items[-1:])
    return [items[round(place * (len(items) - 1) / (count - 1))] for place in range(count)]


def _read_iterations(reader: _Reader, hyperparameters: Mapping[str, Any], missing: list[str]) -> tuple[Iteration, ...]:
    pattern = re.compile(r"(\d+)\.json")
    found = sorted((int(match[1]), info.key) for match, info in reader.below(reader.keys.iterations_folder, pattern))
    if found:
        chosen = spread([key for _, key in found], SUMMARIES)
        return tuple(
            reader.all(chosen, lambda key: reader.parse(key, lambda data: iteration_from_summary(_mapping(data))))
        )
    missing.append("Entropy, losses, steps and the time that was taken are not known: the model has no .drctl folder.")
    return _iterations_of_metrics(reader, hyperparameters, missing)


def _iterations_of_metrics(
    reader: _Reader, hyperparameters: Mapping[str, Any], missing: list[str]
) -> tuple[Iteration, ...]:
    files = reader.below(reader.keys.metrics_prefix, _METRICS)
    ordered = [info.key for _, info in sorted(files, key=lambda one: int(one[0][1] or 0))]
    slots = reader.all(ordered, lambda key: reader.parse(key, lambda data: parse_training_metrics(data, key).episodes))
    if not slots:
        missing.append("Rewards and completion of the training are not known: there are no TrainingMetrics files.")
    per_iteration = hyperparameters.get("num_episodes_between_training")
    return iterations_from_metrics(slots, per_iteration if isinstance(per_iteration, int) else None)


def _read_traces(
    reader: _Reader, limits: Limits, fastest: int | None, missing: list[str]
) -> tuple[Drive, Callable[[tuple[str, ...]], Coverage]]:
    traces = [
        _Trace(int(match[2]), int(match[1] or 0), info) for match, info in reader.below(reader.keys.prefix, _TRACE)
    ]
    numbers = sorted({trace.iteration for trace in traces})
    chosen = _choose_traces(traces, numbers, limits, fastest)

    def read(trace: _Trace) -> tuple[int, int, Any] | None:
        rows = reader.parse(trace.info.key, lambda data: parse_rows(data, trace.info.key))
        return None if rows is None else (trace.iteration, trace.slot, rows)

    files = reader.all(chosen, read)
    if not traces:
        missing.append("Maps, actions and the places where the car leaves the road are not known: there are no traces.")

    def coverage(unreadable: tuple[str, ...]) -> Coverage:
        return Coverage(len(files), len(traces), len({one[0] for one in files}), len(numbers), unreadable)

    return Drive.join(files), coverage


def _choose_traces(
    traces: Sequence[_Trace], numbers: Sequence[int], limits: Limits, fastest: int | None
) -> list[_Trace]:
    """Choose the traces to read: the newest iterations, the one with the fastest lap, and some spread over the rest."""
    count = limits.trace_iterations
    while True:
        newest = numbers[-(count // 2) :] if count > 1 else numbers[-1:]
        wanted = {*spread(numbers, count - len(newest)), *newest} if len(numbers) > count else set(numbers)
        wanted |= set() if fastest is None else {fastest}
        chosen = [trace for trace in traces if trace.iteration in wanted]
        if count <= 1 or sum(trace.info.size_bytes for trace in chosen) <= limits.trace_bytes:
            return sorted(chosen, key=lambda trace: (trace.iteration, trace.slot))
        count = min(count, len(numbers)) * 2 // 3


def _fastest(iterations: Sequence[Iteration]) -> int | None:
    """Return the iteration with the fastest training lap, or None."""
    timed = [(one.training.best_lap_s, one.number) for one in iterations if one.training.best_lap_s is not None]
    return min(timed)[1] if timed else None


def _read_races(reader: _Reader, count: int) -> tuple[Race, ...]:
    found = sorted((match[1], info.key) for match, info in reader.below(reader.keys.metrics_prefix, _RACE))

    def read(one: tuple[str, str]) -> Race | None:
        stamp, key = one
        laps = reader.parse(key, lambda data: parse_evaluation_metrics(data, key))
        if laps is None:
            return None
        trace = reader.keys.evaluation_trace(stamp)
        rows = reader.parse(trace, lambda data: parse_rows(data, trace))
        return Race(stamp, laps, None if rows is None else Drive.join([(0, 0, rows)]))

    return tuple(reader.all(found[-count:], read))


def _read_index(reader: _Reader, missing: list[str]) -> tuple[int | None, int | None]:
    key = reader.keys.checkpoint_index
    index = reader.parse(key, lambda data: parse_checkpoint_index(data, key))
    if index is None:
        missing.append("Best and last checkpoint are not known: there is no deepracer_checkpoints.json.")
        return None, None
    names = [index.best.name, index.last.name]
    best, last = (None if name is None else checkpoint_number(name) for name in names)
    return best, last


def _read_worlds(reader: _Reader, missing: list[str]) -> tuple[Mapping[str, Any], ...]:
    files = sorted(info.key for _, info in reader.below(reader.keys.prefix, _PARAMS))
    worlds = reader.all(files, lambda key: reader.parse(key, _yaml_mapping))
    if not worlds:
        missing.append("The settings of its world are not known: there is no training_params.yaml.")
    return tuple(worlds)


def _read_conditions(reader: _Reader) -> Mapping[str, Any]:
    pattern = re.compile(r"(\d+)\.json")
    found = [(int(match[1]), info.key) for match, info in reader.below(reader.keys.manifests_folder, pattern)]
    if not found:
        return {}
    key = max(found)[1]
    manifest = reader.parse(key, lambda data: parse_manifest(data, key))
    return {} if manifest is None else manifest.conditions


def _read_reward(reader: _Reader) -> str | None:
    for key in (reader.keys.custom_files("reward_function.py"), reader.keys.reward_function):
        text = reader.parse(key, bytes.decode)
        if text is not None:
            return text
    return None


def _note_missing(
    missing: list[str], metadata: ModelMetadata | None, hyperparameters: Mapping[str, Any], reward: str | None
) -> None:
    for found, text in (
        (metadata, "Its actions have numbers only: there is no readable model_metadata.json."),
        (hyperparameters, "Its hyperparameters are not known: there is no ip/hyperparameters.json."),
        (reward, "Its reward function is not known: there is no reward_function.py."),
    ):
        if not found:
            missing.append(text)


def _mapping(data: bytes) -> dict[str, Any]:
    found = json.loads(data)
    if not isinstance(found, dict):
        raise TypeError("not an object")
    return found


def _yaml_mapping(data: bytes) -> dict[str, Any]:
    found = yaml.safe_load(data)
    if not isinstance(found, dict):
        raise TypeError("not a mapping")
    return found


def _nothing(store: ObjectStore, keys: ModelKeys) -> DrctlError:
    models = stored_models(store)
    return ObjectNotFoundError(
        f"there is nothing to report on under {keys.prefix}",
        where=f"{store.name}/{keys.prefix}",
        expected=f"a model that was trained or raced{': one of ' + ', '.join(models) if models else ''}",
        fix=f"drctl report {models[0]}" if models else "drctl start-training",
    )
