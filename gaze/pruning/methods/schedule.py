"""When maps leave, and how fast the network is to get."""

from dataclasses import dataclass

from gaze.errors import expect_number


@dataclass
class ScheduleConfig:
    """Prune, keep training, prune (Theis et al. 2018, arXiv 1801.05787), then train on.

    Attributes:
        updates_per_removal: optimiser steps over which the signal is read before maps leave.
        maps_per_removal: how many leave then, 1 as in the paper; null lets `removals` say how fast it goes.
        removals: where `maps_per_removal` is null: in how many removals the budget is reached, each saving the same
            share of the predicted time.
        removals_per_surgery: maps are masked first; after so many removals they leave for good and the network is
            measured.
        finetune_updates: steps that follow the last removal, while the learning rate falls to zero.
    """

    updates_per_removal: int
    maps_per_removal: int | None
    removals: int
    removals_per_surgery: int
    finetune_updates: int

    def check(self) -> None:
        """Raises ConfigError where a number makes no sense."""
        for name in ("updates_per_removal", "maps_per_removal", "removals", "removals_per_surgery"):
            expect_number(f"schedule.{name}", getattr(self, name), least=1)
        expect_number("schedule.finetune_updates", self.finetune_updates, least=0)

    def goal(self, number: float, start: float, budget: float) -> float:
        """Predicted time to be reached by removal `number`, from 1, on the way from `start` to `budget`."""
        return start * (min(start, budget) / start) ** min(1.0, number / self.removals)
