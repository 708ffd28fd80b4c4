"""The web page on DR_WEBVIEWER_PORT."""
