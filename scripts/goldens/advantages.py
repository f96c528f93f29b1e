"""
Golden advantages and returns: GAE (Schulman et al. 2016), GRPO (Shao et al. 2024), Dr. GRPO (Liu et al. 2025), RLOO
(Ahmadian et al. 2024), REINFORCE, REINFORCE++ and its baseline form (Hu 2025), with a KL penalty in the reward, as sums and
matrices in float64. Run with NumPy: `python scripts/goldens/advantages.py`.
"""

import numpy as np
from golden import single, write

ESTIMATORS = ["gae", "grpo", "dr-grpo", "rloo", "reinforce", "reinforce++", "reinforce++-baseline"]


def masks(segments, scope):
    """1 for tokens of the policy (`loss`) or for all behind the prompt (`attention`)."""
    chosen = []
    for kind, length in segments:
        chosen += [1 if kind == "Sampled" or (scope == "attention" and kind != "Prompt") else 0] * length
    return np.array(chosen, dtype=bool)


def kl(kind, lp, lr):
    d = lr - lp
    return {"k1": -d, "abs": np.abs(d), "k2": d**2 / 2, "k3": np.exp(d) - d - 1}[kind]


def generalised(rewards, values, gamma, lam):
    """A_t as the sum over l of (gamma lambda)^l delta_(t+l), without a recursion; returns are A + V."""
    n = len(rewards)
    following = np.append(values[1:], 0.0)
    delta = rewards + gamma * following - values
    lags = np.arange(n)[None, :] - np.arange(n)[:, None]
    weights = np.where(lags >= 0, (gamma * lam) ** np.maximum(lags, 0), 0.0)
    advantages = weights @ delta
    return advantages, advantages + values


def discounted(rewards, gamma):
    n = len(rewards)
    lags = np.arange(n)[None, :] - np.arange(n)[:, None]
    return np.where(lags >= 0, gamma ** np.maximum(lags, 0), 0.0) @ rewards


def whiten(rows, chosen):
    """Every row by the mean and the unbiased variance of the chosen values of all rows."""
    pool = np.concatenate([row[mask] for row, mask in zip(rows, chosen)])
    return [(row - pool.mean()) / np.sqrt(pool.var(ddof=1) + 1e-8) for row in rows]


def outcome(estimator, scores, groups, baseline):
    result = np.zeros(len(scores))
    if estimator == "reinforce":
        return scores - (scores.mean() if baseline == "batchMean" else 0.0)
    for group in np.unique(groups):
        members = np.flatnonzero(groups == group)
        s = scores[members]
        if estimator == "grpo":
            result[members] = s / (1 + 1e-6) if len(s) == 1 else (s - s.mean()) / (s.std(ddof=1) + 1e-6)
        elif estimator == "rloo":
            for at, member in enumerate(members):
                rest = np.delete(s, at)
                result[member] = s[at] - (rest.mean() if len(rest) > 0 else 0.0)
        else:
            result[members] = s if len(s) == 1 else s - s.mean()
    return result


def summary(name, values):
    return {f"{name}/mean": values.mean(), f"{name}/max": values.max(), f"{name}/min": values.min()}


def estimate(batch, config):
    loss = [masks(one["segments"], config["lossScope"]) for one in batch]
    steps = [masks(one["segments"], config["gaeScope"]) for one in batch]
    whitened = [masks(one["segments"], config["whitenMask"]) for one in batch]
    scores = np.array([one["reward"] for one in batch])
    penalty = config["rewardKl"]
    beta = 0.0 if penalty is None else penalty["coefficient"]
    kls = [np.zeros(len(mask)) for mask in loss]
    if penalty is not None:
        kls = [np.where(mask, kl(penalty["estimator"], one["logProbs"], one["refLogProbs"]), 0.0)
               for one, mask in zip(batch, loss)]
    shaped = scores - beta * np.array([row.sum() for row in kls])
    rewards = []
    for row, mask, score in zip(kls, steps, scores):
        reward = -beta * row
        reward[np.flatnonzero(mask)[-1]] += score
        rewards.append(reward)
    groups = np.array([one["promptKey"] if config["groupKey"] == "promptInstance" else one["index"] for one in batch])

    def broadcast(numbers):
        return [np.where(mask, number, 0.0) for number, mask in zip(numbers, loss)]

    estimator = config["estimator"]
    if estimator in ("gae", "reinforce++"):
        raw, returns = [], []
        for one, reward, mask in zip(batch, rewards, steps):
            advantages, targets = np.zeros(len(mask)), np.zeros(len(mask))
            if estimator == "gae":
                advantages[mask], targets[mask] = generalised(
                    reward[mask], one["values"][mask], config["gamma"], config["lambda"])
            else:
                targets[mask] = discounted(reward[mask], config["gamma"])
                advantages = targets
            raw.append(advantages)
            returns.append(targets)
        advantages = [np.where(mask, row, 0.0) for row, mask in zip(whiten(raw, whitened), loss)]
    else:
        kind = "dr-grpo" if estimator == "reinforce++-baseline" else estimator
        advantages = broadcast(outcome(kind, shaped, groups, config["baseline"]))
        if estimator == "reinforce++-baseline":
            advantages = [np.where(mask, row, 0.0) for row, mask in zip(whiten(advantages, whitened), loss)]
        returns = advantages

    def pool(rows):
        return np.concatenate([row[mask] for row, mask in zip(rows, whitened)])

    values = pool([one["values"] for one in batch])
    metrics = {
        **summary("critic/score", scores),
        **summary("critic/rewards", shaped),
        **summary("critic/advantages", pool(advantages)),
        **summary("critic/returns", pool(returns)),
        **summary("critic/values", values),
        "critic/vf_explained_var": 1 - np.var(pool(returns) - values, ddof=1) / (np.var(pool(returns), ddof=1) + 1e-5),
    }
    if penalty is not None:
        metrics["critic/kl"] = np.mean([row[mask].mean() for row, mask in zip(kls, loss)])
        metrics["critic/kl_coeff"] = beta
    return advantages, returns, metrics


