"""
Golden numbers of what an engine computes for a token and a parameter: log-probability and entropy at a temperature, AdamW
(Loshchilov and Hutter 2019), and the adaptive KL coefficient (Ziegler et al. 2019), in float64.
Run with NumPy: `python scripts/goldens/tokens.py`.
"""

import numpy as np
from golden import single, write


def token_log_prob(hidden, head, targets, temperature):
    logits = hidden @ head.T / temperature
    log_total = np.logaddexp.reduce(logits, axis=1)
    log_p = logits - log_total[:, None]
    entropy = log_total - (np.exp(log_p) * logits).sum(axis=1)
    return np.concatenate([log_p[np.arange(len(targets)), targets], entropy])


def adam_w(param, m, v, grad, lr, beta1, beta2, eps, decay, step, scale):
    g = grad * scale
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * np.square(g)
    rate = lr * np.sqrt(1 - beta2**step) / (1 - beta1**step)
    # the bias corrections drawn together, epsilon scaled along
    update = rate * m / (np.sqrt(v) + eps * np.sqrt(1 - beta2**step))
    return param - lr * decay * param - update, m, v


def main():
    rng = np.random.default_rng(7)
    cases = []
    for temperature, tokens, dim, vocab, scale in [(1.0, 5, 6, 11, 1.0), (0.7, 4, 3, 9, 2.0), (2.5, 3, 4, 7, 30.0)]:
        hidden, head = single(rng.normal(0, scale, (tokens, dim))), single(rng.normal(0, 1, (vocab, dim)))
        targets = rng.integers(0, vocab, tokens)
        cases.append({"temperature": temperature, "dim": dim, "hidden": hidden.ravel(), "head": head.ravel(),
                      "targets": targets, "expected": token_log_prob(hidden, head, targets, temperature)})
    write("token-log-prob.json", "tokens.py", cases)

    cases = []
    for decay, scale in [(0.0, 1.0), (0.1, 0.5)]:
        state = [single(rng.normal(0, 1, 12)), single(rng.normal(0, 0.1, 12)), single(np.abs(rng.normal(0, 0.1, 12)))]
        for step in [1, 2, 3, 1000]:
            grad = single(rng.normal(0, 1, 12))
            options = {"lr": 0.01, "beta1": 0.9, "beta2": 0.95, "eps": 1e-4, "weightDecay": decay, "step": step,
                       "gradScale": scale}
            after = adam_w(*state, grad, 0.01, 0.9, 0.95, 1e-4, decay, step, scale)
            cases.append({"options": options, "param": state[0], "m": state[1], "v": state[2], "grad": grad,
                          "expected": {"param": after[0], "m": after[1], "v": after[2]}})
            state = [single(one) for one in after]
    write("adam-w.json", "tokens.py", cases)

    write("kl-controller.json", "tokens.py", [
        {"target": target, "horizon": horizon, "coefficient": beta, "kl": kl, "trajectories": n,
         "expected": beta * (1 + np.clip(kl / target - 1, -0.2, 0.2) * n / horizon)}
        for target, horizon in [(6.0, 10000.0), (0.05, 512.0)] for beta in [0.001, 0.2]
        for kl in [0.0, 0.045, 0.055, 6.5, 12.0] for n in [8, 512]
    ])


main()
