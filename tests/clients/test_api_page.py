"""daemon/http/API.md, held against the sources of the parsers and against a running daemon, in both directions."""
import copy
import glob
import json
import os
import re
import unittest

import daemon

HTTP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "daemon", "http")

# ---- the page


def anchor(title):
    return re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-")


class Field:
    def __init__(self, row):
        self.path, self.kinds, self.accepted = row[0].strip("`"), row[1].split(" or "), row[2]
        found = re.fullmatch(r"(-?[\d.]+) to (-?[\d.]+)", self.accepted)
        self.range = tuple(float(one) if "." in one else int(one) for one in found.groups()) if found else None
        alone = re.fullmatch(r"(\d+)", self.accepted)
        if alone:
            self.range = (int(alone.group(1)),) * 2
        self.has_words = bool(re.match(r"`", self.accepted)) and "string" in self.kinds and "at most" not in self.accepted


class Section:
    def __init__(self, title):
        self.title, self.fields, self.refused, self.links = title, [], [], []


def read_page():
    """Routes to their sections; and sections by anchor."""
    routes, sections, current, refused = {}, {}, [], None
    with open(os.path.join(HTTP, "API.md")) as page:
        lines = page.read().split("\n")
    for number, line in enumerate(lines):
        heading = re.match(r"#{2,4} (.*)", line)
        if heading:
            section = Section(heading.group(1))
            sections[anchor(section.title)] = section
            route = re.fullmatch(r"`([A-Z]+ \S+)`", section.title)
            if route:
                routes[route.group(1)] = section
            # Headings without a line between them share what follows.
            current = current + [section] if number and lines[number - 1].startswith("###") else [section]
        elif line.startswith("| `") and len(line.split("|")) == 7:
            for section in current:
                section.fields.append(Field([cell.strip() for cell in line.split("|")[1:-1]]))
        if line.startswith("Refused unless"):
            refused = current
        if refused is not None:
            for section in refused:
                section.refused += re.findall(r"`([^`]+)`", line)
            if line.endswith("."):
                refused = None
        for section in current:
            section.links += re.findall(r"\(#([a-z-]+)\)", line)
    for section in routes.values():
        for link in section.links:
            section.fields += sections[link].fields
            section.refused += sections[link].refused
    return routes


ROUTES = read_page()

# ---- the sources


def source(name):
    with open(os.path.join(HTTP, name)) as file:
        return file.read()


def routes_of_the_source():
    return {"%s %s" % pair for pair in re.findall(r'Route\{"([A-Z]+)", "([^"]+)"', source("routes.cpp"))}


# No fields of a request: a header, a word of /api/show.
NO_REQUESTS = {"X-Session-Id", "embedding"}


def fields_of_the_source():
    """Every name that a parser of requests reads or refuses."""
    names = set()
    for path in glob.glob(os.path.join(HTTP, "*.cpp")):
        text = source(os.path.basename(path))
        if "JsonFields" not in text and "Field{" not in text:
            continue
        names.update(re.findall(r'(?<=[\w)])(?<!begin_array\(\))(?:\.|->)(?:string|boolean|integer|number|find)\(\s*"([^"]+)"', text))
        names.update(re.findall(r'\b(?:read_name|read_object|check_word)\(\w+, "([^"]+)"', text))
        names.update(re.findall(r'Field\{"([^"]+)", Harmless', text))
        for block in re.findall(r"for \(const char\* (?:name|taken) :\s*\{(.*?)\}\)", text, re.S):
            names.update(re.findall(r'"([^"]+)"', block))
        for block in re.findall(r"(?:refuse_fields|read_cache_body)\([^{};]*\{([^{}]*)\}", text):
            names.update(re.findall(r'"([^"]+)"', block))
    return names - NO_REQUESTS


# ---- requests

