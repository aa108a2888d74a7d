#!/usr/bin/env python3
"""Twenty users behind one opening take turns in random order, without session names: tokens computed against the ideal.

The ideal computes each distinct token once. A budget in tokens is what the pages hold; open pages come on top.

  twenty_users.py --bin build/release/bin --model M.gguf [--budget 8192] [--at-once 1] [--host 0]
"""
import argparse
import concurrent.futures
import random

from running_daemon import RunningDaemon

PAGE = 32


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--bin", required=True)
    p.add_argument("--model", required=True)
    p.add_argument("--budget", type=int, default=8192, help="tokens")
    p.add_argument("--at-once", type=int, default=1)
    p.add_argument("--host", type=int, default=0, help="tokens of the host tier")
    p.add_argument("--users", type=int, default=20)
    p.add_argument("--turns", type=int, default=6)
    p.add_argument("--opening", type=int, default=512)
    p.add_argument("--vocab", type=int, default=4000)
    p.add_argument("--kv", default="int8")
    p.add_argument("--seed", type=int, default=1)
    a = p.parse_args()
    rng = random.Random(a.seed)
    formats = ["--set", f"cache.keys={a.kv}", "--set", f"cache.values={a.kv}", "--set", "engine.max_sequences=4"]
    with RunningDaemon(a.bin, a.model, *formats) as daemon:
        bytes_per_token = int(daemon.metric("kvasir_kv_bytes_per_token"))
    budget = a.budget * bytes_per_token
    host = ["--set", f"cache.host_budget_bytes={a.host * bytes_per_token}"] if a.host else []
    with RunningDaemon(a.bin, a.model, *formats, *host, "--set", f"cache.budget_bytes={budget}") as daemon:
        opening = [rng.randrange(10, a.vocab) for _ in range(a.opening)]
        histories = [list(opening) for _ in range(a.users)]
        distinct = set()
        resident = daemon.resident_bytes()

        def turn(user):
            histories[user] += questions[user]
            reply = daemon.post("/v1/completions", {"prompt": histories[user], "max_tokens": 8, "temperature": 0, "ignore_eos": True,
                                                    "return_tokens": True})
            histories[user] += reply["choices"][0]["tokens"]

        with concurrent.futures.ThreadPoolExecutor(a.at_once) as pool:
            for _ in range(a.turns):
                order = rng.sample(range(a.users), a.users)
                questions = {u: [rng.randrange(10, a.vocab) for _ in range(40)] for u in order}
                list(pool.map(turn, order))
        for history in histories:  # the last token is never computed
            distinct.update(hash(tuple(history[:i])) for i in range(1, len(history)))
        asked = daemon.metric("kvasir_prompt_tokens_total") + daemon.metric("kvasir_generated_tokens_total") - a.users * a.turns
        computed = asked - daemon.metric("kvasir_cached_tokens_total")
        print(f"{a.users} users, {a.turns} turns, budget {a.budget} tokens ({daemon.metric('kvasir_kv_pages'):.0f} pages) + {a.host} on the host, "
              f"{a.at_once} at once: {computed:.0f} tokens computed, ideal {len(distinct)}: {computed / len(distinct):.3f}; "
              f"memory grown by {(daemon.resident_bytes() - resident) / 2 ** 20:.1f} MiB, budget {budget / 2 ** 20:.1f} MiB")


if __name__ == "__main__":
    main()
