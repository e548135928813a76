"""What can only change together, and how a width changes: groups, gates, surgery, and what follows it."""
