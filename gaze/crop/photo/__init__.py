"""One photo: what is wanted of it, its focus, its crops and how they are rendered. Writes nothing."""
