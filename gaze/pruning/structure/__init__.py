"""What can only change together, and how a width changes.

What may live here:

- `groups`: which maps leave together, found by tracing, and what is pinned;
- `gates`: multipliers on maps while they are still there, `hard_concrete`: how such are drawn, and `folding`: what
  multiplied maps becomes part of the weights;
- `surgery` and `snapshot`: maps leave for good, and come back; `growth`: maps join;
- `followers`: what must follow, optimisers and copies.

Nothing here knows what a map is worth, what it costs, or when it should go.
"""
