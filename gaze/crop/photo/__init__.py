"""One photo: what is wanted of it, its focus, its crops, how they are rendered and named, and the record of all that.

What may live here: whatever needs no other photo and writes nothing. It knows neither folders nor runs.
"""
