"""Eye-tracking data: readers, the store, densities and the data module."""
