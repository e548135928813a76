"""The values of every setting, as YAML: see `gaze.config`.

What may live here: a file for each verb, a folder for each group of settings that verbs share or among which one
chooses. Each value stands once. The schemas, which hold none, live in the rooms that read them.
"""
