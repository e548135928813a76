"""The multiplier that holds an expected cost at its budget."""

from dataclasses import dataclass


@dataclass
class LagrangeMultiplier:
    """The price lambda of a constraint g <= 0, by the method of multipliers (Hestenes 1969, Powell 1969).

    What is minimised is loss + (max(0, lambda + rho g)^2 - lambda^2) / (2 rho), the augmented Lagrangian: its gradient
    weighs that of g by `weight(g)`. Where g settles above 0 lambda goes on rising, so nobody has to guess it; the
    quadratic part keeps both from swinging. What does not settle is paid with a larger rho: `haste` multiplies it
    (Nocedal & Wright 2006, Numerical Optimization, algorithm 17.4).

    Attributes:
        rho: bits per unit of g, above 0.
        value: lambda, bits per unit of g.
    """

    rho: float
    value: float = 0.0

    def weight(self, excess: float, haste: float = 1.0) -> float:
        """What the gradient of g weighs where g is `excess`: max(0, lambda + rho g)."""
        return max(0.0, self.value + haste * self.rho * excess)

    def update(self, excess: float, haste: float = 1.0) -> None:
        """lambda <- max(0, lambda + rho g), after some updates of what g depends on."""
        self.value = self.weight(excess, haste)
