"""How a network changes while it trains: Lightning callbacks.

What may live here:

- `base`: what every method shares, schedule, stop, confirmation and state, and `METHODS`, where each registers in its
  own file: `fisher_pruning` (`greedy`), `growing` (`grow`), `l0`, `weight_pruning` (`weights`);
- of `l0`: `l0_config`, `learnt_gates`, `closing` (which maps leave), `multiplier` (the price of a budget) and
  `estimators/`, one file each;
- `job`: what a method is made from;
- `schedule`, `candidates` and `additions`: when maps leave or join, and which;
- `removal_log` and `outcome`: what is written down of it.

Nothing here knows of stores, Trainers' wiring or the averaging of weights: `gaze.training` brings those.
"""
