"""What a network costs as a function of its widths: how that is measured, stored, modelled, and how well it foretells.

What may live here:

- `engines/`: what runs networks, one file each, and what times such runs;
- `fused_operators` and `operator_builder`: what an engine runs as one, and such an operator built at other widths;
- `channel_block` and `latency_table`: their times over their widths, measured once on a machine;
- `models/`: cost models, one file each;
- `example`: what a network is timed on;
- `stopwatch` and `prediction_error`: whole networks, timed, and how far the models are from that.

Which maps leave for what they cost is decided in `gaze.pruning.methods`.
"""
