"""Training: batches, optimizers, fine-tuning, and heads trained together."""
