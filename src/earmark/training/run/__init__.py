"""The parts that every training run shares: settings, task, optimizer, checkpoint, processes."""
