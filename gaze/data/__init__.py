"""Eye-tracking data, from a set as released to batches.

What may live here:

- `readers/`: one file a data set; `splits`, with the lists that ship, says which split an image belongs to;
- `writer`, `layout` and `store`: the HDF5 file that a set becomes;
- `densities`, `augment`, `dataset` and `taught`: its stimuli as examples of what is learnt;
- `datamodule`: batches of them for Lightning;
- `config`: the schema of a set, and of how examples are drawn.

Nothing here knows a network; what of an image a network sees is given as numbers.
"""
