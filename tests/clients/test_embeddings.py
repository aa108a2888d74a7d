"""Embeddings: one vector an input, the same through every door and however it was computed."""
import array
import base64
import concurrent.futures
import json
import math
import sys
import unittest

from daemon import DaemonCase

CONTEXT = 512
DIM = 256
TEXTS = ["Once upon a time", "Once upon a time there was a fox", "The king had three daughters.", "Ünder — 🦊"]
LONG = "The fox went into the wood and the wolf went after him. " * 12


def floats_of(text):
    values = array.array("f", base64.b64decode(text))
    if sys.byteorder == "big":
        values.byteswap()
    return values.tolist()


def length_of(vector):
    return math.sqrt(sum(v * v for v in vector))


class Embeddings(DaemonCase):
    def embed(self, inputs, **fields):
        status, headers, body = self.daemon.post("/v1/embeddings", dict(fields, input=inputs))
        self.assertEqual((status, headers["content-type"]), (200, "application/json"), body)
        return body

    def vectors(self, inputs, **fields):
        data = self.embed(inputs, **fields)["data"]
        self.assertEqual([d["index"] for d in data], list(range(len(data))))
        return [d["embedding"] for d in data]

    def tokens(self, text):
        return self.daemon.post("/tokenize", {"content": text})[2]["tokens"]

    def test_the_shape_is_openais(self):
        body = self.embed(TEXTS, model="any", user="me")
        self.assertEqual((body["object"], len(body["data"])), ("list", len(TEXTS)))
        self.assertEqual(body["model"], self.daemon.get("/v1/models")[2]["data"][0]["id"])
        for entry in body["data"]:
            self.assertEqual(entry["object"], "embedding")
            self.assertEqual(len(entry["embedding"]), DIM)
            self.assertAlmostEqual(length_of(entry["embedding"]), 1, places=5)
        n = sum(len(self.tokens(text)) for text in TEXTS)
        self.assertEqual((body["usage"]["prompt_tokens"], body["usage"]["total_tokens"]), (n, n))
        self.assertEqual(len({tuple(d["embedding"]) for d in body["data"]}), len(TEXTS))

    def test_every_kind_of_input_gives_the_same_vector(self):
        for pooling in ("last", "mean"):
            alone = [self.vectors(text, pooling=pooling)[0] for text in TEXTS]
            ids = [self.tokens(text) for text in TEXTS]
            self.assertEqual(self.vectors(TEXTS, pooling=pooling), alone)
            self.assertEqual(self.vectors(ids, pooling=pooling), alone)
            self.assertEqual(self.vectors(ids[1], pooling=pooling), [alone[1]])
        self.assertNotEqual(self.vectors(LONG, pooling="mean"), self.vectors(LONG, pooling="last"))
        self.assertEqual(self.vectors(LONG), self.vectors(LONG, pooling="last"))

    def test_base64_and_floats_are_equal(self):
        for dimensions in (None, 1, 100, DIM):
            plain = self.vectors(TEXTS, dimensions=dimensions)
            coded = self.vectors(TEXTS, dimensions=dimensions, encoding_format="base64")
            self.assertEqual([array.array("f", v).tolist() for v in plain], [floats_of(v) for v in coded])
            for vector in plain:
                self.assertEqual(len(vector), dimensions or DIM)
                self.assertAlmostEqual(length_of(vector), 1, places=5)

    def test_fewer_dimensions_are_the_first_ones_at_length_one_again(self):
        whole = self.vectors(TEXTS[2])[0]
        cut = self.vectors(TEXTS[2], dimensions=32)[0]
        scale = length_of(whole[:32])
        for got, wanted in zip(cut, whole):
            self.assertAlmostEqual(got, wanted / scale, places=6)

    def test_the_cache_changes_nothing_but_what_is_computed(self):
        text = "A tale that nobody has told. " + LONG
        for pooling in ("last", "mean"):
            first = self.embed(text, pooling=pooling, cache_salt="cold-" + pooling)
            self.assertEqual(first["usage"]["prompt_tokens_details"]["cached_tokens"], 0)
            again = self.embed(text, pooling=pooling, cache_salt="cold-" + pooling)
            cached = again["usage"]["prompt_tokens_details"]["cached_tokens"]
            self.assertEqual(cached, first["usage"]["prompt_tokens"] - 1 if pooling == "last" else 0)
            self.assertEqual(again["data"], first["data"])
            other = self.embed(text, pooling=pooling, cache_salt="another-" + pooling)
            self.assertEqual(other["usage"]["prompt_tokens_details"]["cached_tokens"], 0)
            self.assertEqual(other["data"], first["data"])

    def test_what_was_generated_from_is_not_embedded_anew(self):
        prompt = "Snow fell for seven days. " + LONG
        self.daemon.post("/v1/completions", {"prompt": prompt, "max_tokens": 1, "session_id": "winter"})
        body = self.embed(prompt, session_id="winter")
        self.assertGreaterEqual(body["usage"]["prompt_tokens_details"]["cached_tokens"], 64)
        sessions = self.daemon.get("/v1/sessions")[2]["data"]
        self.assertIn("winter", [s["id"] for s in sessions])
        self.assertEqual(self.daemon.request("DELETE", "/v1/sessions/winter")[0], 200)

    def test_two_hundred_inputs_in_company_are_what_each_is_alone(self):
        inputs = ["Tale number %d of the %s" % (i, "fox" if i % 2 else "wolf") for i in range(200)]
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            story = pool.submit(self.daemon.post, "/v1/completions",
                                {"prompt": "Once", "max_tokens": 60, "temperature": 0, "ignore_eos": True})
            others = pool.submit(self.vectors, inputs[::-1], pooling="mean")
            vectors = self.vectors(inputs)
            self.assertEqual(story.result()[2]["usage"]["completion_tokens"], 60)
            self.assertEqual(others.result()[0], self.vectors(inputs[-1], pooling="mean")[0])
        self.assertEqual(len(vectors), 200)
        for i in (0, 17, 199):
            self.assertEqual(self.vectors(inputs[i])[0], vectors[i])

    def test_ollamas_routes_give_the_same_vectors(self):
        wanted = self.vectors(TEXTS)
        status, _, body = self.daemon.post("/api/embed", {"model": "any", "input": TEXTS, "keep_alive": "5m",
                                                          "options": {"num_ctx": 256}})
        self.assertEqual(status, 200, body)
        self.assertEqual(body["embeddings"], wanted)
        self.assertEqual(body["prompt_eval_count"], sum(len(self.tokens(text)) for text in TEXTS))
        self.assertGreater(body["total_duration"], 0)
        self.assertEqual(body["load_duration"], 0)
        one = self.daemon.post("/api/embed", {"input": TEXTS[0], "dimensions": 7})[2]["embeddings"]
        self.assertEqual(one, self.vectors(TEXTS[0], dimensions=7))
        status, _, body = self.daemon.post("/api/embeddings", {"model": "any", "prompt": TEXTS[1]})
        self.assertEqual((status, body), (200, {"embedding": wanted[1]}))
        self.assertEqual(self.daemon.post("/api/embed", {"model": "any"})[2]["embeddings"], [])

    def test_too_long_is_an_error_or_cut(self):
        for inputs in ([5] * (CONTEXT + 1), [[5], [5] * (CONTEXT + 1)], "word " * 5000, "x" * 4000000):
            status, _, body = self.daemon.post("/v1/embeddings", {"input": inputs})
            self.assertEqual((status, body["error"]["code"]), (400, "context_length_exceeded"), body)
            self.assertEqual(body["error"]["param"].split("[")[0], "input")
        self.assertEqual(len(self.vectors([5] * CONTEXT)[0]), DIM)
        longer = "once upon a time " * 400
        cut = self.daemon.post("/api/embed", {"input": longer})[2]
        self.assertEqual(cut["prompt_eval_count"], CONTEXT)
        self.assertEqual(cut["embeddings"], self.vectors(self.tokens(longer)[:CONTEXT]))
        status, _, body = self.daemon.post("/api/embed", {"input": longer, "truncate": False})
        self.assertEqual((status, list(body)), (400, ["error"]), body)

    def test_wrong_fields_are_named(self):
        for field, value in (("input", None), ("input", ""), ("input", []), ("input", ["a", ""]), ("input", 7),
                             ("input", {"a": 1}), ("input", [1, "a"]), ("input", ["a", 1]), ("input", [-1]),
                             ("input", [4096]), ("input", ["a"] * 2049), ("encoding_format", "int8"),
                             ("dimensions", 0), ("dimensions", DIM + 1), ("dimensions", "8"), ("dimensions", 1e300),
                             ("pooling", "cls"), ("user", 7), ("model", []), ("stream", True),
                             ("session_id", ""), ("cache_salt", 1)):
            status, _, body = self.daemon.post("/v1/embeddings", dict({"input": "x"}, **{field: value}))
            self.assertEqual(status, 400, body)
            self.assertEqual(body["error"]["type"], "invalid_request_error")
            self.assertEqual(body["error"]["param"].split("[")[0], field, body)
        for body in (b"{", b"", b"[]", b"\xff", b'{"input":"\xff\xfe"}', b'{"input":"\\ud800"}', b"[" * 100000):
            for path in ("/v1/embeddings", "/api/embed", "/api/embeddings"):
                self.assertEqual(self.daemon.post(path, body)[0], 400)

    def test_a_client_that_leaves_takes_its_inputs_along(self):
        before = self.daemon.metric("kvasir_requests_total")
        raw = self.daemon.raw()
        data = json.dumps({"input": [LONG + str(i) for i in range(500)], "cache_salt": "left"}).encode()
        raw.sendall(b"POST /v1/embeddings HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(data) + data)
        self.assertTrue(self.daemon.eventually(lambda: self.daemon.metric("kvasir_requests_total") > before))
        raw.close()
        self.assertTrue(self.daemon.eventually(lambda: self.daemon.metric("kvasir_requests_running") == 0))
        self.assertLess(self.daemon.metric("kvasir_requests_total"), before + 500)


if __name__ == "__main__":
    unittest.main()
