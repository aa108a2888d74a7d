// node check_with_ajv.js DRAFT < cases.jsonl: each line {"schema": {...}, "texts": [...]}.
// Prints one line of JSON for each text that ajv does not accept, and a count at the end.
"use strict";
const readline = require("readline");
const draft = process.argv[2];
const version = require("ajv/package.json").version;
const isOld = version.startsWith("6.");
const Ajv = isOld ? require("ajv") : require(draft === "07" ? "ajv" : "ajv/dist/2020");
const make = Ajv.default || Ajv;

function compile(schema) {
    if (isOld) return new make({format: "full", unknownFormats: "ignore", logger: false}).compile(schema);
    const ajv = new make({strict: true, strictTypes: false, strictTuples: false, strictRequired: false,
                          allowUnionTypes: true, allErrors: true, logger: false, allowMatchingProperties: true});
    require("ajv-formats")(ajv);
    return ajv.compile(schema);
}

let nTexts = 0;
let nWrong = 0;
function report(what) {
    ++nWrong;
    console.log(JSON.stringify(what));
}
readline.createInterface({input: process.stdin}).on("line", (line) => {
    const {schema, texts} = JSON.parse(line);
    let validate;
    try {
        validate = compile(schema);
    } catch (error) {
        report({schema, error: String(error)});
        return;
    }
    for (const text of texts) {
        ++nTexts;
        try {
            if (!validate(JSON.parse(text))) report({schema, text, errors: validate.errors});
        } catch (error) {
            report({schema, text, error: String(error)});
        }
    }
}).on("close", () => console.log(JSON.stringify({ajv: version, draft, texts: nTexts, wrong: nWrong})));
