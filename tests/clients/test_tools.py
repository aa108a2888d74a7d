#!/usr/bin/env python3
"""Function calls: a model with a template of its own is told of tools, and must call one."""
import json
import os
import struct
import tempfile
import unittest

from daemon import DaemonCase

TEMPLATE = ("{% if tools %}<|im_start|>system\nTools: {{ tools | tojson }} answer with <tool_call>{% endif %}"
            "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content or '' }}"
            "{% for c in m.tool_calls or [] %}<tool_call>{{ c.function | tojson }}</tool_call>{% endfor %}<|im_end|>\n{% endfor %}"
            "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}")

TOOLS = [{"type": "function", "function": {"name": "look", "description": "Look somewhere.", "parameters": {
    "type": "object", "properties": {"at": {"enum": ["sea", "hill"]}, "times": {"type": "integer", "minimum": 1, "maximum": 3}},
    "required": ["at", "times"], "additionalProperties": False}}},
    {"type": "function", "function": {"name": "sleep"}}]
MESSAGES = [{"role": "user", "content": "Look at the sea."}]


def with_template(source, target, template):
    """A copy of a GGUF file with another template. Tensors keep their offsets within the data, which stays aligned."""
    with open(source, "rb") as file:
        data = file.read()
    magic, version, n_tensors, n_keys = struct.unpack_from("<4sIQQ", data)
    at = 24
    sizes = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}

    def skip_string(at):
        return at + 8 + struct.unpack_from("<Q", data, at)[0]

    def skip_value(at, kind):
        if kind == 8:
            return skip_string(at)
        if kind != 9:
            return at + sizes[kind]
        kind, n = struct.unpack_from("<IQ", data, at)
        at += 12
        for _ in range(n):
            at = skip_value(at, kind)
        return at

    kept = []
    for _ in range(n_keys):
        begin = at
        at = skip_string(at)
        key = data[begin + 8:at]
        at = skip_value(at + 4, struct.unpack_from("<I", data, at)[0])
        if key != b"tokenizer.chat_template":
            kept.append(data[begin:at])
    keys_end = at
    for _ in range(n_tensors):
        at = skip_string(at)
        at += 4 + 8 * struct.unpack_from("<I", data, at)[0] + 12
    data_begin = (at + 31) // 32 * 32

    def text(value):
        return struct.pack("<Q", len(value)) + value

    head = struct.pack("<4sIQQ", magic, version, n_tensors, len(kept) + 1) + b"".join(kept)
    head += text(b"tokenizer.chat_template") + struct.pack("<I", 8) + text(template.encode()) + data[keys_end:at]
    with open(target, "wb") as file:
        file.write(head + bytes(-len(head) % 32) + data[data_begin:])


