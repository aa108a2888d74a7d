"""Constrained output over the socket: JSON objects, JSON Schema, GBNF."""
import json
import unittest

from daemon import DaemonCase

RECORD = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "minLength": 1, "maxLength": 12},
        "age": {"type": "integer", "minimum": 0, "maximum": 150},
        "kind": {"enum": ["wolf", "fox", "bear"]},
        "tags": {"type": "array", "items": {"type": "string", "pattern": "^[a-z]{2,6}$"}, "minItems": 1, "maxItems": 3},
        "home": {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/place"}]},
    },
    "required": ["name", "age", "kind", "tags", "home"],
    "additionalProperties": False,
    "$defs": {"place": {"type": "object", "properties": {"since": {"type": "string", "format": "date"}},
                        "required": ["since"], "additionalProperties": False}},
}


class Constrained(DaemonCase):
    def post(self, path="/v1/completions", **fields):
        if path == "/v1/completions":
            fields.setdefault("prompt", "Once upon a time")
        status, _, body = self.daemon.post(path, fields)
        self.assertEqual(status, 200, body)
        return body

    def check_record(self, record):
        self.assertEqual(list(record), ["name", "age", "kind", "tags", "home"])
        self.assertTrue(1 <= len(record["name"]) <= 12, record)
        self.assertIs(type(record["age"]), int)
        self.assertTrue(0 <= record["age"] <= 150, record)
        self.assertIn(record["kind"], ("wolf", "fox", "bear"))
        self.assertTrue(1 <= len(record["tags"]) <= 3, record)
        for tag in record["tags"]:
            self.assertRegex(tag, "^[a-z]{2,6}$")
        if record["home"] is not None:
            self.assertEqual(list(record["home"]), ["since"])
            self.assertRegex(record["home"]["since"], r"^\d{4}-\d\d-\d\d$")

    def test_objects_are_json_or_honestly_cut(self):
        ends = {"stop": 0, "length": 0}
        for seed in range(24):
            body = self.post(response_format={"type": "json_object"}, max_tokens=100, seed=seed, temperature=1)
            choice = body["choices"][0]
            ends[choice["finish_reason"]] += 1
            if choice["finish_reason"] == "stop":
                self.assertIsInstance(json.loads(choice["text"]), dict)
            else:
                self.assertEqual(body["usage"]["completion_tokens"], 100)
                with self.assertRaises(ValueError):
                    json.loads(choice["text"])
        self.assertGreater(ends["stop"], 0)

    def test_schemas_are_satisfied_at_every_seed(self):
        format = {"type": "json_schema", "json_schema": {"name": "record", "schema": RECORD, "strict": True}}
        for seed in range(24):
            body = self.post(response_format=format, max_tokens=300, seed=seed, temperature=1)
            self.assertEqual(body["choices"][0]["finish_reason"], "stop")
            self.check_record(json.loads(body["choices"][0]["text"]))

    def test_in_a_chat_and_as_a_stream_and_in_llama_servers_words(self):
        messages = [{"role": "user", "content": "A wolf, please."}]
        format = {"type": "json_schema", "json_schema": {"name": "record", "schema": RECORD}}
        body = self.post("/v1/chat/completions", messages=messages, response_format=format, max_tokens=300, n=3)
        for choice in body["choices"]:
            self.check_record(json.loads(choice["message"]["content"]))
        self.check_record(json.loads(self.post(json_schema=RECORD, max_tokens=300)["choices"][0]["text"]))
        body = self.post(response_format={"type": "json_object", "schema": RECORD}, max_tokens=300)
        self.check_record(json.loads(body["choices"][0]["text"]))

    def test_grammars(self):
        for seed in range(8):
            body = self.post(grammar='root ::= ("the " [a-z]{3,7} " ")+ [0-9]{2} "."', max_tokens=200, seed=seed)
            if body["choices"][0]["finish_reason"] == "stop":
                self.assertRegex(body["choices"][0]["text"], r"^(the [a-z]{3,7} )+[0-9]{2}\.$")
        body = self.post(grammar='root ::= "yes" | "no"', max_tokens=50, n=4, temperature=2)
        for choice in body["choices"]:
            self.assertIn(choice["text"], ("yes", "no"))
            self.assertEqual(choice["finish_reason"], "stop")
        body = self.post(grammar='root ::= "é🦊日本"', max_tokens=50)
        self.assertEqual(body["choices"][0]["text"], "é🦊日本")
        body = self.post(grammar='root ::= ""', max_tokens=50)
        self.assertEqual((body["choices"][0]["text"], body["choices"][0]["finish_reason"]), ("", "stop"))

    def test_the_grammars_end_is_the_end_even_where_ends_are_ignored(self):
        body = self.post(grammar='root ::= [a-z ]{40} [0-9]?', max_tokens=200, ignore_eos=True)
        self.assertEqual(body["choices"][0]["finish_reason"], "stop")
        self.assertRegex(body["choices"][0]["text"], "^[a-z ]{40}[0-9]$")

    def test_reported_probabilities_are_the_models_own(self):
        free = self.post(max_tokens=1, logprobs=5, temperature=0)["choices"][0]["logprobs"]
        bound = self.post(max_tokens=1, logprobs=5, temperature=0, grammar='root ::= "zzz"')["choices"][0]["logprobs"]
        self.assertEqual(free["top_logprobs"], [{k: v for k, v in bound["top_logprobs"][0].items()
                                                 if k in free["top_logprobs"][0]}])
        self.assertLess(bound["token_logprobs"][0], free["token_logprobs"][0])

    def test_constrained_and_free_texts_at_the_same_time(self):
        free = {"max_tokens": 20, "temperature": 0}
        alone = self.post(**free)["choices"][0]["text"]
        import concurrent.futures
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            texts = [pool.submit(self.post, **free) for _ in range(4)]
            records = [pool.submit(self.post, json_schema=RECORD, max_tokens=300, seed=i) for i in range(4)]
            for text in texts:
                self.assertEqual(text.result()["choices"][0]["text"], alone)
            for record in records:
                self.check_record(json.loads(record.result()["choices"][0]["text"]))

    def test_what_cannot_be_kept_is_refused_with_its_place(self):
        cases = [
            ({"json_schema": {"type": "array", "uniqueItems": True}}, "json_schema.uniqueItems"),
            ({"json_schema": {"properties": {"a": {"if": {}}}}}, "json_schema.properties.a.if"),
            ({"json_schema": {"type": "string", "format": "colour"}}, "json_schema.format"),
            ({"json_schema": {"$ref": "https://example.org/x"}}, "json_schema.$ref"),
            ({"json_schema": {"oneOf": [{"type": "number"}, {"type": "integer"}]}}, "json_schema.oneOf"),
            ({"json_schema": {"type": "string", "pattern": "^(?!a)"}}, "json_schema.pattern"),
            ({"response_format": {"type": "json_schema", "json_schema": {"schema": {"not": {}}}}},
             "response_format.json_schema.schema.not"),
            ({"grammar": "root ::= ["}, "grammar"),
        ]
        for path in ("/v1/completions", "/v1/chat/completions"):
            for fields, param in cases:
                fields = dict(fields, prompt="x", messages=[{"role": "user", "content": "x"}])
                status, _, body = self.daemon.post(path, fields)
                self.assertEqual((status, body["error"]["param"]), (400, param), body)


if __name__ == "__main__":
    unittest.main()
