"""Plays a list of episodes on whatever workers there are, each exactly once (DESIGN 4.4, 4.5).

What comes out depends on the starts and the policies alone. An episode's row in its policy's block is always the same,
everything random is keyed by (seed, iteration, episode, step), and an episode whose worker is lost is driven
again from its start: so neither the number of workers nor their speed, loss or return shows in the result.
"""

from __future__ import annotations

import heapq
import secrets
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np

from drctl.link.codec import MessageError
from drctl.link.messages import (
    PLAIN_FRAME,
    TERMINATED,
    TRUNCATED,
    Act,
    Bye,
    Ended,
    Heartbeat,
    Hello,
    Probe,
    Refused,
    RewardFailed,
    Setup,
    Tick,
)
from drctl.simulation.episode_message import unpack_records
from drctl.trainer.collection.batch import Batch, Group, one_by_one
from drctl.trainer.collection.progress import CollectionProgress, GroupProgress
from drctl.trainer.collection.reward_failure import EpisodeRewardError, reward_error
from drctl.trainer.collection.roster import ANSWER_PATIENCE_S, FORGET_S, NO_ROW, PROBE_S, Peer, WorkerView

if TYPE_CHECKING:
    from drctl.link.codec import Message
    from drctl.link.transport import Received, TrainerLink
    from drctl.simulation.episode import EpisodeStart
    from drctl.trainer.collection.batch import AtOnce
    from drctl.trainer.rollout import Episode

GATHER_S: Final = 0.02
"""How long a worker that is ready waits for slower ones, to share passes through the network with them."""

WAIT_S: Final = 0.25
CHECK_S: Final = 0.5
FAREWELL_S: Final = 2.0


class CollectionStopped(Exception):  # noqa: N818  an order that is obeyed, not an error
    """The caller asked for the end of a collection."""


class Describable(Protocol):
    """What workers simulate; `simulation.environment.EnvironmentSpec` is one."""

    def to_json(self) -> dict[str, Any]:
        """Return it as plain mapping."""


