"""Ollama's routes and OpenAI's responses: the same engine, the same texts, their own shapes."""
import concurrent.futures
import json
import socket
import unittest

from daemon import DaemonCase, whole_request

CONTEXT = 512
MESSAGES = [{"role": "system", "content": "You tell tales."}, {"role": "user", "content": "A tale of a fox, please."}]
SEEDED = {"temperature": 0.9, "top_p": 0.95, "top_k": 50, "seed": 7}


class Doors(DaemonCase):
    def post(self, path, body):
        status, _, answer = self.daemon.post(path, body)
        self.assertEqual(status, 200, answer)
        return answer

    def lines(self, path, body):
        status, headers, data = self.daemon.post(path, body)
        self.assertEqual((status, headers["content-type"]), (200, "application/x-ndjson"), data)
        self.assertTrue(data.endswith(b"\n"))
        return [json.loads(line) for line in data.splitlines()]

    def events(self, body):
        status, headers, data = self.daemon.post("/v1/responses", dict(body, stream=True))
        self.assertEqual(status, 200, data)
        self.assertTrue(headers["content-type"].startswith("text/event-stream"))
        events = []
        for block in data.decode().split("\n\n")[:-1]:
            name, payload = block.split("\n", 1)
            events.append(json.loads(payload[len("data: "):]))
            self.assertEqual(name, "event: " + events[-1]["type"])
        self.assertEqual([e["sequence_number"] for e in events], list(range(len(events))))
        return events

    def test_one_seed_gives_one_text_through_every_door(self):
        n = 40
        chat = self.post("/v1/chat/completions", dict(SEEDED, messages=MESSAGES, max_tokens=n))
        text = chat["choices"][0]["message"]["content"]
        self.assertGreater(len(text), 20)
        ollama = {"messages": MESSAGES, "options": dict(SEEDED, num_predict=n)}
        whole = self.post("/api/chat", dict(ollama, stream=False))
        self.assertEqual(whole["message"], {"role": "assistant", "content": text})
        lines = self.lines("/api/chat", ollama)
        self.assertEqual("".join(line["message"]["content"] for line in lines), text)
        generate = {"system": MESSAGES[0]["content"], "prompt": MESSAGES[1]["content"],
                    "options": dict(SEEDED, num_predict=n)}
        self.assertEqual(self.post("/api/generate", dict(generate, stream=False))["response"], text)
        lines = self.lines("/api/generate", generate)
        self.assertEqual("".join(line["response"] for line in lines), text)
        responses = dict(SEEDED, instructions=MESSAGES[0]["content"], input=MESSAGES[1]["content"],
                         max_output_tokens=n)
        answer = self.post("/v1/responses", responses)
        self.assertEqual(answer["output"][0]["content"][0]["text"], text)
        events = self.events(responses)
        self.assertEqual("".join(e["delta"] for e in events if e["type"] == "response.output_text.delta"), text)
        self.assertEqual(events[-1]["response"]["output"][0]["content"][0]["text"], text)
        raw = {"prompt": "Once upon a time", "raw": True, "stream": False,
               "options": dict(SEEDED, num_predict=n)}
        completion = self.post("/v1/completions", dict(SEEDED, prompt="Once upon a time", max_tokens=n))
        self.assertEqual(self.post("/api/generate", raw)["response"], completion["choices"][0]["text"])

    def test_figures_of_an_ollama_answer(self):
        body = {"prompt": "Once upon a time", "options": {"num_predict": 12, "temperature": 0}}
        for last in (self.post("/api/generate", dict(body, stream=False)), self.lines("/api/generate", body)[-1]):
            self.assertEqual((last["done"], last["done_reason"], last["eval_count"]), (True, "length", 12))
            self.assertEqual(len(last["context"]), last["prompt_eval_count"] + last["eval_count"])
            self.assertGreater(last["eval_duration"], 0)
            self.assertGreaterEqual(last["total_duration"], last["prompt_eval_duration"] + last["eval_duration"])
            self.assertEqual(last["load_duration"], 0)

    def test_a_context_is_found_in_the_cache_and_decides_the_text(self):
        options = {"num_predict": 40, "temperature": 0}
        first = self.post("/api/generate", {"prompt": "Tell me of a wolf.", "stream": False, "options": options})
        follow = {"prompt": "And then?", "stream": False, "options": options, "context": first["context"]}
        cached = self.daemon.metric("kvasir_cached_tokens_total")
        second = self.post("/api/generate", follow)
        self.assertGreater(second["prompt_eval_count"], len(first["context"]))
        self.assertEqual(second["context"][:len(first["context"])], first["context"])
        self.assertTrue(self.daemon.eventually(
            lambda: self.daemon.metric("kvasir_cached_tokens_total") >= cached + first["prompt_eval_count"]))
        self.assertEqual(self.post("/api/generate", follow)["response"], second["response"])

    def test_a_context_ends_with_the_token_that_ended_the_turn(self):
        ends = [self.daemon.post("/tokenize", {"content": text})[2]["tokens"] for text in
                ("<|im_end|>", "<|endoftext|>")]
        for seed in range(40):
            answer = self.post("/api/generate", {"prompt": "Say one word.", "stream": False,
                                                 "options": {"seed": seed, "temperature": 2, "num_predict": 200}})
            if answer["done_reason"] == "stop":
                self.assertEqual(len(answer["context"]), answer["prompt_eval_count"] + answer["eval_count"])
                self.assertIn(answer["context"][-1:], ends)
                return
        self.skipTest("the model never ended its turn")

    def test_a_session_is_one_session_through_every_door(self):
        for path, body in (("/api/chat", {"messages": MESSAGES, "stream": False, "options": {"num_predict": 4}}),
                           ("/v1/responses", {"input": "A tale.", "max_output_tokens": 4})):
            name = "doors" + path.replace("/", "-")
            connection = self.daemon.connection()
            connection.request("POST", path, json.dumps(body), {"X-Session-Id": name})
            self.assertEqual(connection.getresponse().status, 200)
            connection.close()
            self.assertEqual(self.daemon.get("/v1/sessions/" + name)[0], 200)
        self.post("/v1/responses", {"input": "A tale.", "max_output_tokens": 4, "prompt_cache_key": "by-key"})
        self.post("/v1/responses", {"input": "A tale.", "max_output_tokens": 4, "prompt_cache_key": "by-key"})
        again = self.post("/v1/responses", {"input": "A tale.", "max_output_tokens": 4, "prompt_cache_key": "by-key"})
        self.assertGreater(again["usage"]["input_tokens_details"]["cached_tokens"], 0)
        self.assertEqual(self.daemon.get("/v1/sessions/by-key")[0], 200)

    def test_the_context_ends_a_text(self):
        last = self.post("/api/generate", {"prompt": "Once", "raw": True, "stream": False,
                                           "options": {"num_predict": -1, "temperature": 0}})
        self.assertLessEqual(last["prompt_eval_count"] + last["eval_count"], CONTEXT + 1)
        for n_predict in (-1, -2):
            self.assertEqual(self.post("/api/generate", {
                "prompt": "Once", "raw": True, "stream": False,
                "options": {"num_predict": n_predict, "temperature": 0}})["response"], last["response"])

    def test_a_long_chat_is_cut_or_refused(self):
        turns = [{"role": role, "content": "The fox went on. " * 20} for role in ("user", "assistant")] * 6
        turns.append({"role": "user", "content": "And then?"})
        body = {"messages": turns, "stream": False, "options": {"num_predict": 4}}
        self.assertLess(self.post("/api/chat", body)["prompt_eval_count"], CONTEXT)
        status, _, answer = self.daemon.post("/api/chat", dict(body, truncate=False))
        self.assertEqual(status, 400)
        self.assertIn("tokens", answer["error"])
        items = {"input": turns, "max_output_tokens": 4}
        self.assertLess(self.post("/v1/responses", dict(items, truncation="auto"))["usage"]["input_tokens"], CONTEXT)
        status, _, answer = self.daemon.post("/v1/responses", items)
        self.assertEqual((status, answer["error"]["code"]), (400, "context_length_exceeded"))

    def test_the_model_is_listed(self):
        name = self.daemon.get("/v1/models")[2]["data"][0]["id"]
        tags = self.daemon.get("/api/tags")[2]["models"]
        self.assertEqual([m["name"] for m in tags], [name])
        self.assertEqual(tags[0]["details"]["family"], "llama")
        self.assertGreater(tags[0]["size"], 1000000)
        running = self.daemon.get("/api/ps")[2]["models"][0]
        self.assertEqual((running["name"], running["context_length"]), (name, CONTEXT))
        show = self.post("/api/show", {"model": name})
        self.assertEqual(show["model_info"]["general.architecture"], "llama")
        self.assertEqual(show["model_info"]["llama.context_length"], CONTEXT)
        self.assertIn("version", self.daemon.get("/api/version")[2])

    def test_formats_hold_through_every_door(self):
        schema = {"type": "object", "properties": {"who": {"enum": ["fox", "king"]}, "n": {"type": "integer", "minimum": 1, "maximum": 9}},
                  "required": ["who", "n"], "additionalProperties": False}

        def check(text):
            value = json.loads(text)
            self.assertEqual(sorted(value), ["n", "who"])
            self.assertIn(value["who"], ("fox", "king"))
            self.assertIn(value["n"], range(1, 10))

        options = {"num_predict": 60, "seed": 3}
        check(self.post("/api/generate", {"prompt": "A", "format": schema, "options": options, "stream": False})["response"])
        check(self.post("/api/chat", {"messages": MESSAGES, "format": schema, "options": options, "stream": False})["message"]["content"])
        answer = self.post("/v1/responses", {"input": "A", "max_output_tokens": 60,
                                             "text": {"format": {"type": "json_schema", "name": "animal", "schema": schema}}})
        check(answer["output"][0]["content"][0]["text"])

    def test_errors_have_their_doors_shape(self):
        for path, body, field in (("/api/chat", {"messages": "x"}, "messages"),
                                  ("/api/chat", {"messages": MESSAGES, "tools": [{}]}, "tools[0].type"),
                                  ("/api/generate", {"prompt": "x", "format": "yaml"}, "format"),
                                  ("/api/generate", {"prompt": "x", "options": {"top_k": "x"}}, "options.top_k")):
            status, _, answer = self.daemon.post(path, body)
            self.assertEqual(status, 400, answer)
            self.assertEqual(list(answer), ["error"])
            self.assertTrue(answer["error"].startswith(field + ":"), answer)
        for body in (b"{", b"", b"[]", b"\xff", b'{"prompt":"\xff\xfe"}', b"[" * 100000):
            for path in ("/api/chat", "/api/generate", "/api/show"):
                status, _, answer = self.daemon.post(path, body)
                self.assertEqual((status, list(answer), type(answer["error"])), (400, ["error"], str))
            status, _, answer = self.daemon.post("/v1/responses", body)
            self.assertEqual((status, answer["error"]["type"]), (400, "invalid_request_error"))
        self.assertEqual(self.daemon.get("/api/none")[2], {"error": "GET /api/none: no such route"})

    def test_a_client_that_leaves_frees_its_place(self):
        for path, body in (("/api/generate", {"prompt": "x", "raw": True}),
                           ("/v1/responses", {"input": "x", "stream": True})):
            sock = self.daemon.raw()
            sock.sendall(whole_request(body, path))
            self.assertTrue(sock.recv(1))
            sock.shutdown(socket.SHUT_RDWR)
            sock.close()
        self.assertTrue(self.daemon.eventually(lambda: self.daemon.metric("kvasir_requests_running") == 0))

    def test_doors_at_once_get_what_each_would_get_alone(self):
        options = {"temperature": 0, "num_predict": 16}
        calls = [lambda: self.post("/api/chat", {"messages": MESSAGES, "stream": False, "options": options})["message"],
                 lambda: self.lines("/api/generate", {"prompt": "The king", "options": options})[-1]["context"],
                 lambda: self.post("/v1/responses", {"input": "The wolf", "temperature": 0, "max_output_tokens": 16})
                 ["output"][0]["content"]]
        alone = [call() for call in calls]
        with concurrent.futures.ThreadPoolExecutor(12) as pool:
            self.assertEqual(list(pool.map(lambda call: call(), calls * 4)), alone * 4)


if __name__ == "__main__":
    unittest.main(verbosity=2)
