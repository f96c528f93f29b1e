"""
Golden losses of a mini-batch cut into micro-batches, with their derivatives: PPO's clipped surrogate (Schulman et al. 2017;
decoupled bounds as DAPO, Yu et al. 2025; dual clip, Ye et al. 2020), GSPO in its token form (Zheng et al. 2025), CISPO
(MiniMax-M1 2025), the plain policy gradient, truncated importance sampling, KL estimators (Schulman 2020), the
entropy bonus, LLDS (arXiv 2512.04220), the four aggregations, and the critic's clipped loss. Values are vectorised sums in
float64; derivatives are central differences of the values, with what a method detaches held fixed.
Run with NumPy: `python scripts/goldens/losses.py`.
"""

import numpy as np
from golden import gradient, single, write


def estimate_kl(estimator, clamp, lp, lr):
    d = lr - lp
    if estimator == "k3":
        if clamp == "post10":
            return np.clip(np.exp(d) - d - 1, -10, 10)
        # the exponential continues as its tangent at 20
        grown = np.where(d <= 20, np.exp(np.minimum(d, 20)), np.exp(20) * (1 + d - 20))
        return grown - d - 1
    return {"k1": -d, "k2": d**2 / 2, "abs": np.abs(d)}[estimator]


def runs(mask, begin, end):
    """The contiguous runs of trained tokens of a sequence: the policy's actions."""
    found, start = [], None
    for at in range(begin, end + 1):
        inside = at < end and mask[at]
        if inside and start is None:
            start = at
        if not inside and start is not None:
            found.append((start, at))
            start = None
    return found


def weights(config, mask, offsets, micro, normaliser):
    """What each trained token of the mini-batch weighs in a mean over it."""
    result = np.zeros(len(mask))
    spans = list(zip(offsets[:-1], offsets[1:]))
    for begin, end in spans:
        trained = mask[begin:end].sum()
        if trained == 0:
            continue
        result[begin:end] = {
            "tokenMean": 1 / normaliser["tokens"],
            "seqMean": 1 / (normaliser["sequences"] * trained),
            "fixedLength": 1 / (normaliser["sequences"] * config["fixedLength"]),
            "microTokenMean": 0.0,
        }[config["aggregation"]]
    if config["aggregation"] == "microTokenMean":
        for part in micro:
            begin, end = offsets[part[0]], offsets[part[-1] + 1]
            result[begin:end] = 1 / (len(micro) * max(1, mask[begin:end].sum()))
    return np.where(mask, result, 0.0)


def token_weights(config, mask, offsets, micro, normaliser):
    kind = "microTokenMean" if config["aggregation"] == "microTokenMean" else "tokenMean"
    return weights({**config, "aggregation": kind}, mask, offsets, micro, normaliser)


def terms(config, data, lp, frozen, entropy):
    """The four terms of every token, before their coefficients; `frozen` holds log-probabilities that are detached."""
    mask, offsets, old, a = data["lossMask"], data["sequenceOffsets"], data["oldLogProbs"], data["advantages"]
    spans = list(zip(offsets[:-1], offsets[1:]))
    low, high = 1 - config["clipLow"], 1 + config["clipHigh"]
    if config["surrogate"] == "gspo":
        ratio = np.ones(len(lp))
        for begin, end in spans:
            chosen = mask[begin:end]
            if chosen.any():
                # s_i detached, times pi over pi detached
                mean = (frozen - old)[begin:end][chosen].mean()
                ratio[begin:end] = np.exp(mean) * np.exp((lp - frozen)[begin:end])
    else:
        ratio = np.exp(lp - old)
    clipped = np.clip(ratio, low, high)
    if config["surrogate"] in ("clip", "gspo"):
        policy = np.maximum(-a * ratio, -a * clipped)
        if config["surrogate"] == "clip" and config["dualClip"] is not None:
            policy = np.where(a < 0, np.minimum(policy, -a * config["dualClip"]), policy)
    elif config["surrogate"] == "cispo":
        policy = -np.clip(np.exp(frozen - old), low, high) * a * lp
    else:
        policy = -a * lp
    if config["importanceCap"] is not None:
        policy = policy * np.minimum(np.exp(old - data["behaviourLogProbs"]), config["importanceCap"])
    divergence = estimate_kl(config["klEstimator"], config["klClamp"], lp, data["refLogProbs"])
    displaced = np.zeros(len(lp))
    for begin, end in spans:
        for start, stop in runs(mask, begin, end):
            if (old - frozen)[start:stop].sum() > 0:
                displaced[start:stop] = np.where(a[start:stop] >= 0, np.maximum(0, (old - lp)[start:stop]), 0.0)
    return policy, divergence, displaced, entropy, ratio


