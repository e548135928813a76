"""Many machines: Ray, and folders that only fsspec reaches."""
