"""Looking inside a network while it works: what flows back, what its parts answer.

Nothing here changes the network: hooks are taken off again and its mode is restored.
"""

from torch import Tensor, nn


def gradient_norms(model: nn.Module, loss: Tensor) -> dict[str, float]:
    """Size of the gradient that reaches each stage: the norm over all its weights together.

    loss: a scalar computed by `model`; its `backward` is called. Stages without weights are left
    out. The gradients stay in the parameters, as after any `backward`.
    """
    model.zero_grad()
    loss.backward()
    norms = {}
    for name, stage in model.named_children():
        squares = [p.grad.square().sum() for p in stage.parameters() if p.grad is not None]
        if squares:
            norms[name] = sum(squares).sqrt().item()
    return norms
