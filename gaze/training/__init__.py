"""Training: the LightningModule, the loss, the panel of pictures, and the wiring of a run."""
