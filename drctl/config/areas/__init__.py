"""The settings, declared area by area; `drctl.config.settings.Settings` is all of them together."""
