"""Random JSON Schemas of the keywords that Kvasir understands, for draft-07 or 2020-12."""
import random
import string

FORMATS = ["date", "time", "date-time", "uuid", "email", "ipv4", "ipv6", "uri", "hostname", "json-pointer"]
NAMES = ["id", "name", "größe", "a b", "x_1", "x_2", "tags", "value", "kind", "next", "é\"q", "items", "n/m", ""]


class Generator:
    def __init__(self, seed, draft):
        self.random = random.Random(seed)
        self.draft = draft  # "07" or "2020-12"
        self.definitions = "definitions" if draft == "07" else "$defs"
        self.n_definitions = self.random.choice([0, 0, 1, 2])

    def chance(self, share):
        return self.random.random() < share

    def schema(self):
        root = self.value(0)
        if self.n_definitions:
            # Recursive through an optional property: every definition can end.
            root = {"type": "object", "required": ["root"], "properties": {"root": root}}
            root[self.definitions] = {"d%d" % i: self.definition() for i in range(self.n_definitions)}
        if self.chance(0.3):
            root = dict(root, title="A thing", description="described", **{"$comment": "none"})
        return root

    def definition(self):
        kind = self.random.choice(["object", "string", "integer", "array"])
        if kind == "object":
            properties = {"v": self.value(3), "next": {"$ref": self.reference()}}
            return {"type": "object", "properties": properties, "required": ["v"],
                    "additionalProperties": False}
        if kind == "array":
            return {"type": "array", "items": {"anyOf": [{"$ref": self.reference()}, {"type": "null"}]},
                    "maxItems": 2}
        return self.string() if kind == "string" else self.integer()

    def reference(self):
        return "#/%s/d%d" % (self.definitions, self.random.randrange(self.n_definitions))

    def value(self, depth):
        kinds = [self.string, self.string, self.integer, self.number, self.enumeration, self.simple]
        if depth < 4:
            kinds += [lambda: self.object(depth)] * 4 + [lambda: self.array(depth)] * 2
            kinds += [lambda: self.any_of(depth), lambda: self.one_of(depth), lambda: self.all_of(depth),
                      lambda: self.several_types(depth)]
        if self.n_definitions:
            kinds += [lambda: {"$ref": self.reference()}] * 2
        return self.random.choice(kinds)()

    def simple(self):
        return self.random.choice([{"type": "boolean"}, {"type": "null"}, {"type": "string"}, {"type": "integer"},
                                   {"type": "number"}])

    def several_types(self, depth):
        types = self.random.sample(["string", "null", "boolean", "integer"], 2)
        schema = {"type": types}
        if "string" in types and self.chance(0.5):
            schema["maxLength"] = self.random.randrange(1, 20)
        if "integer" in types and self.chance(0.5):
            schema["minimum"] = self.random.randrange(-5, 50)
        return schema

    def enumeration(self):
        values = ["red", "blåu", "a\"b\\", "x\ny", 1, 2.5, -3, True, None, [1, "a"], {"k": [None]}, "🦊", "", 1e21]
        if self.chance(0.3):
            return {"const": self.random.choice(values)}
        return {"enum": self.random.sample(values, self.random.randrange(1, 6))}

    def string(self):
        schema = {"type": "string"}
        kind = self.random.randrange(5)
        if kind == 0:
            schema["format"] = self.random.choice(FORMATS)
        elif kind == 1:
            schema["pattern"] = self.pattern()
        elif kind == 2:
            low = self.random.randrange(0, 12)
            schema["minLength"] = low
            schema["maxLength"] = low + self.random.randrange(0, 12)
        elif kind == 3:
            schema["pattern"] = self.pattern()
            schema["maxLength"] = self.random.randrange(12, 40)
        else:
            schema["minLength"] = self.random.randrange(0, 6)
        return schema

    def pattern(self):
        body = "|".join("".join(self.atom(0) for _ in range(self.random.randrange(1, 5)))
                        for _ in range(self.random.choice([1, 1, 2])))
        if "|" in body:
            body = "(?:%s)" % body
        return self.random.choice(["^%s$", "^%s$", "^%s", "%s$", "%s"]) % body

    def atom(self, depth):
        letter = self.random.choice(string.ascii_letters + string.digits + "é_-")
        atoms = [letter, letter, r"\d", r"\w", "[a-f0-9]", "[A-Z_]", r"\.", r"[\-+]", r"\u00e9", r"\/", "\""]
        if self.draft != "07":
            atoms += [".", "[^0-9]", r"\S"]
        atom = self.random.choice(atoms)
        if depth < 2 and self.chance(0.2):
            atom = "(%s|%s)" % (self.atom(depth + 1), self.atom(depth + 1))
        return atom + self.random.choice(["", "", "", "?", "*", "+", "{2}", "{1,3}", "{2,}", "+?"])

    def integer(self):
        schema = {"type": "integer"}
        return dict(schema, **self.bounds(1))

    def number(self):
        schema = {"type": "number"}
        return dict(schema, **self.bounds(self.random.choice([0.01, 0.5, 1, 0.001])))

    def bounds(self, unit):
        bounds = {}
        low = round(self.random.randrange(-2000, 2000) * unit, 6)
        high = round(low + self.random.randrange(20, 5000) * unit, 6)
        if self.chance(0.6):
            bounds[self.random.choice(["minimum", "exclusiveMinimum"])] = low
        if self.chance(0.6):
            bounds[self.random.choice(["maximum", "exclusiveMaximum"])] = high
        if self.chance(0.2):
            bounds["multipleOf"] = self.random.choice([1, 2, 3, 7, 10]) if unit == 1 or self.chance(0.5) else 0.25
            for name in list(bounds):
                if name.endswith("imum") and high - low < 40:
                    del bounds[name]
        return bounds

    def array(self, depth):
        schema = {"type": "array"}
        if self.chance(0.25):
            prefix = [self.value(depth + 1) for _ in range(self.random.randrange(1, 4))]
            schema["items" if self.draft == "07" else "prefixItems"] = prefix
            rest = "additionalItems" if self.draft == "07" else "items"
            if self.chance(0.5):
                schema[rest] = self.random.choice([False, {"type": "integer"}])
            if self.chance(0.5):
                schema["minItems"] = self.random.randrange(0, len(prefix) + 1)
            return schema
        schema["items"] = self.value(depth + 1)
        low = self.random.randrange(0, 3)
        if self.chance(0.5):
            schema["minItems"] = low
        if self.chance(0.7):
            schema["maxItems"] = low + self.random.randrange(0, 4)
        return schema

    def object(self, depth):
        schema = {"type": "object"}
        names = self.random.sample(NAMES, self.random.randrange(0, 6))
        if names or self.chance(0.5):
            schema["properties"] = {name: self.value(depth + 1) for name in names}
        if names and self.chance(0.8):
            schema["required"] = self.random.sample(names, self.random.randrange(0, len(names) + 1))
        if self.chance(0.5):
            schema["additionalProperties"] = self.random.choice([False, False, True, {"type": "integer"}])
        if self.chance(0.15):
            schema["patternProperties"] = {self.random.choice(["^x_", "^[a-m]+$", r"\d$"]): {"type": "number"}}
            for name in list(schema.get("properties", {})):
                schema["properties"][name] = {"type": ["number", "string"]} if self.chance(0.5) else {"type": "integer"}
        if self.chance(0.15) and "required" in schema:
            schema["maxProperties"] = len(schema["required"]) + self.random.randrange(0, 3)
        if self.chance(0.1) and names:
            schema["minProperties"] = self.random.randrange(0, len(names) + 1)
        return schema

    def any_of(self, depth):
        return {"anyOf": [self.value(depth + 1) for _ in range(self.random.randrange(1, 4))]}

    def one_of(self, depth):
        if self.chance(0.5):
            return {"oneOf": [{"type": "integer"}, {"type": "null"}, self.string()][:self.random.randrange(1, 4)]}
        branches = []
        for kind in self.random.sample(["cat", "dog", "cow"], 2):
            branches.append({"type": "object", "required": ["kind"],
                             "properties": {"kind": {"const": kind}, "more": self.value(depth + 1)}})
        return {"oneOf": branches}

    def all_of(self, depth):
        parts = [{"properties": {"a": self.value(depth + 1)}, "required": ["a"]},
                 {"properties": {"b": self.value(depth + 1)}},
                 {"required": ["c"]}]
        return {"type": "object", "allOf": self.random.sample(parts, self.random.randrange(1, 4))}


def generate(seed, draft):
    return Generator(seed, draft).schema()
