"""From CoT and TIR parents to a checkpoint: recipes, verification, sweeps, quantization, training, the miniature."""