def total(config, data, micro, normaliser, lp, frozen, entropy, only=slice(None)):
    policy, divergence, displaced, entropies, _ = terms(config, data, lp, frozen, entropy)
    w = weights(config, data["lossMask"], data["sequenceOffsets"], micro, normaliser)
    t = token_weights(config, data["lossMask"], data["sequenceOffsets"], micro, normaliser)
    sums = [w * policy, w * divergence, t * displaced, w * entropies]
    pg, kl, llds, ent = [part[only].sum() for part in sums]
    value = pg + config["klCoefficient"] * kl + config["lldsCoefficient"] * llds - config["entropyCoefficient"] * ent
    return value, pg, kl, llds, ent


def away_from_kinks(config, data):
    """Central differences need a neighbourhood without a corner."""
    lp, old, a = data["logProbs"], data["oldLogProbs"], data["advantages"]
    ratio = terms(config, data, lp, lp, data["entropy"])[4]
    corners = [1 - config["clipLow"], 1 + config["clipHigh"]]
    if config["dualClip"] is not None:
        corners.append(config["dualClip"])
    far = all((np.abs(ratio - corner) > 1e-3).all() for corner in corners)
    d = data["refLogProbs"] - lp
    return far and (np.abs(lp - old) > 1e-3).all() and (np.abs(d) > 1e-3).all() \
        and (np.abs(np.exp(d) - d - 11) > 1e-2).all()


def draw(rng, config):
    while True:
        lengths = rng.integers(2, 7, size=6)
        offsets = np.append(0, np.cumsum(lengths))
        n = offsets[-1]
        old = single(rng.uniform(-3, -1.5, n))
        mask = rng.random(n) < 0.7
        mask[offsets[:-1]] = False
        mask[offsets[4]:offsets[5]] = False  # a sequence that teaches nothing
        data = {
            "logProbs": single(old + rng.uniform(-0.7, 1.3, n)),
            "oldLogProbs": old,
            "refLogProbs": single(old + rng.uniform(-1, 3.5, n)),
            "behaviourLogProbs": single(old + rng.uniform(-1, 1, n)),
            "advantages": single(np.where(rng.random(n) < 0.2, 0.0, rng.uniform(-1, 1, n))),
            "entropy": single(rng.uniform(0, 2, n)),
            "lossMask": mask,
            "sequenceOffsets": offsets,
        }
        if away_from_kinks(config, data):
            return data


def policy_case(rng, config):
    data = draw(rng, config)
    micro = [[0, 1], [2], [3, 4, 5]]
    mask, offsets = data["lossMask"], data["sequenceOffsets"]
    normaliser = {
        "tokens": int(mask.sum()),
        "sequences": int(sum(mask[begin:end].any() for begin, end in zip(offsets[:-1], offsets[1:]))),
        "valueTokens": 0,
        "microBatches": len(micro),
    }
    lp, entropy = data["logProbs"], data["entropy"]
    w = token_weights(config, mask, offsets, micro, normaliser)
    policy, _, _, _, ratio = terms(config, data, lp, lp, entropy)
    a = data["advantages"]
    clipped = np.clip(ratio, 1 - config["clipLow"], 1 + config["clipHigh"])
    bound = (clipped != ratio) if config["surrogate"] == "cispo" else (-a * clipped > -a * ratio)
    if config["surrogate"] == "reinforce":
        bound = np.zeros(len(lp), dtype=bool)
    parts = []
    for part in micro:
        span = slice(offsets[part[0]], offsets[part[-1] + 1])
        value, pg, kl, llds, ent = total(config, data, micro, normaliser, lp, lp, entropy, span)
        metrics = {
            "actor/pg_loss": pg,
            "actor/entropy_loss": ent,
            "actor/pg_clipfrac": (w * bound)[span].sum(),
            "actor/ppo_kl": (w * (data["oldLogProbs"] - lp))[span].sum(),
            "actor/ratio_max": ratio[span][mask[span]].max(initial=0.0),
            "actor/behaviour_log_prob_diff_max":
                np.abs(data["oldLogProbs"] - data["behaviourLogProbs"])[span][mask[span]].max(initial=0.0),
        }
        if config["dualClip"] is not None and config["surrogate"] == "clip":
            metrics["actor/pg_clipfrac_lower"] = (w * ((a < 0) & (ratio > config["dualClip"])))[span].sum()
        if config["klCoefficient"] > 0:
            metrics["actor/kl_loss"] = kl
        if config["lldsCoefficient"] > 0:
            metrics["actor/llds_loss"] = llds
        if config["importanceCap"] is not None:
            drift = np.exp(data["oldLogProbs"] - data["behaviourLogProbs"])
            metrics["actor/importance_weight"] = (w * np.minimum(drift, config["importanceCap"]))[span].sum()
            metrics["actor/importance_capfrac"] = (w * (drift > config["importanceCap"]))[span].sum()
        parts.append({"sequences": part, "value": value, "metrics": metrics})
    return {
        "config": config,
        "input": {**data, "lossMask": mask.astype(int)},
        "normaliser": normaliser,
        "parts": parts,
        "gradLogProbs": gradient(lambda at: total(config, data, micro, normaliser, at, lp, entropy)[0], lp),
        "gradEntropy": gradient(lambda at: total(config, data, micro, normaliser, lp, lp, at)[0], entropy),
    }