MESSAGES = [{"role": "user", "content": "Hi"}]
TOOLS = [{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}]
BASES = {
    "/v1/completions": {"prompt": "Once", "max_tokens": 1},
    "/v1/chat/completions": {"messages": MESSAGES, "max_tokens": 1},
    "/v1/responses": {"input": "Hi", "max_output_tokens": 1},
    "/api/chat": {"messages": MESSAGES, "stream": False, "options": {"num_predict": 1}},
    "/api/generate": {"prompt": "Once", "stream": False, "options": {"num_predict": 1}},
    "/v1/embeddings": {"input": "Hi"},
    "/api/embed": {"input": "Hi"},
    "/api/embeddings": {"prompt": "Hi"},
    "/tokenize": {"content": "Once"},
    "/detokenize": {"tokens": [5]},
    "/apply-template": {"messages": MESSAGES},
    "/v1/prefixes": {"name": "house", "text": "Once upon a time there was a queen. " * 10},
}
# What has to stand beside a field for it to be read.
BESIDE = {
    "stream_options": {"stream": True},
    "tool_choice": {"tools": TOOLS},
    "tool_choice.function": {"tools": TOOLS, "tool_choice": {"type": "function"}},
    "tool_choice.allowed_tools": {"tools": TOOLS, "tool_choice": {"type": "allowed_tools"}},
    "tools": {"tools": TOOLS},
    "top_logprobs": {"logprobs": True},
    "response_format": {"response_format": {"type": "json_object"}},
    "response_format.json_schema": {"response_format": {"type": "json_schema", "json_schema": {"schema": {"type": "null"}}}},
    "text.format": {"text": {"format": {"type": "json_schema", "schema": {"type": "null"}}}},
    "input[]": {"input": [{"role": "user", "content": "Hi"}]},
    "input[].content[]": {"input": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}]},
}
FLAT_TOOLS = [dict(TOOLS[0]["function"], type="function")]
# And where that differs: Responses has a tool's fields in the tool itself.
BESIDE_OF = {
    "POST /v1/responses": {
        "tool_choice": {"tools": FLAT_TOOLS},
        "tool_choice.name": {"tools": FLAT_TOOLS, "tool_choice": {"type": "function"}},
        "tool_choice.mode": {"tools": FLAT_TOOLS, "tool_choice": {"type": "allowed_tools"}},
        "tool_choice.tools": {"tools": FLAT_TOOLS, "tool_choice": {"type": "allowed_tools"}},
        "tools": {"tools": FLAT_TOOLS},
        "input[].id": {"input": [{"type": "item_reference"}]},
        "input[].call_id": {"input": [{"type": "function_call"}]},
        "input[].name": {"input": [{"type": "function_call", "call_id": "c"}]},
        "input[].arguments": {"input": [{"type": "function_call", "call_id": "c", "name": "look"}]},
    },
    "POST /api/generate": {"tool_choice": {}},
    "POST /api/chat": {
        "messages[].tool_calls": {"messages": [{"role": "assistant", "content": ""}]},
        "messages[].tool_calls[].function.arguments":
            {"messages": [{"role": "assistant", "tool_calls": [{"function": {"name": "look"}}]}]},
        "messages[].tool_name": {"messages": [{"role": "tool", "content": "x"}]},
        "messages[].tool_call_id": {"messages": [{"role": "tool", "content": "x"}]},
    },
}
OF_KIND = {"string": "x", "name": "x", "integer": 1, "number": 0.5, "boolean": True, "object": {}, "array": []}


def merge(into, what):
    for key, value in what.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            merge(into[key], value)
        else:
            into[key] = copy.deepcopy(value)


def with_field(path, value, base, beside=BESIDE):
    """A body in which the field has the value."""
    body = copy.deepcopy(base)
    for prefix in sorted(beside, key=len):
        # A field needs what its parents need; logprobs and stream_options need what they are themselves.
        if path == prefix or re.match(re.escape(prefix) + r"[.\[]", path):
            merge(body, beside[prefix])
    at = body
    parts = re.findall(r"[^.\[\]]+|\[\]", path)
    for i, part in enumerate(parts[:-1]):
        is_list = parts[i + 1] == "[]"
        if part == "[]":
            if not at:
                at.append({})
            at = at[0]
        else:
            if not isinstance(at.get(part), (list if is_list else dict)):
                at[part] = [{}] if is_list else {}
            at = at[part]
    at[parts[-1]] = value
    return body


def wrong_values(field):
    """Of each JSON type that the field does not take."""
    kinds = set(field.kinds) | ({"string"} if "name" in field.kinds else set())
    if "number" in kinds:
        kinds.add("integer")
    for kind, value in (("string", "no such word"), ("integer", 7), ("boolean", True), ("object", {"a": 1}), ("array", [[]])):
        if kind not in kinds:
            yield value


