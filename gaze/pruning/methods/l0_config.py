"""The schema of `pruner.l0`."""

import math
from dataclasses import dataclass

from gaze.errors import expect_number


@dataclass
class L0Config:
    """How gates are drawn and learnt, and what is penalised: Louizos, Welling and Kingma 2018 (arXiv 1712.01312).

    Attributes:
        penalty: what is penalised in expectation: measured `time`, the number of `parameters`, the number of `maps`.
        estimator: of the gates' gradient: `concrete`, the paper's relaxation; `reinforce`, `rebar` or `relax`, which
            draw zeros and ones and have no bias.
        beta: temperature of the hard concrete distribution, above 0, at most 1.
        gamma: where it is stretched to below 0.
        zeta: where it is stretched to above 1.
        start: log alpha of every gate at first.
        rate: learning rate of log alpha, which follows the schedule of the others and does not decay.
        rho: bits by which the price of the penalty rises, at each removal, per share that the time is too long.
        per_example: draw gates for each example, rather than once for all of a batch.
    """

    penalty: str
    estimator: str
    beta: float
    gamma: float
    zeta: float
    start: float
    rate: float
    rho: float
    per_example: bool

    def check(self) -> None:
        """Raises ConfigError where a value is out of range, or a name stands for nothing."""
        from gaze.pruning.cost.expectations import EXPECTATIONS  # torch takes seconds to import
        from gaze.pruning.methods.estimators import ESTIMATORS

        EXPECTATIONS.get(self.penalty, "pruner.l0.penalty")
        ESTIMATORS.get(self.estimator, "pruner.l0.estimator")
        expect_number("pruner.l0.beta", self.beta, above=0, most=1)
        expect_number("pruner.l0.gamma", self.gamma, below=0)
        expect_number("pruner.l0.zeta", self.zeta, above=1)
        closing = math.log(-self.gamma / self.zeta)
        expect_number("pruner.l0.start", self.start, above=closing)  # below that all gates are closed
        expect_number("pruner.l0.rate", self.rate, above=0)
        expect_number("pruner.l0.rho", self.rho, above=0)
