"""Estimates by the newest shapiq, which wants Python 3.12, for `accuracy.py` to read.

    python3.12 -m venv newest && newest/bin/pip install "shapiq[shapleig]>=1.8" lightgbm xgboost
    newest/bin/python examples/benchmarks/newest.py games newest.npz --budgets 32 64 --seeds 2
    python examples/benchmarks/accuracy.py --tables games --newest newest.npz --budgets 32 64

Imports nothing of this project. ShaplEIG takes 5 to 30 s an estimate of 16 players, so name few
games with ``--only``; what the file holds already is kept and not estimated again.
"""

import argparse
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import shapiq

PEERS: dict[str, Callable[[int, int], object]] = {
    "ShaplEIG": lambda n, seed: shapiq.approximator.ShaplEIG(
        n, show_progress=False, random_state=seed
    ),
    "LeverageSHAP": lambda n, seed: shapiq.approximator.LeverageSHAP(n, random_state=seed),
    "PolySHAP": lambda n, seed: shapiq.approximator.PolySHAP(
        n, max_order=2, pairing_trick=True, random_state=seed
    ),
    "OddSHAP": lambda n, seed: shapiq.approximator.OddSHAP(n, random_state=seed),
    "ProxySHAP": lambda n, seed: shapiq.approximator.ProxySHAP(
        n, max_order=1, index="SV", random_state=seed
    ),
    "ProxySHAP adjusted": lambda n, seed: shapiq.approximator.ProxySHAP(
        n, max_order=1, index="SV", adjustment=True, random_state=seed
    ),
    "RegressionMSR": lambda n, seed: shapiq.approximator.RegressionMSR(
        n, index="SV", random_state=seed
    ),
}


def estimate(peer: str, table: np.ndarray, budget: int, seed: int) -> np.ndarray:
    """Returns Shapley values (n,) of the game of a table (2^n,) by one of :data:`PEERS`."""
    players = len(table).bit_length() - 1
    places = 1 << np.arange(players)

    def play(present: np.ndarray) -> np.ndarray:
        return table[np.atleast_2d(present).astype(int) @ places] - table[0]

    found = PEERS[peer](players, seed).approximate(budget, play)
    return np.array([found[(player,)] for player in range(players)])


def main() -> None:
    """Write the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="of tables")
    parser.add_argument("path", type=Path, help="where to: an .npz file")
    parser.add_argument("--budgets", type=int, nargs="+", default=[32, 64, 128])
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--peers", nargs="+", default=list(PEERS), choices=list(PEERS))
    parser.add_argument("--only", default="", help="games whose names hold this text")
    args = parser.parse_args()
    known = dict(np.load(args.path)) if args.path.exists() else {}
    took: dict[str, list[float]] = {}
    warnings.simplefilter("ignore")
    for file in sorted(args.folder.glob("*.npy")):
        if args.only not in file.name:
            continue
        table = np.load(file).astype(float)
        table = table.reshape(len(table), -1)[:, 0]
        for budget, seed, peer in (
            (budget, seed, peer)
            for budget in args.budgets
            for seed in range(args.seeds)
            for peer in args.peers
        ):
            name = f"{file.stem}/{budget}/{seed}/{peer}"
            if name in known:
                continue
            started = time.process_time()
            try:
                known[name] = estimate(peer, table, budget, seed)
            except (ValueError, IndexError, RuntimeError, np.linalg.LinAlgError) as error:
                print(f"{name}: {error}", flush=True)  # most want a least budget
                continue
            took.setdefault(peer, []).append(time.process_time() - started)
        np.savez_compressed(args.path, **known)
        print(file.stem, flush=True)
    for peer, seconds in took.items():
        print(f"{peer}: {np.median(seconds):.2f} s of CPU an estimate, {max(seconds):.2f} at most")


if __name__ == "__main__":
    main()