class Page(daemon.DaemonCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.daemon.post("/v1/sessions", {"id": "talk"})

    def target(self, route):
        method, path = route.split(" ")
        return method, path.replace("/v1/sessions/{}", "/v1/sessions/talk").replace("{}", "x")

    def ask(self, route, body):
        """Status, and of an error the field that it names and its message."""
        method, path = self.target(route)
        status, _, answer = self.daemon.request(method, path, body)
        error = answer.get("error") if status >= 400 and isinstance(answer, dict) else None
        if not isinstance(error, dict):
            return status, (error or "").split(":")[0], error or "", None
        return status, error["param"] or "", error["message"], error["code"]

    def base(self, route):
        path = route.split(" ")[1]
        if path == "/v1/prefixes" and self.method_is_post(route):
            return dict(BASES[path])
        return dict(BASES.get(path, {}))

    @staticmethod
    def method_is_post(route):
        return route.startswith("POST ")

    def base_for(self, route, field):
        base = self.base(route)
        if route == "POST /v1/prefixes" and re.match("messages|tokens", field.path):
            del base["text"]
        return base

    def bodies(self):
        return {route: section for route, section in ROUTES.items() if section.fields}

    def body_with(self, route, field, value):
        return with_field(field.path, value, self.base_for(route, field), dict(BESIDE, **BESIDE_OF.get(route, {})))

    def assert_refused(self, route, field, value):
        status, param, message, _ = self.ask(route, self.body_with(route, field, value))
        text = "%s: %s = %s: %d %s" % (route, field.path, json.dumps(value), status, message)
        self.assertEqual(status, 400, text)
        plain = re.sub(r"\[\d+\]", "[]", param)
        self.assertTrue(plain.startswith(field.path) or message.startswith(field.path.split("[")[0]), text)

    def assert_taken(self, route, field, value):
        body = self.body_with(route, field, value)
        status, param, message, _ = self.ask(route, body)
        text = "%s: %s = %s: %d %s" % (route, field.path, json.dumps(value), status, message)
        self.assertFalse(status == 400 and re.sub(r"\[\d+\]", "[]", param) == field.path, text)

    def test_the_page_lists_the_routes(self):
        self.assertEqual(set(ROUTES), routes_of_the_source())

    def test_the_page_lists_the_names_that_parsers_know(self):
        listed = set()
        for section in ROUTES.values():
            for path in [field.path for field in section.fields] + section.refused:
                listed.update(part for part in re.findall(r"[^.\[\]]+", path))
        known = fields_of_the_source()
        self.assertGreater(len(known), 100)
        self.assertEqual(known - listed, set(), "read by the sources, not on the page")
        self.assertEqual(listed - known, set(), "on the page, not read by the sources")

    def test_base_requests_are_taken(self):
        for route in self.bodies():
            status, _, message, _ = self.ask(route, self.base(route))
            self.assertIn(status, (200, 201), route + ": " + message)

    def test_types_are_as_listed(self):
        n = 0
        for route, section in self.bodies().items():
            for field in section.fields:
                if "any" in field.kinds:
                    continue
                for value in wrong_values(field):
                    with self.subTest(route=route, field=field.path, value=value):
                        self.assert_refused(route, field, value)
                        n += 1
        self.assertGreater(n, 500)

    def test_ranges_are_as_listed(self):
        n = 0
        for route, section in self.bodies().items():
            for field in section.fields:
                if field.range is None:
                    continue
                low, high = field.range
                with self.subTest(route=route, field=field.path):
                    self.assert_refused(route, field, low - 1)
                    self.assert_refused(route, field, high + 1)
                    for value in {low, high} - {16}:  # best_of and n: 16 answers need no trying
                        if field.path == "best_of" and value != 1 or field.path == "n" and route.endswith("responses"):
                            continue
                        if field.path in ("options.num_predict",) and value == 0:
                            continue
                        self.assert_taken(route, field, value)
                    n += 1
        self.assertGreater(n, 50)

    def test_words_are_as_listed(self):
        n = 0
        for route, section in self.bodies().items():
            for field in section.fields:
                if not field.has_words:
                    continue
                with self.subTest(route=route, field=field.path):
                    if "object" not in field.kinds or field.path != "format":
                        self.assert_refused(route, field, "no such word")
                    for word in re.findall(r"`([^`]+)`", field.accepted):
                        if (field.path, word) != ("overflow", "truncate") or route != "POST /v1/completions":
                            self.assert_taken(route, field, word)
                        n += 1
        self.assertGreater(n, 30)

    def test_names_are_checked(self):
        for route, section in self.bodies().items():
            for field in section.fields:
                if field.kinds == ["name"]:
                    with self.subTest(route=route, field=field.path):
                        for wrong in ("", "x" * 129, "a\nb"):
                            self.assert_refused(route, field, wrong)

    def test_what_is_refused_is_refused(self):
        for route, section in self.bodies().items():
            for path in section.refused:
                with self.subTest(route=route, field=path):
                    value = {"steps": 3, "width": 3, "height": 3}.get(path, "asked for")
                    status, param, message, code = self.ask(route, with_field(path, value, self.base(route), {}))
                    self.assertEqual(status, 400, message)
                    self.assertIn(path.split(".")[-1], message)
                    self.assertIn("not supported", message)

    def test_nothing_else_is_read(self):
        """Every name that any parser knows, sent to each route that does not list it, in a type that nobody takes."""
        known = fields_of_the_source()
        for route, section in self.bodies().items():
            own = {re.split(r"[.\[]", path)[0] for path in [f.path for f in section.fields] + section.refused}
            is_strict = "/v1/sessions" in route or "/v1/prefixes" in route or "/v1/cache" in route
            for value in ({"a": [1]}, 123456789):
                strangers = {name: value for name in known - own}
                if not is_strict:
                    status, _, message, _ = self.ask(route, dict(self.base(route), **strangers))
                    self.assertIn(status, (200, 201), "%s reads more than the page lists: %s" % (route, message))
                    continue
                for name in strangers:
                    status, param, message, _ = self.ask(route, dict(self.base(route), **{name: value}))
                    self.assertEqual((status, param), (400, name), route)
                    self.assertIn("no field of this request", message)


if __name__ == "__main__":
    unittest.main()
