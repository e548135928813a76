"""What a feature map or a weight is worth to the loss: attribution and the signals."""