class Collector:
    """Hands episodes and actions to workers and puts together what comes back.

    Args:
        link: The trainer's end of the link.
        clock: Seconds, monotonic.
        say: Prints one log line: who joins, who is lost.
    """

    def __init__(
        self,
        link: TrainerLink,
        clock: Callable[[], float] = time.monotonic,
        say: Callable[[str], None] = lambda _line: None,
    ) -> None:
        self._link = link
        self._clock = clock
        self._say = say
        self._peers: dict[bytes, Peer] = {}
        self._token = secrets.token_hex(8)
        self._setups = 0
        self._environment: dict[str, Any] | None = None
        self._cars = 0
        self._prints_steps = False
        self._frame_shape: tuple[int, ...] = PLAIN_FRAME
        self._stack = 1
        self._batch: Batch | None = None
        self._queue: list[int] = []
        self._failure: EpisodeRewardError | None = None
        self._open_since: float | None = None
        self._checked = clock()
        self._waiting_since: float | None = None

    def set_up(
        self,
        environment: Describable,
        cars: int,
        *,
        frame_shape: tuple[int, ...] = PLAIN_FRAME,
        stack: int = 1,
        prints_steps: bool = False,
    ) -> None:
        """Tell all workers, present and future, what to simulate.

        Args:
            environment: What workers build.
            cars: Cars per worker.
            frame_shape: Shape of what a car sees in one step.
            stack: Frames that policies see at once.
            prints_steps: Whether workers print a ``SIM_TRACE_LOG`` line per training step.
        """
        self._environment, self._cars, self._prints_steps = environment.to_json(), cars, prints_steps
        self._frame_shape, self._stack = frame_shape, stack
        for peer in self._present():
            self._start_over(peer)

    def collect(
        self,
        *groups: Group,
        at_once: AtOnce = one_by_one,
        on_tick: Callable[[CollectionProgress], None] = lambda _progress: None,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> list[list[Episode]]:
        """Play some episodes, each exactly once, and wait for workers for as long as there is none.

        Groups are played at the same time; where cars are short, the episodes of the first begin first.

        Args:
            groups: The episodes, and who decides in them.
            at_once: Lets policies decide about several blocks of rows; one after the other unless told otherwise.
            on_tick: Called after each answer to workers, and twice a second while there is nothing to answer.
            should_stop: Asked at least four times a second.

        Returns:
            The episodes of each group in the order of its starts.

        Raises:
            CollectionStopped: `should_stop` said so.
            EpisodeRewardError: The user's reward function failed.
        """
        self._batch = Batch(groups, self._frame_shape, self._stack, at_once)
        self._queue = list(range(len(self._batch.starts)))
        for peer in self._present():
            if not peer.setup:
                self._start_over(peer)
        try:
            self._run(self._batch, on_tick, should_stop)
            return self._batch.episodes()
        finally:
            self._batch, self._queue, self._waiting_since = None, [], None
            for peer in self._present():
                if len(peer.driven_rows):
                    # Its cars drive on for nothing; the next collection begins with a new setup.
                    peer.setup, peer.rows[:] = "", NO_ROW

    def poll(self) -> None:
        """Take in what workers said, without waiting: joins and signs of life between collections."""
        while (received := self._link.receive()) is not None:
            self._handle(received)
        now = self._clock()
        if now - self._checked >= CHECK_S:
            self._checked = now
            self._look_for_losses(now)

    def workers(self) -> list[WorkerView]:
        """Return all workers by name, those that were lost lately too; may be called from any thread."""
        now = self._clock()
        return sorted((peer.view(now) for peer in list(self._peers.values())), key=lambda view: view.name)

    def close(self, reason: str) -> None:
        """Tell all workers that the run has ended and wait up to two seconds for them to leave."""
        for peer in self._present():
            self._link.send(peer.session, Ended(reason))
        deadline = self._clock() + FAREWELL_S
        while self._present() and (remaining := deadline - self._clock()) > 0:
            received = self._link.receive(min(remaining, WAIT_S))
            if received is not None and isinstance(received.message, Hello):
                self._link.send(received.session, Ended(reason))
            elif received is not None and isinstance(received.message, Bye):
                self._peers.pop(received.session, None)
            for peer in self._present():
                if not self._link.send(peer.session, Probe()):
                    self._peers.pop(peer.session, None)

    def _run(
        self,
        batch: Batch,
        on_tick: Callable[[CollectionProgress], None],
        should_stop: Callable[[], bool],
    ) -> None:
        told = self._clock()
        while not batch.is_complete:
            if self._failure is not None:
                raise self._failure
            if should_stop():
                raise CollectionStopped
            now = self._clock()
            wait_s = self._time_to_answer(now)
            if wait_s <= 0:
                self._answer(batch)
            else:
                received = self._link.receive(wait_s)
                if received is not None:
                    self._handle(received)
            if now - self._checked >= CHECK_S:
                self.poll()
            if wait_s <= 0 or now - told >= CHECK_S:
                told = now
                on_tick(self._progress(batch))
        on_tick(self._progress(batch))

    def _progress(self, batch: Batch) -> CollectionProgress:
        if any(peer.is_ready for peer in self._peers.values()):
            self._waiting_since = None
        elif self._waiting_since is None:
            self._waiting_since = time.time()
        groups = tuple(
            GroupProgress(
                sum(row in batch.finished for row in rows), len(rows), int(batch.steps[rows.start : rows.stop].sum())
            )
            for rows in batch.group_rows
        )
        running = len(batch.starts) - len(batch.finished) - len(self._queue)
        return CollectionProgress(groups, running, self._waiting_since)

    def _present(self) -> list[Peer]:
        return [peer for peer in self._peers.values() if peer.gone is None]

    # Answers

    def _time_to_answer(self, now: float) -> float:
        """Return in how many seconds open ticks are to be answered; 0 or less for now."""
        has_waiting_cars = has_free_cars = is_awaiting = False
        for peer in self._peers.values():
            if peer.gone is None and peer.is_open:
                has_waiting_cars = has_waiting_cars or len(peer.waiting) > 0
                has_free_cars = has_free_cars or len(peer.waiting) < len(peer.rows)
            elif peer.is_working:
                is_awaiting = True
        if not has_waiting_cars:
            self._open_since = None
            return 0.0 if has_free_cars and self._queue else WAIT_S
        if not is_awaiting:
            return 0.0
        if self._open_since is None:
            self._open_since = now
        return self._open_since + GATHER_S - now

    def _answer(self, batch: Batch) -> None:
        self._open_since = None
        peers = [peer for peer in self._present() if peer.is_open]
        rows = np.concatenate([peer.rows[peer.waiting] for peer in peers])
        actions = batch.decide(rows) if len(rows) else np.empty(0, np.int64)
        for peer in peers:
            chosen, actions = actions[: len(peer.waiting)], actions[len(peer.waiting) :]
            episodes = self._assign(peer, batch)
            if not len(peer.waiting) and not episodes:
                continue
            act = Act(peer.setup, peer.tick, episodes, peer.waiting, chosen)
            peer.acted, peer.is_open, peer.answered = peer.waiting, False, self._clock()
            if not self._link.send(peer.session, act):
                self._lose(peer, "its connection is gone")

    def _assign(self, peer: Peer, batch: Batch) -> list[dict[str, Any]]:
        episodes = []
        for car in np.flatnonzero(peer.rows == NO_ROW).tolist():
            if not self._queue:
                break
            row = heapq.heappop(self._queue)
            peer.rows[car] = row
            episodes.append({"car": car, "start": batch.starts[row].to_json(), "number": batch.number_of(row)})
        return episodes

    # Messages

    def _handle(self, received: Received) -> None:
        session, message = received.session, received.message
        if isinstance(message, Hello):
            self._welcome(session, message)
            return
        peer = self._peers.get(session)
        if peer is None:
            self._link.drop()
            return
        peer.heard = self._clock()
        if isinstance(message, Bye):
            self._lose(peer, message.reason, has_left=True)
        elif peer.gone is not None:
            self._say(f"{peer.hello.name} is back")
            self._start_over(peer)
        elif isinstance(message, Heartbeat | Tick | RewardFailed):
            if message.setup == peer.setup:
                self._follow(peer, message)
        else:
            self._link.drop()

    def _welcome(self, session: bytes, hello: Hello) -> None:
        for other in list(self._peers.values()):
            if other.hello.name == hello.name:
                self._take_back(other)
                del self._peers[other.session]
                if other.session != session:
                    self._link.send(other.session, Refused(f"another worker named {hello.name} has joined"))
        self._peers[session] = peer = Peer(session, hello, heard=self._clock())
        self._say(f"{hello.name} joined from {hello.host}, pid {hello.pid}")
        self._start_over(peer)

    def _follow(self, peer: Peer, message: Message) -> None:
        try:
            if isinstance(message, Tick):
                self._take_in(peer, message)
            elif isinstance(message, RewardFailed):
                peer.has_failed = True
                self._failure = reward_error(message, self._start_of(peer, message.car))
            elif isinstance(message, Heartbeat):
                self._check_turn(peer, message)
        except MessageError as error:
            self._link.drop()
            self._say(f"{peer.hello.name} starts over: {error}")
            self._start_over(peer)

    def _start_of(self, peer: Peer, car: int) -> EpisodeStart | None:
        if self._batch is None or not 0 <= car < len(peer.rows) or peer.rows[car] == NO_ROW:
            return None
        return self._batch.starts[int(peer.rows[car])]

    def _check_turn(self, peer: Peer, beat: Heartbeat) -> None:
        """Notice a message that was lost: then both ends would wait for ever."""
        if beat.awaiting is None:
            return
        if beat.awaiting > peer.tick:
            raise MessageError(f"its tick {beat.awaiting} did not arrive")
        is_overdue = self._clock() - peer.answered > ANSWER_PATIENCE_S
        if beat.awaiting == peer.tick and not peer.is_open and is_overdue:
            raise MessageError(f"the answer to its tick {beat.awaiting} did not arrive")

    def _take_in(self, peer: Peer, tick: Tick) -> None:
        peer.check(tick)
        records = unpack_records(tick.records, tick.rows)
        batch = self._batch
        peer.tick, peer.is_open, peer.waiting = tick.number, True, tick.waiting
        if batch is None:
            return
        if len(tick.acted):
            batch.reward(peer.rows[tick.acted], tick.rewards)
            final_frames = iter(tick.final_frames)
            ended = np.flatnonzero(tick.outcomes)
            for index, record in zip(ended.tolist(), records, strict=True):
                car, outcome = tick.acted[index], int(tick.outcomes[index])
                final_frame = next(final_frames) if outcome & TRUNCATED else None
                batch.finish(int(peer.rows[car]), record, final_frame, is_terminated=bool(outcome & TERMINATED))
                peer.rows[car] = NO_ROW
        batch.observe(peer.rows[tick.waiting], tick.frames)

    # Losses

    def _look_for_losses(self, now: float) -> None:
        for peer in list(self._peers.values()):
            silent_s = now - peer.heard
            if peer.gone is not None:
                if silent_s > FORGET_S:
                    del self._peers[peer.session]
            elif silent_s > peer.patience_s:
                self._lose(peer, f"silent for {silent_s:.0f} s")
            elif silent_s > PROBE_S and not self._link.send(peer.session, Probe()):
                self._lose(peer, "its connection is gone")

    def _lose(self, peer: Peer, reason: str, *, has_left: bool = False) -> None:
        count = len(peer.driven_rows)
        self._take_back(peer)
        peer.gone, peer.reason = "left" if has_left else "lost", reason
        self._say(f"{peer.hello.name} {peer.gone}: {reason}; {count} episodes go to others")

    def _take_back(self, peer: Peer) -> None:
        if self._batch is not None:
            for row in peer.driven_rows.tolist():
                self._batch.forget(row)
                heapq.heappush(self._queue, row)
        peer.rows[:] = NO_ROW

    def _start_over(self, peer: Peer) -> None:
        self._take_back(peer)
        if self._environment is None:
            peer.start_over("", 0)
            return
        self._setups += 1
        peer.start_over(f"{self._token}-{self._setups}", self._cars, self._frame_shape)
        setup = Setup(peer.setup, self._environment, self._cars, self._prints_steps)
        if not self._link.send(peer.session, setup):
            self._lose(peer, "its connection is gone")
