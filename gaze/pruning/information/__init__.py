"""What a feature map or a weight is worth to the loss.

What may live here:

- `signal`: what every signal does, and `SIGNALS`, where each registers in its own file: `fisher`, `taylor`,
  `magnitude`, `random`;
- `attribution`: what each map contributed to the loss of each example, which signals of gradients read;
- `weight_fisher`: the same for single weights.

Nothing here knows what a map costs, or when it should go.
"""
