"""What a feature map or a weight is worth to the loss.

What may live here:

- `signal`: what every signal does, and `SIGNALS`, where each registers in its own file: `fisher`, `taylor`,
  `magnitude`, `random`;
- `attribution`: what each map contributed to the loss of each example, which signals of gradients read;
- `example_gradients`: the gradient of each example's loss with respect to each parameter, and from it
  `weight_fisher`, the Fisher information of parameters and the signal of single weights, and `fisher_rao`, the norm;
- `growth_signal`, `gradmax` and `fan_in`: what maps would be worth that are not there yet.

Nothing here knows what a map costs, or when it should go.
"""