def value_case(rng, config, sizes):
    n = int(sum(sizes))
    while True:
        data = {
            "values": single(rng.uniform(-2, 2, n)),
            "oldValues": single(rng.uniform(-2, 2, n)),
            "returns": single(rng.uniform(-2, 2, n)),
        }
        moved = data["values"] - data["oldValues"]
        if config["clip"] is None or (np.abs(np.abs(moved) - config["clip"]) > 1e-3).all():
            break
    mask = rng.random(n) < 0.7
    mask[0] = True
    bounds = np.append(0, np.cumsum(sizes))
    spans = [slice(begin, end) for begin, end in zip(bounds[:-1], bounds[1:])]
    w = np.zeros(n)
    for span in spans:
        count = mask[span].sum() * len(spans) if config["aggregation"] == "microTokenMean" else mask.sum()
        w[span] = 1 / max(1, count)
    w = np.where(mask, w, 0.0)

    def squares(values):
        free = (values - data["returns"]) ** 2
        if config["clip"] is None:
            return free, np.zeros(n, dtype=bool)
        held = (np.clip(values, data["oldValues"] - config["clip"], data["oldValues"] + config["clip"])
                - data["returns"]) ** 2
        return np.maximum(free, held), held > free

    error, bound = squares(data["values"])
    return {
        "config": config,
        "input": {**data, "valueMask": mask.astype(int)},
        "normaliser": {"valueTokens": int(mask.sum()), "microBatches": len(spans)},
        "parts": [{
            "from": span.start, "to": span.stop, "value": (w * error)[span].sum() / 2,
            "metrics": {"critic/vf_loss": (w * error)[span].sum() / 2,
                        "critic/vf_clipfrac": (w * bound)[span].sum(),
                        "critic/vpred_mean": (w * data["values"])[span].sum()},
        } for span in spans],
        "gradValues": gradient(lambda at: (w * squares(at)[0]).sum() / 2, data["values"]),
    }


def main():
    rng = np.random.default_rng(20250312)
    base = {"surrogate": "clip", "clipLow": 0.2, "clipHigh": 0.2, "dualClip": None, "aggregation": "tokenMean",
            "fixedLength": 7, "entropyCoefficient": 0.0, "klCoefficient": 0.0, "klEstimator": "k3", "klClamp": "pre20",
            "importanceCap": None, "lldsCoefficient": 0.0}
    changes = []
    for aggregation in ["tokenMean", "seqMean", "fixedLength", "microTokenMean"]:
        for surrogate in ["clip", "gspo", "cispo", "reinforce"]:
            changes.append({"aggregation": aggregation, "surrogate": surrogate})
        changes.append({"aggregation": aggregation, "dualClip": 1.5, "clipHigh": 0.28})
        changes.append({"aggregation": aggregation, "importanceCap": 1.5})
        changes.append({"aggregation": aggregation, "entropyCoefficient": 0.3})
        changes.append({"aggregation": aggregation, "lldsCoefficient": 0.2})
        changes.append({"aggregation": aggregation, "lldsCoefficient": 0.2, "entropyCoefficient": -0.1,
                        "klCoefficient": 0.4, "importanceCap": 2.0, "surrogate": "cispo"})
    for estimator in ["k1", "k2", "k3", "abs"]:
        for clamp in ["pre20", "post10"]:
            changes.append({"klCoefficient": 0.4, "klEstimator": estimator, "klClamp": clamp, "aggregation": "seqMean"})
    write("policy-loss.json", "losses.py", [policy_case(rng, {**base, **change}) for change in changes])

    write("value-loss.json", "losses.py", [
        value_case(rng, {"clip": clip, "aggregation": aggregation}, sizes)
        for clip in [None, 0.5]
        for aggregation in ["tokenMean", "microTokenMean"]
        for sizes in [[9], [4, 6], [3, 5, 2, 7]]
    ])

    points = [(-d, 0.0) for d in [-30.0, -3.0, -0.5, 0.25, 2.5, 2.75, 10.0, 19.5, 20.5, 40.0]]
    points += [(-1.5, -0.25), (-0.25, -1.5)]
    write("kl.json", "losses.py", [
        {"estimator": estimator, "clamp": clamp, "logProb": lp, "refLogProb": lr,
         "value": estimate_kl(estimator, clamp, np.float64(lp), np.float64(lr)),
         "derivative": gradient(lambda at: estimate_kl(estimator, clamp, at, np.float64(lr)).sum(), np.array([lp]))[0]}
        for estimator in ["k1", "k2", "k3", "abs"] for clamp in ["pre20", "post10"] for lp, lr in points
    ])


main()
