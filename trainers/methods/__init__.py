"""Methods of other papers, each an option of a training: what they add, and where.

There are five doors, each with the table that lists what may pass through it:

- a penalty is added to the loss: `penalties.PENALTIES`;
- another network teaches: `distilling` and `adjoining`;
- inputs are changed in each step: `adversaries.ADVERSARIES`, and the window of `windows`;
- weights are trained in another form, and contracted exactly afterwards: `reparametrizing`;
- weights are scored before the training: `trainers.pruning.before_training`.

What loads torch is imported from its module; the config needs none of it.
"""

from trainers.methods.config import MethodsConfig

__all__ = ["MethodsConfig"]
