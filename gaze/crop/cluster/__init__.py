"""Many machines: Ray, and folders that only fsspec reaches.

What may live here: backends for `folder` that need packages beyond the small install, each imported where it is used.
"""
