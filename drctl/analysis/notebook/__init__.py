"""The notebook that opens on a project's models, and the process that serves it."""
