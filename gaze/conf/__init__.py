"""The values of every setting, as YAML: see `gaze.config`."""
