"""Writes torchdiffeq.npz: what torchdiffeq's solvers and its adjoint answer, in float64.

    pip install -e ".[parity]"
    python tests/golden/generate_solvers.py         # 10 seconds

Two systems, a spiral that does not know the time and a small network that does, their parameters drawn here and stored.
For each of them and each method: the states at all times, and the gradients of `sum(y cos y)` over them.
"""

import pathlib

import numpy as np
import torch
import torchdiffeq

HERE = pathlib.Path(__file__).parent
TIMES = (0.0, 0.1, 0.25, 0.45, 0.7, 1.0)
STEPS = 2  # of the methods with steps of fixed size, between two times
FIXED = ("euler", "midpoint", "heun2", "rk4")
ADAPTIVE = {"bosh3": 1e-7, "dopri5": 1e-9}  # and their tolerances, relative and absolute


def spiral(t, y, a):
    return y**3 @ a


def network(t, y, w1, b1, w2, b2):
    return torch.tanh(torch.cat([y, t.expand(len(y), 1)], -1) @ w1 + b1) @ w2 + b2


def systems():
    """The dynamics, the states at the first time and the parameters, by name."""
    random = np.random.default_rng(20180619)
    yield "spiral", spiral, random.uniform(-1.3, 1.3, (3, 2)), {"a": np.array([[-0.1, 2.0], [-2.0, -0.1]])}
    shapes = {"w1": (4, 8), "b1": (8,), "w2": (8, 3), "b2": (3,)}
    yield "network", network, random.normal(size=(3, 3)), {key: random.normal(size=s) for key, s in shapes.items()}


def grid(f, y, t):
    """The times, and those between that make `STEPS` equal steps."""
    between = [start + (end - start) * i / STEPS for start, end in zip(t, t[1:], strict=False) for i in range(STEPS)]
    return torch.stack([*between, t[-1]])


def answers(f, y, parameters, method) -> dict[str, np.ndarray]:
    y, t = torch.tensor(y, requires_grad=True), torch.tensor(TIMES, dtype=torch.float64, requires_grad=True)
    parameters = {key: torch.tensor(value, requires_grad=True) for key, value in parameters.items()}
    if method in FIXED:
        options = dict(options={"grid_constructor": grid})
    else:
        # Steps end at the times: between them it interpolates, less accurately than it solves.
        options = dict(rtol=ADAPTIVE[method], atol=ADAPTIVE[method], options={"step_t": t.detach()})
    states = torchdiffeq.odeint_adjoint(
        lambda t, y: f(t, y, **parameters), y, t, method=method, adjoint_params=tuple(parameters.values()), **options
    )
    loss = torch.sum(states * torch.cos(states))
    found = torch.autograd.grad(loss, [y, t, *parameters.values()])
    gradients = zip(("y", "t", *parameters), found, strict=True)
    return {"states": states.detach().numpy(), **{f"d{key}": gradient.numpy() for key, gradient in gradients}}


if __name__ == "__main__":
    golden = {"times": np.array(TIMES), "steps": np.array(STEPS), "torchdiffeq": np.array(torchdiffeq.__version__)}
    for system, f, y, parameters in systems():
        golden |= {f"{system}.y": y, **{f"{system}.{key}": value for key, value in parameters.items()}}
        for method in (*FIXED, *ADAPTIVE):
            found = answers(f, y, parameters, method)
            golden |= {f"{system}.{method}.{key}": value for key, value in found.items()}
    np.savez_compressed(HERE / "torchdiffeq.npz", **golden)
    print(f"torchdiffeq: {(HERE / 'torchdiffeq.npz').stat().st_size:,} bytes")