def draw(rng):
    """Trajectories of one to three turns; some end in an observation, some groups have one member."""
    batch = []
    for key in ["a", "b", "a", "c", "b", "a"]:
        segments = [("Prompt", int(rng.integers(1, 4)))]
        for turn in range(int(rng.integers(1, 4))):
            segments.append(("Sampled", int(rng.integers(1, 5))))
            if rng.random() < 0.6:
                segments.append(("Observation", int(rng.integers(1, 6))))
        n = sum(length for _, length in segments)
        batch.append({
            "promptKey": key,
            # two prompts share the number behind their data set's name
            "index": {"a": "12", "b": "7", "c": "12"}[key],
            "questionId": {"a": "nq_test_12", "b": "2wiki_test_7", "c": "hotpotqa_dev_12"}[key],
            "segments": segments,
            "reward": float(single(rng.choice([0.0, 0.0, 0.2, 1.0]))),
            "values": single(rng.uniform(-1, 1, n)),
            "logProbs": single(rng.uniform(-3, 0, n)),
            "refLogProbs": single(rng.uniform(-3, 0, n)),
        })
    return batch


def main():
    rng = np.random.default_rng(20170707)
    cases = []
    base = {"estimator": "gae", "gamma": 1.0, "lambda": 1.0, "baseline": "none", "groupKey": "promptInstance",
            "gaeScope": "loss", "whitenMask": "loss", "lossScope": "loss", "rewardKl": None}

    def kl_of(estimator):
        return {"coefficient": 0.25, "estimator": estimator, "clamp": "pre20"}

    attention = {"gaeScope": "attention", "whitenMask": "attention"}
    changes = [{"estimator": estimator} for estimator in ESTIMATORS]
    changes += [{"estimator": estimator, "rewardKl": kl_of(kind)}
                for estimator, kind in zip(ESTIMATORS, ["k1", "k2", "k3", "abs", "k3", "k1", "k2"])]
    changes += [
        {"gamma": 0.9, "lambda": 0.8},
        {"gamma": 0.9, "lambda": 0.8, **attention},
        {"gamma": 0.9, "lambda": 0.8, **attention, "rewardKl": kl_of("k3")},
        {"gamma": 0.5, "lambda": 0.0, "whitenMask": "attention"},
        {"lossScope": "attention", **attention},
        {"estimator": "reinforce", "baseline": "batchMean"},
        {"estimator": "reinforce++", "gamma": 0.9},
        {"estimator": "reinforce++", "gamma": 0.9, **attention, "rewardKl": kl_of("k1")},
        {"estimator": "reinforce++-baseline", "whitenMask": "attention"},
        {"estimator": "grpo", "groupKey": "index"},
        {"estimator": "rloo", "groupKey": "index", "rewardKl": kl_of("k2")},
        {"estimator": "dr-grpo", "groupKey": "index", "lossScope": "attention"},
    ]
    for change in changes:
        config = {**base, **change}
        batch = draw(rng)
        advantages, returns, metrics = estimate(batch, config)
        cases.append({"config": config,
                      "batch": [{key: item for key, item in one.items() if key != "index"} for one in batch],
                      "advantages": advantages, "returns": returns, "metrics": metrics})
    write("advantages.json", "advantages.py", cases)


main()
