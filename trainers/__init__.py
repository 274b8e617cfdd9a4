"""What happens inside one trial: data, networks, fine-tuning, quantization, evaluation.

Knows torch, and nothing of Ray, Optuna, MLflow or a database, so that it also runs alone:

```python
from trainers.artifact import load_artifact

network = load_artifact("model.safetensors")
logits = network(pixels)  # float, (N, C, H, W), in [0, 1]
```
"""
