"""Collect episodes from workers that come and go."""

from drctl.trainer.collection.batch import FrameStore, Group
from drctl.trainer.collection.collector import CollectionStopped, Collector
from drctl.trainer.collection.progress import CollectionProgress, GroupProgress
from drctl.trainer.collection.reward_failure import EpisodeRewardError, RewardTrouble
from drctl.trainer.collection.roster import WorkerView

__all__ = [
    "CollectionProgress",
    "CollectionStopped",
    "Collector",
    "EpisodeRewardError",
    "FrameStore",
    "Group",
    "GroupProgress",
    "RewardTrouble",
    "WorkerView",
]
