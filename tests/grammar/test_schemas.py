"""1,000 random schemas: texts drawn at random from each one's grammar are valid, say ajv and jsonschema.

SCHEMA_WALKS names the program that draws; AJV_PATH a folder with node modules. A validator that is not installed is
left out, and the test says so; with neither of them it is skipped."""
import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import random_schemas  # noqa: E402

WALKS = os.environ["SCHEMA_WALKS"]
N_SCHEMAS = int(os.environ.get("N_SCHEMAS", "1000"))
N_WALKS = int(os.environ.get("N_WALKS", "4"))
SEED = int(os.environ.get("SEED", "1"))
HERE = os.path.dirname(os.path.abspath(__file__))


def draw(schemas):
    """Texts of each schema; None where it was refused."""
    lines = "".join(json.dumps(schema) + "\n" for schema in schemas)
    out = subprocess.run([WALKS, str(N_WALKS), str(SEED)], input=lines, stdout=subprocess.PIPE, text=True, check=True)
    texts = [[] for _ in schemas]
    refused = []
    cut = 0
    for line in out.stdout.splitlines():
        answer = json.loads(line)
        if "refused" in answer:
            texts[answer["schema"]] = None
            refused.append(answer)
            continue
        assert "error" not in answer, answer
        if answer["complete"]:
            texts[answer["schema"]].append(answer["text"])
        else:
            cut += 1
    return texts, refused, cut


def node_environment():
    paths = [os.environ.get("AJV_PATH", ""), "/usr/share/nodejs", "/usr/lib/nodejs"]
    return dict(os.environ, NODE_PATH=":".join(path for path in paths if path))


def has_ajv():
    try:
        return subprocess.run(["node", "-e", "require('ajv')"], env=node_environment(), stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL).returncode == 0
    except FileNotFoundError:
        return False


def check_with_ajv(schemas, texts, draft):
    lines = "".join(json.dumps({"schema": schema, "texts": drawn}) + "\n"
                    for schema, drawn in zip(schemas, texts) if drawn is not None)
    out = subprocess.run(["node", os.path.join(HERE, "check_with_ajv.js"), draft], input=lines, env=node_environment(),
                         stdout=subprocess.PIPE, text=True, check=True)
    *wrong, summary = out.stdout.splitlines()
    print("ajv:", summary)
    for line in wrong[:10]:
        print("  ", line[:2000])
    return json.loads(summary)["wrong"]


def check_with_python(schemas, texts, draft):
    import jsonschema
    # Its "time" is strptime's %H:%M:%S, without the offset that RFC 3339 demands.
    formats = jsonschema.FormatChecker([name for name in jsonschema.FormatChecker.checkers if name != "time"])
    kind = jsonschema.Draft7Validator if draft == "07" else jsonschema.Draft202012Validator
    wrong = 0
    n = 0
    for schema, drawn in zip(schemas, texts):
        validator = kind(schema, format_checker=formats)
        for text in drawn or []:
            n += 1
            error = next(validator.iter_errors(json.loads(text)), None)
            if error is not None:
                wrong += 1
                print("  ", json.dumps(schema)[:1000], text[:500], error.message[:300])
    print("jsonschema: draft %s, %d texts, %d wrong" % (draft, n, wrong))
    return wrong


def main():
    checks = []
    if has_ajv():
        checks.append(check_with_ajv)
    else:
        print("ajv is not installed (Debian: node-ajv): left out")
    try:
        import jsonschema  # noqa: F401
        checks.append(check_with_python)
    except ImportError:
        print("jsonschema is not installed (Debian: python3-jsonschema): left out")
    if not checks:
        print("skipped: no validator of JSON Schema is installed")
        return 0
    wrong = 0
    n_drawn = n_refused = n_cut = 0
    for draft in ("07", "2020-12"):
        schemas = [random_schemas.generate(SEED * 1000003 + i, draft) for i in range((N_SCHEMAS + 1) // 2)]
        texts, refused, cut = draw(schemas)
        n_refused += len(refused)
        n_cut += cut
        n_drawn += sum(1 for drawn in texts if drawn)
        for answer in refused[:8]:
            print("refused:", answer["refused"], json.dumps(schemas[answer["schema"]])[:300])
        for check in checks:
            if check is check_with_ajv and draft != "07" and not os.environ.get("AJV_PATH"):
                continue  # Debian's is ajv 6, which ends with draft-07
            wrong += check(schemas, texts, draft)
    print("%d schemas with complete texts, %d refused, %d texts cut at the limit, %d wrong" %
          (n_drawn, n_refused, n_cut, wrong))
    enough = n_drawn >= 0.95 * N_SCHEMAS
    return 0 if wrong == 0 and enough else 1


if __name__ == "__main__":
    sys.exit(main())
