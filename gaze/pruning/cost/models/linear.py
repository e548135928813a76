"""Milliseconds as a polynomial of the widths without their products."""

from gaze.pruning.cost.models.base import COSTS
from gaze.pruning.cost.models.quadratic import QuadraticCost


@COSTS.register("linear")
class LinearCost(QuadraticCost):
    """T = sum_l (t_l + a_l c_(l-1) + b_l c_l): `QuadraticCost` fitted anew with w = 0.

    Here a map saves the same whatever its neighbours' widths are. Theis et al. 2018 (arXiv 1801.05787) hold the product
    of the widths of neighbours to be why thick and thin layers alternate; pruning with this cost puts that to the test.
    """

    terms = ("t", "a", "b")
