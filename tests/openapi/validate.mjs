// SPDX-License-Identifier: AGPL-3.0-or-later
// Reads an OpenAPI 3.1 document from standard input. Exit 0: valid; 1: what is wrong stands on standard error.
import { text } from "node:stream/consumers";
import { Validator } from "@seriousme/openapi-schema-validator";

function fail(message) {
  console.error(message);
  process.exit(1);
}

const document = JSON.parse(await text(process.stdin));
if (!String(document.openapi).startsWith("3.1.")) fail(`not an OpenAPI 3.1 document: openapi is ${document.openapi}`);
const result = await new Validator().validate(document);
if (!result.valid) fail(JSON.stringify(result.errors, null, 2));