class Tools(DaemonCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.TemporaryDirectory()
        cls.model = os.path.join(cls.directory.name, "tools.gguf")
        with_template(os.environ["KVASIR_TEST_MODEL"], cls.model, TEMPLATE)
        super().setUpClass()

    @classmethod
    def tearDownClass(cls):
        super().tearDownClass()
        cls.directory.cleanup()

    def chat(self, status=200, **fields):
        found, _, answer = self.daemon.post("/v1/chat/completions", dict({"messages": MESSAGES, "max_tokens": 80, "seed": 5}, **fields))
        self.assertEqual(found, status, answer)
        return answer

    def check_call(self, call, names):
        self.assertEqual(call["type"], "function")
        self.assertTrue(call["id"].startswith("call_"))
        self.assertIn(call["function"]["name"], names)
        arguments = json.loads(call["function"]["arguments"])
        if call["function"]["name"] == "sleep":
            self.assertEqual(arguments, {})
        else:
            self.assertIn(arguments["at"], ("sea", "hill"))
            self.assertIn(arguments["times"], (1, 2, 3))

    def test_a_required_call_is_made_and_its_result_taken_back(self):
        for seed in range(4):
            choice = self.chat(tools=TOOLS, tool_choice="required", seed=seed)["choices"][0]
            self.assertEqual(choice["finish_reason"], "tool_calls")
            self.assertIsNone(choice["message"]["content"])
            self.assertEqual(len(choice["message"]["tool_calls"]), 1)
            self.check_call(choice["message"]["tool_calls"][0], ("look", "sleep"))
        message = {"role": "assistant", "content": None, "tool_calls": choice["message"]["tool_calls"]}
        result = {"role": "tool", "tool_call_id": message["tool_calls"][0]["id"], "content": "Waves."}
        answer = self.chat(messages=MESSAGES + [message, result], tools=TOOLS, max_tokens=8)
        self.assertEqual(answer["choices"][0]["message"]["role"], "assistant")

    def test_a_named_function_is_the_one_called(self):
        for name in ("look", "sleep"):
            choice = self.chat(tools=TOOLS, tool_choice={"type": "function", "function": {"name": name}})["choices"][0]
            self.check_call(choice["message"]["tool_calls"][0], (name,))
        error = self.chat(400, tools=TOOLS, tool_choice={"type": "function", "function": {"name": "fly"}})["error"]
        self.assertEqual(error["param"], "tool_choice.function.name")

    def test_a_streamed_call_is_the_whole_one(self):
        fields = {"tools": TOOLS, "tool_choice": "required", "seed": 9}
        whole = self.chat(**fields)["choices"][0]["message"]["tool_calls"][0]["function"]
        events = self.daemon.stream("/v1/chat/completions", dict({"messages": MESSAGES, "max_tokens": 80, "stream": True}, **fields))
        name, arguments, reasons, n_parts = "", "", [], 0
        for event in events:
            if event == "[DONE]":
                break
            choice = event["choices"][0]
            for call in choice["delta"].get("tool_calls", []):
                self.assertEqual(call["index"], 0)
                name += call["function"].get("name", "")
                arguments += call["function"]["arguments"]
                n_parts += 1
            self.assertFalse(choice["delta"].get("content"))
            reasons.append(choice["finish_reason"])
        self.assertEqual((name, arguments), (whole["name"], whole["arguments"]))
        self.assertEqual(reasons[-1], "tool_calls")
        self.assertGreater(n_parts, 1)

    def test_a_call_that_is_cut_says_so(self):
        choice = self.chat(tools=TOOLS[:1], tool_choice="required", max_tokens=8)["choices"][0]
        self.assertEqual(choice["finish_reason"], "length")

    def test_what_cannot_be_kept_is_refused(self):
        tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "not": {}}}}
        self.chat(tools=[tool], max_tokens=2)  # nothing is promised
        self.assertEqual(self.chat(400, tools=[tool], tool_choice="required")["error"]["param"], "tools")
        error = self.chat(400, tools=TOOLS, tool_choice="required", response_format={"type": "json_object"})["error"]
        self.assertEqual(error["param"], "tool_choice")
        self.assertEqual(self.chat(400, tool_choice="required")["error"]["param"], "tool_choice")

    # The other doors: the same calls in their shapes.

    def post(self, path, body):
        status, _, answer = self.daemon.post(path, body)
        self.assertEqual(status, 200, answer)
        return answer

    def test_ollamas_calls_are_objects_and_go_back_as_such(self):
        body = {"messages": MESSAGES, "tools": TOOLS, "tool_choice": "required", "options": {"seed": 5, "num_predict": 80}}
        message = self.post("/api/chat", dict(body, stream=False))["message"]
        self.assertEqual((message["role"], message["content"], len(message["tool_calls"])), ("assistant", "", 1))
        call = message["tool_calls"][0]["function"]
        self.assertIn(call["name"], ("look", "sleep"))
        self.assertIsInstance(call["arguments"], dict)
        status, headers, data = self.daemon.post("/api/chat", body)
        self.assertEqual((status, headers["content-type"]), (200, "application/x-ndjson"), data)
        lines = [json.loads(line) for line in data.splitlines()]
        calls = [c["function"] for line in lines for c in line["message"].get("tool_calls", [])]
        self.assertEqual(calls, [call])
        self.assertEqual((lines[-1]["done"], lines[-1]["done_reason"]), (True, "stop"))
        result = {"role": "tool", "tool_name": call["name"], "content": "Waves."}
        answer = self.post("/api/chat", {"messages": MESSAGES + [message, result], "tools": TOOLS, "stream": False,
                                         "options": {"num_predict": 8}})
        self.assertEqual(answer["message"]["role"], "assistant")

    def test_responses_calls_are_items(self):
        tools = [dict(tool["function"], type="function") for tool in TOOLS]
        body = {"input": MESSAGES, "tools": tools, "tool_choice": {"type": "function", "name": "look"}, "seed": 5,
                "max_output_tokens": 80}
        whole = self.post("/v1/responses", body)
        self.assertEqual([item["type"] for item in whole["output"]], ["function_call"])
        call = whole["output"][0]
        self.assertEqual((call["name"], call["status"]), ("look", "completed"))
        self.assertIn(json.loads(call["arguments"])["at"], ("sea", "hill"))
        events = list(self.daemon.stream("/v1/responses", body))
        parts = [e["delta"] for e in events if e["type"] == "response.function_call_arguments.delta"]
        self.assertGreater(len(parts), 1)
        self.assertEqual("".join(parts), call["arguments"])
        self.assertEqual(events[-1]["response"]["output"][0]["arguments"], call["arguments"])
        output = {"type": "function_call_output", "call_id": call["call_id"], "output": "Waves."}
        answer = self.post("/v1/responses", {"input": MESSAGES + whole["output"] + [output], "tools": tools,
                                             "max_output_tokens": 8})
        self.assertEqual(answer["output"][0]["type"], "message")

    def test_a_conversation_with_a_call_is_found_in_the_cache_through_every_door(self):
        arguments = {"at": "sea", "times": 2}
        call = {"id": "call00000", "type": "function", "function": {"name": "look", "arguments": json.dumps(arguments)}}
        chat = MESSAGES + [{"role": "assistant", "content": "I look at the sea for a long, long time. " * 4, "tool_calls": [call]},
                           {"role": "tool", "tool_call_id": "call00000", "content": "Waves."}]
        first = self.chat(messages=chat, tools=TOOLS, max_tokens=2)["usage"]
        ollama = [dict(m) for m in chat]
        ollama[1]["tool_calls"] = [{"function": {"name": "look", "arguments": arguments}}]
        ollama[2] = {"role": "tool", "tool_name": "look", "content": "Waves."}
        cached = self.daemon.metric("kvasir_cached_tokens_total")
        answer = self.post("/api/chat", {"messages": ollama, "tools": TOOLS, "stream": False, "options": {"num_predict": 2}})
        self.assertEqual(answer["prompt_eval_count"], first["prompt_tokens"])
        self.assertGreaterEqual(self.daemon.metric("kvasir_cached_tokens_total") - cached, first["prompt_tokens"] // 32 * 32 - 32)
        items = [MESSAGES[0], {"role": "assistant", "content": chat[1]["content"]},
                 {"type": "function_call", "call_id": "call00000", **call["function"]},
                 {"type": "function_call_output", "call_id": "call00000", "output": "Waves."}]
        tools = [dict(tool["function"], type="function") for tool in TOOLS]
        usage = self.post("/v1/responses", {"input": items, "tools": tools, "max_output_tokens": 2})["usage"]
        self.assertEqual(usage["input_tokens"], first["prompt_tokens"])
        self.assertGreaterEqual(usage["input_tokens_details"]["cached_tokens"], first["prompt_tokens"] // 32 * 32 - 32)


if __name__ == "__main__":
    unittest.main(verbosity=2)
