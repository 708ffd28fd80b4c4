"""On plain files our reading of env files is python-dotenv's; on the rest it is the shell's (config/env_file.py)."""

import io
from pathlib import Path

import pytest
from dotenv import dotenv_values

from drctl.config.project import project_of_texts


@pytest.mark.parametrize(
    "text",
    [
        "DR_WORLD_NAME=reinvent_base\n",
        "# comment\n\nDR_WORLD_NAME=reinvent_base # trailing\n",
        "export DR_WORLD_NAME='reinvent_base'\r\n",
        'DR_WORLD_NAME="reinvent_base"\nDR_CAR_NAME="my = car"\n',
        "DR_LOCAL_S3_MODEL_PREFIX=a/b=c\n",
        "DR_WORLD_NAME=Oval_track\nDR_WORLD_NAME=reinvent_base\n",
    ],
)
def test_plain_files_read_alike(text):
    settings = project_of_texts(Path(), {"system.env": "", "run.env": text}, {}, {}).settings
    for name, value in dotenv_values(stream=io.StringIO(text)).items():
        assert settings.text(name) == value
