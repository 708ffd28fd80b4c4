"""Settings that travel to a container."""

from __future__ import annotations

import json

import pytest

from drctl.config.settings import Origin, Settings
from drctl.config.transfer import settings_from_json, settings_to_json
from drctl.errors import FormatError
from drctl.secrets import Secret


def test_values_and_their_origins_arrive_and_secrets_stay():
    origins = {"DR_WORKERS": Origin("run.env", 12), "DR_EVAL_SAVE_MP4": Origin("--set")}
    settings = Settings(
        workers=3, eval_save_mp4=True, car_name="Blitz", webviewer_token=Secret("hidden"), origins=origins
    )
    text = json.dumps(settings_to_json(settings))
    assert "hidden" not in text
    found = settings_from_json(json.loads(text))
    assert (found.workers, found.eval_save_mp4, found.racer_name) == (3, True, "Blitz")
    assert str(found.origin("DR_WORKERS")) == "run.env:12"
    assert str(found.origin("DR_EVAL_SAVE_MP4")) == "--set"
    assert found.webviewer_token is None
    assert json.loads(text).keys() == {"DR_WORKERS", "DR_EVAL_SAVE_MP4", "DR_CAR_NAME"}


@pytest.mark.parametrize("name", ["DR_OF_LATER", "DR_WORKERS"])
def test_settings_of_another_version_are_refused(name):
    with pytest.raises(FormatError, match=f"{name}=many is no setting of this version") as caught:
        settings_from_json({name: {"text": "many", "source": "run.env", "line": 1}})
    assert caught.value.problems[0].fix == "drctl build-images"
