// SPDX-License-Identifier: AGPL-3.0-or-later
// What stands in the examples of both interfaces. The tests and the reference pages put the real
// values in its place.
#ifndef API_EXAMPLES_H
#define API_EXAMPLES_H

#define EXAMPLE_HOST    "https://cocalc.com"
#define EXAMPLE_PROJECT "e49e86aa-192f-410b-8269-4b89fd934fba"
#define EXAMPLE_TARGET  "2aae4347-214d-4fd1-809c-b327150442d8" // of copies

#endif
