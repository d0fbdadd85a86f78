"""Parts of a training run: settings, initialization, optimizer, checkpoints and distributed training."""
