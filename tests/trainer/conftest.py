"""What trainer tests share."""

import pytest

from drctl.formats.training_params import WorldParams


@pytest.fixture
def default_world() -> WorldParams:
    """One world of a time trial with every optional parameter at its default."""
    return WorldParams(
        world_name="reinvent_base",
        bucket="bucket",
        prefix="model",
        metrics_key="model/metrics/TrainingMetrics.json",
        model_metadata_key="model/custom_files/model_metadata.json",
        reward_key="model/custom_files/reward_function.py",
    )
