"""What clients rely on: shapes, streams, seeds, errors by name."""
import concurrent.futures
import unittest

from daemon import DaemonCase

CONTEXT = 512


class Api(DaemonCase):
    def complete(self, **fields):
        status, _, body = self.daemon.post("/v1/completions", fields)
        self.assertEqual(status, 200, body)
        return body

    def test_models_and_health(self):
        self.assertEqual(self.daemon.get("/health")[2], {"status": "ok"})
        models = self.daemon.get("/v1/models")[2]
        self.assertEqual(models["object"], "list")
        self.assertEqual(models["data"][0]["meta"]["n_ctx"], CONTEXT)

    def test_whole_and_streamed_texts_are_equal(self):
        fields = {"prompt": "Once upon a time", "max_tokens": 60, "temperature": 0, "return_tokens": True}
        whole = self.complete(**fields)
        choice = whole["choices"][0]
        self.assertEqual(len(choice["tokens"]), whole["usage"]["completion_tokens"])
        events = list(self.daemon.stream("/v1/completions", dict(fields, stream_options={"include_usage": True})))
        self.assertEqual(events[-1], "[DONE]")
        usage, parts = events[-2], events[:-2]
        self.assertEqual("".join(p["choices"][0]["text"] for p in parts), choice["text"])
        self.assertEqual(sum((p["choices"][0].get("tokens", []) for p in parts), []), choice["tokens"])
        self.assertEqual(parts[-1]["choices"][0]["finish_reason"], choice["finish_reason"])
        for name in ("prompt_tokens", "completion_tokens", "total_tokens"):
            self.assertEqual(usage["usage"][name], whole["usage"][name])
        self.assertEqual(usage["timings"]["predicted_n"], whole["usage"]["completion_tokens"])

    def test_chat_streams_a_role_and_then_text(self):
        body = {"messages": [{"role": "user", "content": "Tell me a story."}], "max_tokens": 20, "temperature": 0}
        status, _, whole = self.daemon.post("/v1/chat/completions", body)
        self.assertEqual(status, 200, whole)
        events = list(self.daemon.stream("/v1/chat/completions", body))
        deltas = [e["choices"][0]["delta"] for e in events[:-1]]
        self.assertEqual(deltas[0]["role"], "assistant")
        self.assertEqual("".join(d.get("content", "") for d in deltas), whole["choices"][0]["message"]["content"])

    def test_a_seed_gives_the_same_text_again(self):
        fields = {"prompt": "The wolf", "max_tokens": 40, "temperature": 1.0, "seed": 7}
        first = self.complete(**fields)["choices"][0]["text"]
        self.assertEqual(self.complete(**fields)["choices"][0]["text"], first)
        others = {self.complete(**dict(fields, seed=seed))["choices"][0]["text"] for seed in range(8, 12)}
        self.assertNotEqual(others, {first})

    def test_choices_differ_and_repeat(self):
        fields = {"prompt": "The fox", "max_tokens": 30, "temperature": 1.0, "seed": 3, "n": 3}
        texts = [c["text"] for c in self.complete(**fields)["choices"]]
        self.assertEqual(len(set(texts)), 3)
        self.assertEqual([c["text"] for c in self.complete(**fields)["choices"]], texts)

    def test_a_stop_string_is_not_part_of_the_text(self):
        greedy = {"prompt": "Once upon a time", "max_tokens": 60, "temperature": 0}
        text = self.complete(**greedy)["choices"][0]["text"]
        stop = text[10:14]
        choice = self.complete(**dict(greedy, stop=stop))["choices"][0]
        self.assertEqual(choice["text"], text[:text.index(stop)])
        self.assertEqual(choice["finish_reason"], "stop")

    def test_logit_bias_forces_a_token(self):
        choice = self.complete(prompt="a", max_tokens=5, logit_bias={"300": 100}, temperature=0, return_tokens=True,
                               ignore_eos=True)["choices"][0]
        self.assertEqual(choice["tokens"], [300] * 5)

    def test_logprobs_are_of_the_chosen_token(self):
        choice = self.complete(prompt="Once upon a", max_tokens=4, temperature=0, logprobs=3)["choices"][0]
        for i, token in enumerate(choice["logprobs"]["tokens"]):
            top = choice["logprobs"]["top_logprobs"][i]
            self.assertEqual(len(top), 3)
            self.assertAlmostEqual(top[token], choice["logprobs"]["token_logprobs"][i], places=5)
            self.assertAlmostEqual(max(top.values()), top[token], places=5)

    def test_the_context_ends_a_text(self):
        body = self.complete(prompt="Once", max_tokens=100000, ignore_eos=True, temperature=0)
        self.assertEqual(body["choices"][0]["finish_reason"], "length")
        self.assertLessEqual(body["usage"]["total_tokens"], CONTEXT + 1)

    def test_a_prompt_over_the_context(self):
        for prompt in ([5] * (CONTEXT + 1), [5] * CONTEXT, "word " * 5000, "x" * 4000000):
            status, _, body = self.daemon.post("/v1/completions", {"prompt": prompt})
            self.assertEqual(status, 400)
            self.assertEqual(body["error"]["code"], "context_length_exceeded")
            self.assertEqual(body["error"]["param"], "prompt")

    def test_tokens_there_and_back(self):
        text = "Once upon a time — „Ünder“ 🦊\n\n  two  spaces"
        tokens = self.daemon.post("/tokenize", {"content": text})[2]["tokens"]
        self.assertEqual(self.daemon.post("/detokenize", {"tokens": tokens})[2]["content"], text)
        from_text = self.complete(prompt=text, max_tokens=8, temperature=0)
        from_ids = self.complete(prompt=tokens, max_tokens=8, temperature=0)
        self.assertEqual(from_text["choices"][0]["text"], from_ids["choices"][0]["text"])

    def test_wrong_fields_are_named(self):
        for field, value in (("temperature", -1), ("temperature", "hot"), ("max_tokens", 0), ("n", 0),
                             ("top_p", 2), ("stop", ["x"] * 10000), ("logit_bias", {"a": 1}), ("seed", 1.5),
                             ("prompt", None), ("prompt", {"a": 1}), ("stream", "yes"),
                             ("response_format", {"type": "xml"}), ("suffix", "end")):
            status, _, body = self.daemon.post("/v1/completions", {"prompt": "x", field: value})
            self.assertEqual((status, body["error"]["param"].split(".")[0]), (400, field), body)

    def test_bodies_that_are_no_json_in_utf8(self):
        for body in (b"{", b"", b"[]", b"\xff", b'{"prompt":"\xff\xfe"}', b'{"prompt":"\\ud800"}', b"[" * 100000):
            for path in ("/v1/completions", "/v1/chat/completions", "/tokenize", "/detokenize"):
                status, _, answer = self.daemon.post(path, body)
                self.assertIn(status, (400,), answer)
                self.assertEqual(answer["error"]["type"], "invalid_request_error")

    def test_twenty_at_once_get_what_each_would_get_alone(self):
        prompts = ["The %s went" % who for who in ("king", "queen", "wolf", "fox", "bear")] * 4
        fields = {"max_tokens": 24, "temperature": 0}
        alone = {p: self.complete(prompt=p, **fields)["choices"][0]["text"] for p in set(prompts)}
        with concurrent.futures.ThreadPoolExecutor(20) as pool:
            texts = list(pool.map(lambda p: self.complete(prompt=p, **fields)["choices"][0]["text"], prompts))
        self.assertEqual(texts, [alone[p] for p in prompts])

    def test_metrics_count(self):
        before = self.daemon.metric("kvasir_generated_tokens_total")
        n = self.complete(prompt="x", max_tokens=7, ignore_eos=True)["usage"]["completion_tokens"]
        self.assertTrue(self.daemon.eventually(
            lambda: self.daemon.metric("kvasir_generated_tokens_total") == before + n))


if __name__ == "__main__":
    unittest.main(verbosity=2)
