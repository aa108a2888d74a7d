#!/usr/bin/env python3
"""Twenty users behind one opening take turns in random order, without session names: tokens computed against the ideal.

The ideal computes each distinct token once. A budget in tokens is what the pages hold; open pages come on top. The same requests
then go through the simulation (kvasir-eval cache-sim) with as many pages as the daemon had, host tier included: what each policy computes
where only whole pages are found again.

  twenty_users.py --bin build/release/bin --model M.gguf [--budget 8192] [--at-once 1] [--host 0]
"""
import concurrent.futures
import json
import os
import random
import subprocess
import tempfile

from running_daemon import RunningDaemon, arguments

PAGE = 32


class Trace:
    """The requests as a trace of page ids: equal openings, equal ids."""

    def __init__(self):
        self.ids = {}
        self.requests = []
        self.n_tokens = 0

    def add(self, tokens):
        self.n_tokens += len(tokens)
        pages = [tuple(tokens[:end]) for end in range(PAGE, len(tokens) + 1, PAGE)]
        self.requests.append([self.ids.setdefault(page, len(self.ids)) for page in pages])

    def computed(self, bin_dir, policy, n_pages):
        with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as file:
            for i, ids in enumerate(self.requests):
                file.write(json.dumps({"timestamp": i * 1000, "hash_ids": ids}) + "\n")
            file.flush()
            out = subprocess.run([os.path.join(bin_dir, "kvasir-eval"), "cache-sim", "--trace", file.name, "--pages", str(n_pages),
                                  "--policy", policy], check=True, capture_output=True, text=True).stdout
        return self.n_tokens - PAGE * json.loads(out)["pages_found"]


def main():
    p = arguments(__doc__)
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
        trace = Trace()
        resident = daemon.resident_bytes()

        def turn(user):
            histories[user] += questions[user]
            reply = daemon.post("/v1/completions", {"prompt": histories[user], "max_tokens": 8, "temperature": 0, "ignore_eos": True,
                                                    "return_tokens": True})
            histories[user] += reply["choices"][0]["tokens"]
            trace.add(histories[user][:-1])  # the last token is never computed

        with concurrent.futures.ThreadPoolExecutor(a.at_once) as pool:
            for _ in range(a.turns):
                order = rng.sample(range(a.users), a.users)
                questions = {u: [rng.randrange(10, a.vocab) for _ in range(40)] for u in order}
                list(pool.map(turn, order))
        for history in histories:
            distinct.update(hash(tuple(history[:i])) for i in range(1, len(history)))
        asked = daemon.metric("kvasir_prompt_tokens_total") + daemon.metric("kvasir_generated_tokens_total") - a.users * a.turns
        computed = asked - daemon.metric("kvasir_cached_tokens_total")
        n_pages = int(daemon.metric("kvasir_kv_pages"))
        print(f"{a.users} users, {a.turns} turns, budget {a.budget} tokens ({n_pages} pages) + {a.host} on the host, "
              f"{a.at_once} at once: {computed:.0f} tokens computed, ideal {len(distinct)}: {computed / len(distinct):.3f}; "
              f"memory grown by {(daemon.resident_bytes() - resident) / 2 ** 20:.1f} MiB, budget {budget / 2 ** 20:.1f} MiB "
              f"+ {a.host * bytes_per_token / 2 ** 20:.1f} on the host")
        simulated = {policy: trace.computed(a.bin, policy, n_pages + a.host // PAGE) for policy in ("kvasir", "lru", "fifo", "clairvoyant")}
        best = min(simulated[policy] for policy in ("kvasir", "lru", "fifo"))
        print("simulated: " + ", ".join(f"{policy} {tokens}" for policy, tokens in simulated.items()) + f"; {computed / best:.3f} of the best online policy")


if __name__ == "__main__":
    main()
