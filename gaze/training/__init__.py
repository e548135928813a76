"""Training on prepared stores, with Lightning.

What may live here:

- `lightning_module` and `losses`: a step; `penalty`: what is added to its loss that is not data;
- `likelihood`: the log likelihood of a photograph's fixations, and the Fisher information that is had from it;
- `distillation`, `consolidation` (elastic weight consolidation), `averaging`, `panel` and `fisher_rao_norm`: callbacks;
- `teachers`: whom a student learns from; `teacher_maps`: what they say of a store, kept beside it;
- `run` and `pruning_run`: what wires stores, network, callbacks and Trainer of a training and of a pruning;
- `tracking` with `trackers`, one a file: where a run's figures go beside the table in its folder;
- `config`: the schemas of both; `process`: what only a command tells its process;
- `photograph`: what gaze networks are timed on; `latency_report` with `latency_config`: what `python -m gaze.latency`
  is told and tells.

What a pruning does to the network is decided in `gaze.pruning`, and followed here.
"""
